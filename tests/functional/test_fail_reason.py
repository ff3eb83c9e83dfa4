# SPDX-License-Identifier: Apache-2.0

"""What users see of an error of Swift or Keystone.

Each kind that can be made to happen quickly happens in a service of its own.
"""

import json
import time
from typing import ClassVar
import urllib.parse

from swiftclient import client as swift_client

from tests import selection
from tests.cloud import info
from tests.cloud.fault_proxy.rules import Answer
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Lose
from tests.cloud.fault_proxy.rules import OBJECTS
from tests.cloud.fault_proxy.rules import rule
from tests.cloud.fault_proxy.rules import Slow
from tests.fakes import blobs
from tests.functional import base
from tests.functional import cinder_side
from tests.functional import reasons
from tests.functional.api import MIB

# Bytes a second, so that a chunk takes some.
_RATE = MIB // 2
_OTHER_ACCOUNT = (
    'The backup may be in another account: check backup_swift_auth. If it is '
    'lost, upload an empty object of the name in brackets and delete it '
    'again.')


class UserAccountTestCase(reasons.FailReasonTestCase):
    """In the accounts of users; new containers are of no storage policy."""

    options: ClassVar[dict] = {
        **reasons.IMPATIENT, 'backup_swift_create_storage_policy': 'nowhere',
        'backup_compression_algorithm': 'none'}

    @selection.modes(selection.Modes.EVERYTHING)
    def test_backups_and_deletes(self):
        volume = self.make_volume(1)
        self.fail_to_back_up(
            volume, r"Swift answered 400 Bad Request "
            r"\(Invalid X-Storage-Policy 'nowhere'\)",
            'Check backup_swift_create_storage_policy.')
        self.make_container()
        self._limit('1000')
        self.fail_to_back_up(
            volume,
            r'Swift answered 413 Request Entity Too Large '
            r'\(Upload exceeds quota\.\)',
            'Raise the quota, or lower backup_swift_object_size.')
        self.assertEqual([], self.object_names(self.container))
        self._limit('')
        backup = self.back_up(volume)
        self._cut_volume(volume)
        self._delete_as_a_stranger(backup)
        self._delete_what_is_gone(backup)

    def _limit(self, length):
        """Set the quota of the container, in bytes."""
        access = base.swift_credentials(self.cloud.demo).access()
        swift_client.post_container(
            access.storage_url, access.token, self.container,
            {'X-Container-Meta-Quota-Bytes': length})

    def _cut_volume(self, volume):
        with open(self.volumes.path(volume.id), 'r+b') as file:
            file.truncate(0)
        self.start_backup(volume)
        backup = self.cinder.backups.list(
            search_opts={'volume_id': volume.id}, sort='created_at:desc')[0]
        self.wait_until(self.has_failed, backup)
        self.assertRegex(
            self.cinder.backups.get(backup.id).fail_reason,
            rf'^Invalid volume: the volume is attached with a size of 0 '
            rf'bytes\. {reasons.STORAGE} \[backup {backup.id}; '
            rf'volume {volume.id}\]$')

    def _delete_as_a_stranger(self, backup):
        self.fail_to_delete(
            backup, 'the backup is in the account of another project, which '
            'this user may not use',
            'Have a user of the project that owns the backup do it.',
            cinder=self.client(self.cloud.admin))

    def _delete_what_is_gone(self, backup):
        """At last, do as the error says."""
        names = self.object_names(self.container)
        for name in names:
            self.store.delete(self.container, name)
        self.fail_to_delete(
            backup, 'the account has no objects of this backup',
            _OTHER_ACCOUNT)
        access = base.swift_credentials(self.cloud.demo).access()
        swift_client.delete_container(access.storage_url, access.token,
                                      self.container)
        self.fail_to_delete(backup, 'the account has no such container',
                            _OTHER_ACCOUNT)
        # To the store that has seen it, it is not gone.
        self.store = base.swift_store()
        self.addCleanup(self.store.close)
        self.make_container()
        manifest, = (name for name in names if name.endswith('_metadata'))
        blobs.put(self.store, self.container, manifest, b'')
        self.delete_backup(backup)

    def test_restores(self):
        self.make_container()
        volume = self.make_volume(1)
        self.backup = self.back_up(volume)
        self._spoil('first', None, 'an object that the manifest names is '
                                   'missing', 'Restore another backup.')
        self._spoil('first', _flipped, 'an object is damaged: the digest of '
                    'a block differs from the recorded one',
                    'Restore another backup.')
        self._spoil('_sha256file', None, 'the digest file of the backup is '
                                         'missing',
                    'Restore another backup, or this one with '
                    'backup_swift_verify_restore = False.')
        self._spoil('_metadata', _newer, 'the manifest is of a version that '
                    'this release cannot read',
                    'Use the release that wrote the backup, or newer.')
        self._spoil('_metadata', _cut, r'the manifest is damaged: .*',
                    'Restore another backup.')
        tip = self.back_up(volume, incremental=True)
        for backup in (self.backup, tip):
            self._spoil('_metadata', None, 'there is no manifest: the backup '
                        'was never completed or its objects were deleted',
                        'Use another backup, or make a new full one.', backup)
        self._let_expire(volume)
        # Which the API only sees to within a project.
        self.fail_to_delete(
            self.backup, 'nothing was deleted, because newer backups need '
            'this one', 'Delete those first, then reset the state of this '
            'one and delete it.', cinder=self.client(self.cloud.admin))

    def _let_expire(self, volume):
        """Have Swift delete a chunk tomorrow, which nobody builds on."""
        access = base.swift_credentials(self.cloud.demo).access()
        name = self._names()[0]
        swift_client.post_object(
            access.storage_url, access.token, self.container, name,
            {'X-Delete-At': str(int(time.time()) + 86400)})
        backup = self.back_up(volume, incremental=True)
        self.assertFalse(backup.is_incremental)
        self.assertRegex(
            self.own.log.read_text(errors='replace'),
            rf'A full backup is made instead of an incremental on [-\w]+: '
            rf'Swift will delete an object at [-:+\w]+ \[object {name} in')

    def _names(self):
        """The names of the objects of the full backup."""
        return [name for name in self.object_names(self.container)
                if self.backup.id in name]

    def _spoil(self, which, change, what, remedy, backup=None):
        """Restore while an object is gone, or something else.

        :param which: of the full backup's objects
        :param backup: what to restore; the full one if None
        """
        names = self._names()
        name = names[0] if which == 'first' else next(
            each for each in names if each.endswith(which))
        data = blobs.get(self.store, self.container, name)
        if change is None:
            self.store.delete(self.container, name)
        else:
            blobs.put(self.store, self.container, name, change(data))
        self.fail_to_restore(backup or self.backup, what, remedy)
        blobs.put(self.store, self.container, name, data)


