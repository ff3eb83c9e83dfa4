# SPDX-License-Identifier: Apache-2.0

"""A volume with a mark gets another type, and moves to another backend."""

import contextlib
import pathlib
import tempfile

import testscenarios

from tests import cloud as test_cloud
from tests.ceph import osd
from tests.ceph import tracking
from tests.cloud import ceph
from tests.cloud import cinder
from tests.cloud import volumes
from tests.functional.api import MIB

_OTHER_POOL = 'others'
_POOLS = {cinder.BACKEND: ceph.POOL, 'same': ceph.POOL, 'other': _OTHER_POOL}
_TYPES = {
    **{name: {'volume_backend_name': name} for name in _POOLS},
    # Cinder lets a driver move what differs in its backend only.
    'different': {'volume_backend_name': 'other', 'test:different': 'yes'}}


class RetypeTestCase(testscenarios.WithScenarios, tracking.TrackedTestCase):
    """A Cinder with three backends in two pools.

    Cinder's RBD driver leaves an image where it is if the other backend has
    the same pool, and else copies it without its snapshots; any other way is
    Cinder's own, which makes a volume, copies the bytes and exchanges names.
    """

    scenarios = (
        ('same pool', {'type': 'same', 'copied': False}),
        ('copy by Ceph', {'type': 'other', 'copied': True}),
        ('copy by Cinder', {'type': 'different', 'copied': True}))

    def find_log(self):
        """Start a Cinder of the test's own."""
        cluster = ceph.Ceph(self.cloud.ceph_directory)
        cluster.ceph('osd', 'pool', 'create', _OTHER_POOL, '8')
        cluster.ceph('osd', 'pool', 'application', 'enable', _OTHER_POOL,
                     'rbd')
        directory = pathlib.Path(tempfile.mkdtemp(
            prefix='own-cinder-', dir=self.cloud.directory))
        own = test_cloud.Cinder(
            self.cloud, directory, concurrency=self.cloud.concurrency,
            extra_options={'backup_swift_rbd_cbt': True,
                           'default_volume_type': cinder.BACKEND},
            ceph=cluster, pools=_POOLS)
        self.addCleanup(own.stop)
        own.start()
        own.wait()
        self.endpoint = own.url
        self.cinder = self.client(self.cloud.demo)
        self.admin = self.client(self.demo_admin)
        for name, specs in _TYPES.items():
            self.admin.volume_types.create(name).set_keys(specs)
        return own.log

    def _move(self):
        self.cinder.volumes.retype(self.volume, self.type, 'on-demand')
        self.wait_until(self._has_moved)
        self.volume = self.wait(self.cinder.volumes, self.volume, 'available')
        self.assertEqual(self.type == 'other',
                         'Successful RBD assisted' in self.log())
        if self.copied:
            self.volumes = volumes.CephVolumes(self.cloud.ceph_directory,
                                               _OTHER_POOL)
            self.addCleanup(self.volumes.close)

    def _has_moved(self):
        found = self.admin.volumes.get(self.volume.id)
        self.assertNotEqual('error', found.migration_status)
        return (found.volume_type, found.status) == (self.type, 'available')

    def _restored(self, backup):
        """The SHA-256 of a restore to a new volume, of the default type."""
        target = self.restore(backup)
        with contextlib.closing(volumes.CephVolumes(
                self.cloud.ceph_directory)) as found:
            return found.sha256(target.id)

    def test_incrementals(self):
        self.back_up(self.volume)
        self.write(self.volume, 305 * MIB, b'before')
        self._move()
        self.write(self.volume, 505 * MIB, b'after')
        with self.volumes.image(self.volume.id) as image:
            image.discard(700 * MIB, 8 * MIB)
        expected = self.sha256(self.volume)
        tip, count = self.incremental()
        self.assertEqual(self.copied, self.reads_all(tip.id))
        self.assertEqual(self.copied, count > osd.SAMPLE + 40 * MIB)
        self.assertEqual(expected, self._restored(tip))
        self.assertEqual([f'backup.{tip.id}.snap.csb'], self.marks())
        # From here on it is tracked again.
        self.write(self.volume, 105 * MIB, b'later')
        expected = self.sha256(self.volume)
        newest, count = self.incremental()
        self.assertFalse(self.reads_all(newest.id))
        self.assertLess(count, osd.SAMPLE + 12 * MIB)
        self.assertEqual(expected, self._restored(newest))
