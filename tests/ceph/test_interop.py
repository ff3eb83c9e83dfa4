# SPDX-License-Identifier: Apache-2.0

"""Both drivers, and the command, on images in Ceph."""

import contextlib
import shlex

import fixtures
from os_brick.initiator import linuxrbd
import testscenarios

from tests.ceph import lies
from tests.cloud import ceph
from tests.cloud import volumes
from tests.functional import cinder_side
from tests.functional import command
from tests.functional import test_interop
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

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


class InteropTestCase(testscenarios.WithScenarios, ImagesTestCase):
    """A chain of both drivers, which both restore."""

    scenarios = (
        ('ours first', {'drivers': (OURS, STOCK, OURS, OURS)}),
        ('stock first', {'drivers': (STOCK, OURS, OURS, STOCK)}))

    def test_chain(self):
        image = test_interop.make_image()
        volume, name = self.make_volume(image)
        history = []
        parent = None
        log = self.useFixture(fixtures.FakeLogger())
        for seed, driver in enumerate(self.drivers):
            parent = self.back_up(driver, volume, name, parent)
            history.append((parent, bytes(image)))
            before = bytes(image)
            test_interop.change(image, seed)
            self.change(name, before, image)
        # Both chains have one of ours on one of the stock driver, and another
        # on one of ours.
        self.assertEqual(1, log.output.count('All of the volume is read'))
        self.assertNotIn(lies.WORDS, log.output)
        for backup, expected in history:
            for reader in (OURS, STOCK):
                for old in (b'', b'\xa5'):
                    self.assertEqual(expected, self.restored(
                        reader, backup, len(expected), old))


class CommandTestCase(ImagesTestCase):
    """A backup becomes an image without Cinder."""

    def test_import_from_a_pipe(self):
        image = test_interop.make_image()
        volume, name = self.make_volume(image)
        backup = self.back_up(OURS, volume, name)
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        self.addCleanup(self.remove_image, f'{name}-copy')
        target = shlex.join(('rbd', '--conf', str(self.conffile), 'import',
                             '-', f'{ceph.POOL}/{name}-copy'))
        program.shell(
            f'cinder-swift-backup restore {backup.id} - --container '
            f'{self.container} | {target}', {})
        self.assertEqual(bytes(image), self.content(f'{name}-copy'))