def _flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]


def _cut(data):
    return data[:len(data) // 2]


def _newer(data):
    return json.dumps({**json.loads(data), 'version': '9.0.0'}).encode()


class ProxyTestCase(reasons.FailReasonTestCase):
    """Through the fault proxy; at first, nobody may make containers."""

    options: ClassVar[dict] = {**reasons.IMPATIENT,
                               'backup_create_containers': False,
                               'backup_swift_object_size': 2 * MIB,
                               'backup_swift_workers': 1}

    def start(self):
        self.start_proxy()
        self.host = urllib.parse.urlsplit(self.proxy.url).netloc
        super().start()

    def test_backups(self):
        volume = self.make_volume(10)
        self.fail_to_back_up(
            volume, 'there is no such container',
            'Create it, or let backup_create_containers do it.')
        self.make_container()
        self.proxy.apply(rule(Answer(429, {'Retry-After': '36000'}), 'PUT',
                              Kind.CHUNK, count=None))
        self.fail_to_back_up(
            volume, 'Swift answered 429 Too Many Requests and asks to wait '
            'for 10 hours', 'Repeat the operation later.')
        self._shrink_volume(volume)
        self.assertEqual([], self.object_names(self.container))
        self.proxy.refuse()
        self.fail_to_back_up(
            self.make_volume(1),
            rf'Swift at {self.host} .*\(connection refused\)',
            'Repeat the operation later.')
        self.proxy.accept()

    @selection.modes(selection.Modes.EVERYTHING)
    def test_what_swift_does_not_do(self):
        self.make_container()
        volume = self.make_volume(1)
        self.proxy.apply(rule(Lose(), 'PUT', Kind.MANIFEST))
        self.fail_to_back_up(volume, 'the manifest was not stored',
                             'Repeat the operation.')
        self.proxy.apply(rule(Answer(401), 'PUT', Kind.CHUNK, count=None))
        self.fail_to_back_up(
            volume, 'Swift answered 401 Unauthorized',
            'The token may have expired: set backup_swift_service_auth.')
        self.proxy.apply()
        self.assertEqual([], self.object_names(self.container))
        backup = self.back_up(volume)
        self.proxy.apply(rule(Lose(), 'DELETE', *OBJECTS, count=None))
        self.fail_to_delete(backup, 'Swift still has an object that it was '
                                    'asked to delete',
                            'Repeat the operation.')
        self.proxy.apply()
        self.delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))

    def _shrink_volume(self, volume):
        """Cut it off while a chunk of it is on its way."""
        self.proxy.apply(rule(Slow(_RATE), 'PUT', Kind.CHUNK, first=2))
        backup = self.start_backup(volume)
        self.wait_until(lambda: any(self.proxy.hits()))
        with open(self.volumes.path(volume.id), 'r+b') as file:
            file.truncate(MIB)
        self.assert_failed(
            backup, r'the volume ended early: it may have been resized or '
            r'detached \(\d+ instead of \d+\)', 'Repeat the operation.')
        self.wait(self.cinder.volumes, volume, 'available')


