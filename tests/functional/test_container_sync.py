# SPDX-License-Identifier: Apache-2.0

"""Two sites: Swift copies the backups of one to the other, which burns."""

import dataclasses
import datetime
import json
import pathlib
import random
import shutil
import tempfile
import time
from unittest import mock
import uuid

from cinder import exception as cinder_exception
from swiftclient import client

from cinder_swift_backup import engine as engines
from cinder_swift_backup.driver import concurrency
from cinder_swift_backup.driver import records
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport
from tests import selection
from tests.cloud import processes
from tests.cloud import swift as cloud_swift
from tests.fakes import blobs
from tests.functional import base
from tests.functional import cinder_side
from tests.functional import command
from tests.functional import content
from tests.functional.api import MIB
from tests.functional.cinder_side import OURS

_REALM = 'backups'
_KEY = 'the key of both containers'


class SitesTestCase(cinder_side.CinderSideTestCase):
    """Two Swifts, a and b, with one Keystone, and a driver at a."""

    def setUp(self):
        super().setUp()
        self.need('directory', 'cinder')
        self.sites = self._start_sites()
        self.stores = {name: self._store(name) for name in self.sites}
        self.configure(
            backup_swift_url=f'{self.urls["a"]}/AUTH_',
            backup_swift_container_sync_to=f'//{_REALM}/b',
            backup_swift_container_sync_key=_KEY)
        self.segments = naming.segments_container(self.container)

    def _start_sites(self):
        ports = processes.free_ports(2)
        self.urls = {name: f'http://{processes.HOST}:{port}/v1'
                     for name, port in zip('ab', ports, strict=True)}
        clusters = {name: f'{url}/' for name, url in self.urls.items()}
        realm_key = uuid.uuid4().hex
        sites = {}
        for name, url in self.urls.items():
            directory = pathlib.Path(tempfile.mkdtemp(
                prefix=f'site-{name}-', dir=self.cloud.directory))
            self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
            sites[name] = cloud_swift.Swift(
                dataclasses.replace(self.cloud,
                                    swift_url=url.removesuffix('/v1')),
                directory, site=cloud_swift.SyncSite(
                    _REALM, name, realm_key, {
                        other: each for other, each in clusters.items()
                        if other != name}))
        self.addCleanup(lambda: processes.stop_all(
            child for site in sites.values() for child in site.children()))
        for site in sites.values():
            site.start()
        for site in sites.values():
            site.wait()
        return sites

    def _account_url(self, name):
        return f'{self.urls[name]}/AUTH_{self.context.project_id}'

    def _store(self, name):
        session = base.keystone_session(self.cloud.demo)
        store = swift.SwiftStore(swift_session.Session(
            credentials.SessionCredentials(
                session, service_type='object-store', interface='public',
                region=None, url=self._account_url(name)),
            transport.Transport(retries=1, backoff=0.1)))
        self.addCleanup(store.close)
        return store

    def _empty_container(self):
        """Both Swifts are gone with all they have."""

    def _receive(self, *containers):
        """Make the containers of the other site."""
        for container in containers:
            self.stores['b'].ensure_container(container, create=True)
            self._post('b', container)

    def _post(self, name, container):
        session = base.keystone_session(self.cloud.demo)
        client.post_container(
            self._account_url(name), session.get_token(), container,
            {'X-Container-Sync-Key': _KEY})

    def _program(self, name):
        login = self.cloud.os_environment(self.cloud.demo)
        return command.Command(self, {
            **login,
            'OS_OBJECT_STORE_ENDPOINT_OVERRIDE': self._account_url(name)})

    def _names(self, name, container=None):
        return [info.name for info in self.stores[name].list(
            container or self.container, '')]

    def _chain(self):
        image = content.make_image()
        self.volume, self.path = volume, path = self.make_volume(image)
        full = self.back_up(OURS, volume, path)
        first = bytes(image)
        content.change(image, seed=1)
        path.write_bytes(image)
        tip = self.back_up(OURS, volume, path, parent=full)
        return (full, first), (tip, bytes(image))


