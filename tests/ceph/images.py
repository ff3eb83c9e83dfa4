# SPDX-License-Identifier: Apache-2.0

"""Tests on images in Ceph, without Cinder's API."""

import contextlib

from os_brick.initiator import linuxrbd

from tests.cloud import ceph
from tests.cloud import volumes
from tests.functional import cinder_side

_OBJECT = 1 << 22


class ImagesTestCase(cinder_side.CinderSideTestCase):
    """Volumes are images, which os-brick's handles are of."""

    def setUp(self):
        super().setUp()
        self.need('ceph_directory')
        self.conffile = self.cloud.ceph_directory / 'ceph.conf'
        self.ceph = volumes.CephVolumes(self.cloud.ceph_directory)
        self.addCleanup(self.ceph.close)
        self.configure(backup_swift_rbd_cbt=True)

    @contextlib.contextmanager
    def opened(self, path, mode):
        """The handle that os-brick gives to Cinder; any mode will do."""
        client = linuxrbd.RBDClient(
            'admin', ceph.POOL, conffile=str(self.conffile),
            rbd=self.ceph.rbd, rados=self.ceph.rados)
        handle = linuxrbd.RBDVolumeIOWrapper(linuxrbd.RBDImageMetadata(
            linuxrbd.RBDVolume(client, path), ceph.POOL, 'admin',
            str(self.conffile)))
        with contextlib.closing(handle):
            yield handle

    def make_volume(self, data, size_gb=1):
        """A volume's record, and the name of its image."""
        volume, path = super().make_volume(b'', size_gb)
        self.make_image(path.name, len(data))
        self.change(path.name, b'', data)
        return volume, path.name

    def make_image(self, name, size):
        """An image that goes when the test ends."""
        self.ceph.rbd.RBD().create(self.ceph.pool, name, size)
        self.addCleanup(self.remove_image, name)

    def remove_image(self, name):
        """Remove an image with its snapshots."""
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            for each in list(image.list_snaps()):
                image.remove_snap(each['name'])
        self.ceph.rbd.RBD().remove(self.ceph.pool, name)

    def change(self, name, before, after):
        """Write the objects of an image that are to change."""
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            for start in range(0, len(after), _OBJECT):
                piece = bytes(after[start:start + _OBJECT])
                if piece != before[start:start + _OBJECT]:
                    image.write(piece, start)

    def content(self, name):
        """All of an image."""
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            return image.read(0, image.size())

    def restored(self, reader, backup, size, old):
        """What an image has after a restore.

        :param old: what it is full of before; nothing if it is a new one
        """
        volume, name = self.make_volume(old * size or bytes(size))
        with self.opened(name, 'wb') as handle:
            self.restore_to(reader, backup, volume, handle, not old)
        return self.content(name)
