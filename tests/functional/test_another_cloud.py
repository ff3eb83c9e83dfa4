# SPDX-License-Identifier: Apache-2.0

"""Two clouds with a Keystone and a database each: one gives back the volumes
of the other, less and less of which is left.
"""

import filecmp
import functools

import testscenarios

from tests import selection
from tests.cloud import processes
from tests.functional import api
from tests.functional import base
from tests.functional import command
from tests.functional.api import MIB


def _at_the_keystone_of(cloud):
    """How another cloud's Cinder gets to the account of the demo user."""
    user = cloud.demo
    return {
        'backup_swift_auth': 'single_user',
        'backup_swift_auth_version': '3',
        'backup_swift_auth_url': cloud.auth_url,
        'backup_swift_user': user.username,
        'backup_swift_key': user.password,
        'backup_swift_project': user.project_name,
    }


def _by_version_1(cloud):
    """How any Cinder gets to an account that no Keystone knows."""
    user = cloud.v1
    return {
        'backup_swift_auth': 'single_user',
        'backup_swift_auth_version': '1',
        'backup_swift_auth_url': user.auth_url,
        'backup_swift_user': user.username,
        'backup_swift_key': user.password,
    }


class AnotherCloudTestCase(testscenarios.WithScenarios, api.ApiTestCase):
    """Cloud A has Swift; B reaches it, and outlives A."""

    cloud_stays = False
    scenarios = selection.scenarios(
        [('accounts of projects', {'own_account': False})],
        [('account of the service', {'own_account': True})])

    def setUp(self):
        super().setUp()
        self.need('directory')
        # The options of version 1 are only known when Swift is.
        start = functools.partial(
            self.start_cloud, concurrency=self.cloud.concurrency)
        self.a = start(with_cinder=not self.own_account)
        if self.own_account:
            self._restart_cinder(_by_version_1(self.a.info))
        options = (_by_version_1 if self.own_account
                   else _at_the_keystone_of)
        self.b = start(swift_of=self.a.info,
                       extra_options=options(self.a.info))

    def _restart_cinder(self, options):
        """Cinder of A, with an empty database."""
        cinder = self.a.cinder
        cinder.stop()
        cinder.lose_database()
        cinder.extra_options.update(options)
        cinder.start()
        self.addCleanup(cinder.stop)
        cinder.wait()

    def _chain(self):
        """A full backup and an incremental, with what the volume was."""
        volume = self.make_volume(10)
        found = []
        for number in range(2):
            self.write(volume, (5 + number) * MIB, b'change %d' % number)
            backup = self.back_up(volume, incremental=bool(number))
            found.append((backup, self.sha256(volume)))
        return found, self.volume_path(volume).rename(
            self.a.info.directory / 'expected')

    def _restored(self, chain):
        """All of a chain comes back, as what it was."""
        for backup, expected in chain:
            found = self.cinder.backups.get(backup.id)
            self.assertEqual(expected, self.sha256(self.restore(found)))

    def _program(self, cloud):
        """The command, with a login that a cloud has for it."""
        if self.own_account:
            user = self.a.info.v1
            return command.Command(self, {
                'ST_AUTH': user.auth_url, 'ST_USER': user.username,
                'ST_KEY': user.password})
        if cloud is self.a.info:
            return command.Command(self, cloud.os_environment(cloud.demo))
        return command.Command(self, {
            **cloud.os_environment(cloud.cinder),
            'OS_OBJECT_STORE_ENDPOINT_OVERRIDE': self.account_url})

    def _exported(self, chain):
        """The records of Cinder itself."""
        exporter = self.client(self.demo_admin)
        return [(record['backup_service'], record['backup_url'])
                for record in (exporter.backups.export_record(backup.id)
                               for backup, _ in chain)]

    def _import_all(self, program, chain):
        """As the documentation has it, by the client of Cinder."""
        program.shell(
            'cinder-swift-backup export-record --all -f value '
            '-c backup_service -c backup_url | while read service url; do '
            'cinder backup-import "$service" "$url"; done',
            self.cloud.os_environment(self.demo_admin))
        for backup, _ in chain:
            self.wait(self.cinder.backups,
                      self.cinder.backups.get(backup.id), 'available')

    def test_all_stages_of_loss(self):
        self.use(self.a.info)
        self.account_url = base.keystone_session(
            self.cloud.demo, self.cloud.auth_url).get_endpoint(
                service_type='object-store')
        chain, path = self._chain()
        tip = chain[-1][0]
        # A is as it was. B restores what A exported.
        records = self._exported(chain)
        self.use(self.b.info)
        self.import_records(records)
        self._restored(chain)
        # A has lost its database. Its new one gets the records from Swift.
        self._restart_cinder({})
        self.use(self.a.info)
        self.assertEqual([], self.cinder.backups.list())
        self._import_all(self._program(self.cloud), chain)
        self._restored(chain)
        # Nothing is left of A, and Swift takes the users of B.
        processes.stop_all(self.a.cinder.children()
                           + self.a.keystone.children())
        self.a.swift.trust(self.b.info)
        restored = self._program(self.b.info).restored(tip.id)
        self.assertTrue(filecmp.cmp(restored, path, shallow=False))