class ContainerSyncTestCase(SitesTestCase):
    """What the other site has, and what it can do with it."""

    def test_the_other_site_restores(self):
        (full, first), (tip, last) = self._chain()
        self.assertEqual(
            store_base.Sync(f'//{_REALM}/b/AUTH_{self.context.project_id}/'
                            f'{self.container}', _KEY),
            self.stores['a'].sync(self.container))
        self._receive(self.container)
        program = self._program('b')
        self.assertEqual([], program.json('list'))
        self.sites['a'].sync_containers()
        self.assertEqual(self._names('a'), self._names('b'))
        processes.stop_all(self.sites['a'].children())
        self.assertEqual(
            [(full.id, 'complete'), (tip.id, 'complete')],
            [(row['Backup'], row['State']) for row in program.json('list')])
        self.assertEqual(
            ['verified'] * 2,
            [row['State'] for row in program.json('verify', '--all',
                                                  '--deep')])
        for backup, expected in ((full, first), (tip, last)):
            self.assertEqual(expected,
                             program.restored(backup.id).read_bytes())

    @selection.modes(selection.Modes.EVERYTHING)
    def test_what_is_still_to_come(self):
        (full, _), (tip, last) = self._chain()
        self._receive(self.container)
        self.sites['a'].sync_containers()
        program = self._program('b')
        late = naming.chunk_name(full.service_metadata, 0)
        data = blobs.get(self.stores['b'], self.container, late)
        self.stores['b'].delete(self.container, late)
        rows = program.json('verify', '--all', code=6)
        self.assertEqual(['arriving'] * 2, [row['State'] for row in rows])
        self.assertEqual(late, rows[0]['Object'])
        target = self.directory / 'target'
        done = program.run('restore', tip.id, target, code=6)
        self.assertIn(full.id, done.stderr)
        self.assertFalse(target.exists())
        # Nothing of a copy is deleted.
        self.assertEqual([], program.json('orphans', '--delete', '--grace',
                                          '0'))
        program.run('delete', tip.id, code=3)
        # It never came.
        self.assertEqual(['damaged'] * 2, [
            row['State'] for row in program.json('verify', '--all',
                                                 '--grace', '0', code=7)])
        # Other bytes under its name do not get better by waiting.
        blobs.put(self.stores['b'], self.container, late, data[::-1])
        self.assertEqual('damaged', program.json(
            'verify', full.id, code=7)[0]['State'])
        blobs.put(self.stores['b'], self.container, late, data)
        self.assertEqual(last, program.restored(tip.id).read_bytes())

    def test_newest_that_is_whole(self):
        (full, first), (tip, last) = self._chain()
        self._receive(self.container)
        self.sites['a'].sync_containers()
        program = self._program('b')
        names = [name for name in self._names('b')
                 if name.startswith(tip.service_metadata)]
        saved = {name: blobs.get(self.stores['b'], self.container, name)
                 for name in names[:-1]}
        for name in saved:
            self.stores['b'].delete(self.container, name)
        done = program.run('list', '-f', 'json')
        self.assertEqual(['complete', 'arriving'], [
            row['State'] for row in json.loads(done.stdout)])
        self.assertRegex(done.stderr, r'is a copy.* 1 of 1 volume lags behind')
        target = self.directory / 'newest'
        latest = ('restore', '--latest-complete', full.volume_id, target)
        program.run(*latest)
        self.assertEqual(first, target.read_bytes())
        for name, data in saved.items():
            blobs.put(self.stores['b'], self.container, name, data)
        program.run(*latest, '--force')
        self.assertEqual(last, target.read_bytes())
        done = program.run('list')
        self.assertRegex(done.stderr, r'0 of 1 volume lags behind\.')

    @selection.modes(selection.Modes.EVERYTHING)
    def test_digests_that_are_a_large_object(self):
        self._check_segments()

    @selection.modes(selection.Modes.EVERYTHING)
    def test_container_that_somebody_else_has_copied(self):
        self.configure(backup_swift_container_sync_to=None,
                       backup_swift_container_sync_key=None)
        self.stores['a'].ensure_container(
            self.container, create=True,
            sync=store_base.Sync(f'//{_REALM}/b', _KEY))
        self._check_segments()

    def _check_segments(self):
        for owner, name, value in (
                (digest_segments, 'LEAST', 8), (digest_segments, 'NORMAL', 16),
                (digest_objects, 'WORTH_SEGMENTS', 1), (digests, 'STEP', 8)):
            self.enterContext(mock.patch.object(owner, name, value))
        image = bytes(40 << 20) + bytes(content.make_image())
        volume, path = self.make_volume(image)
        backup = self.back_up(OURS, volume, path)
        self.assertTrue(self._names('a', self.segments))
        self._receive(self.container, self.segments)
        self.sites['a'].sync_containers()
        # Swift takes the large object after all of its segments.
        self.sites['a'].sync_containers()
        self.assertEqual(self._names('a', self.segments),
                         self._names('b', self.segments))
        program = self._program('b')
        self.assertEqual(image, program.restored(backup.id).read_bytes())
        gone = self._names('b', self.segments)[1]
        self.stores['b'].delete(self.segments, gone)
        (row,) = program.json('verify', backup.id, code=6)
        self.assertEqual(('arriving', gone), (row['State'], row['Object']))

    def test_place_that_the_cluster_does_not_know(self):
        self.configure(backup_swift_container_sync_to='//elsewhere/b')
        volume, path = self.make_volume(b'data')
        err = self.assertRaises(cinder_exception.BackupDriverException,
                                self.back_up, OURS, volume, path)
        self.assertIn('backup_swift_container_sync_to', str(err))