class OwnAccountTestCase(reasons.FailReasonTestCase):
    """In the service's own account, with a login that becomes wrong."""

    options: ClassVar[dict] = reasons.IMPATIENT
    cloud_stays = False

    def start(self):
        self.user = self._make_user()
        options = cinder_side.version_3_options(self.cloud, self.user)
        options['backup_swift_auth_url'], self.end = self.relay(
            self.cloud.auth_url)
        self.own.extra_options.update(options, backup_swift_auth='single_user')
        super().start()

    def _make_user(self):
        """A user of the demo project, as the administrator makes one."""
        self.admin = base.keystone_session(self.cloud.admin)
        user = info.Credentials(f'backup-{self.container}', 'right',
                                self.cloud.demo.project_name)
        url = f'{self.cloud.auth_url}/users'
        made = self.admin.post(url, json={'user': {
            'name': user.username, 'password': user.password,
            'domain_id': 'default'}}).json()['user']
        self.user_url = f'{url}/{made["id"]}'
        self.addCleanup(self.admin.delete, self.user_url)
        role, = self.admin.get(f'{self.cloud.auth_url}/roles', params={
            'name': 'swiftoperator'}).json()['roles']
        project = base.keystone_session(self.cloud.demo).get_project_id()
        self.admin.put(f'{self.cloud.auth_url}/projects/{project}/users/'
                       f'{made["id"]}/roles/{role["id"]}')
        return user

    def test_login(self):
        volume = self.make_volume(1)
        self.delete_backup(self.back_up(volume))
        self.admin.patch(self.user_url, json={'user': {'password': 'new'}})
        self.fail_to_back_up(
            volume, 'the identity service refused the credentials',
            'Check backup_swift_user, backup_swift_key and the role of the '
            'user.')
        self.end()
        self.fail_to_back_up(
            volume, r'the identity service failed \(connection refused\)',
            'Repeat the operation later.')