class PacksTestCase(SitesTestCase):
    """The same with packs, which outlive the backups that put them."""

    grace = datetime.timedelta(seconds=2)

    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.object(packer, 'FULL', MIB))
        self.configure(backup_swift_form='packs')
        (self.full, self.first), (self.tip, self.last) = self._chain()
        self._receive(self.container)
        self.sites['a'].sync_containers()
        self.program = self._program('b')

    def _states(self, *options, code=0):
        return {row['Backup']: row['State'] for row in self.program.json(
            'verify', '--all', *options, code=code)}

    def _check(self, backup, expected):
        self.assertEqual(expected,
                         self.program.restored(backup.id).read_bytes())

    def _latest(self):
        target = self.directory / 'newest'
        self.program.run('restore', '--latest-complete', self.full.volume_id,
                         target, '--force')
        return target.read_bytes()

    def _own(self, backup):
        return next(name for name in self._names('b')
                    if naming.maker(name) == (backup.volume_id, backup.id))

    @selection.modes(selection.Modes.EVERYTHING)
    def test_the_other_site_restores(self):
        self.assertEqual(self._names('a'), self._names('b'))
        processes.stop_all(self.sites['a'].children())
        self.assertEqual({self.full.id: 'verified', self.tip.id: 'verified'},
                         self._states('--deep'))
        self._check(self.full, self.first)
        self._check(self.tip, self.last)

    def test_what_is_still_to_come(self):
        late = self._own(self.tip)
        data = blobs.get(self.stores['b'], self.container, late)
        self.stores['b'].delete(self.container, late)
        self.assertEqual({self.full.id: 'complete', self.tip.id: 'arriving'},
                         self._states(code=6))
        done = self.program.run('list')
        self.assertRegex(done.stderr, r'is a copy.* 1 of 1 volume lags behind')
        self.assertEqual(self.first, self._latest())
        self.program.run('restore', self.tip.id, self.directory / 'x', code=6)
        # It never came.
        self.assertEqual({self.full.id: 'complete', self.tip.id: 'damaged'},
                         self._states('--grace', '0', code=7))
        # Other bytes under its name do not get better by waiting.
        blobs.put(self.stores['b'], self.container, late, data[::-1])
        self.assertEqual({self.full.id: 'complete', self.tip.id: 'damaged'},
                         self._states(code=7))
        self.stores['b'].delete(self.container, late)
        # Both need what the older one has put.
        shared = self._own(self.full)
        saved = blobs.get(self.stores['b'], self.container, shared)
        self.stores['b'].delete(self.container, shared)
        self.assertEqual({'arriving'}, set(self._states(code=6).values()))
        blobs.put(self.stores['b'], self.container, shared, saved)
        blobs.put(self.stores['b'], self.container, late, data)
        self.assertEqual(self.last, self._latest())

    def test_no_sweep_of_a_copy(self):
        before = self._names('b')
        (row,) = self.program.json('sweep', '--grace', '1')
        self.assertEqual('the container is a copy', row['Kept because'])
        self.assertEqual([], self.program.json('orphans', '--delete',
                                               '--grace', '0'))
        self.program.run('delete', self.full.id, code=3)
        (row, *_) = self.program.json('convert', '--all', '--to', 'chunks',
                                      code=7)
        self.assertIn('the container is a copy', row['Result'])
        self.assertEqual(before, self._names('b'))

    def test_a_sweep_while_the_other_site_lags(self):
        # Nothing of the first packs is left.
        image = bytes(random.Random(9).randbytes(len(self.last)))
        self.path.write_bytes(image)
        third = self.back_up(OURS, self.volume, self.path, parent=self.tip)
        ref = records.backup_ref(third)
        for old in (self.full, self.tip):
            OURS(self.context).delete_backup(old)
        engine = engines.Engine(self.stores['a'], concurrency.runtime(), 2)
        deleted = 0
        for _ in range(2):
            time.sleep(self.grace.total_seconds() + 1)
            deleted += len(sweeping.Sweeper(
                engine.repository, self.grace).sweep(sweeping.Volume(
                    ref.container, ref.prefix)).deleted)
        self.assertGreater(deleted, 0)
        # The other site has heard of nothing, and has all that it had.
        self.assertEqual({self.full.id: 'verified', self.tip.id: 'verified'},
                         self._states('--deep'))
        self._check(self.full, self.first)
        self.sites['a'].sync_containers()
        self.assertEqual(self._names('a'), self._names('b'))
        self.assertEqual({third.id: 'verified'}, self._states('--deep'))
        self._check(third, image)
