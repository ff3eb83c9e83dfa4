# SPDX-License-Identifier: Apache-2.0

"""Both drivers, and the command, on images in Ceph."""

import shlex

import fixtures
import testscenarios

from tests.ceph import images
from tests.ceph import lies
from tests.cloud import ceph
from tests.functional import command
from tests.functional import content
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK


class InteropTestCase(testscenarios.WithScenarios, images.ImagesTestCase):
    """A chain of both drivers, which both restore."""

    scenarios = (
        ('ours first', {'drivers': (OURS, STOCK, OURS, OURS)}),
        ('stock first', {'drivers': (STOCK, OURS, OURS, STOCK)}))

    def test_chain(self):
        image = content.make_image()
        volume, name = self.make_volume(image)
        history = []
        parent = None
        log = self.useFixture(fixtures.FakeLogger())
        for seed, driver in enumerate(self.drivers):
            parent = self.back_up(driver, volume, name, parent)
            history.append((parent, bytes(image)))
            before = bytes(image)
            content.change(image, seed)
            self.change(name, before, image)
        # Both chains have one of ours on one of the stock driver, and another
        # on one of ours.
        self.assertEqual(1, log.output.count('reads the whole volume'))
        self.assertNotIn(lies.WORDS, log.output)
        for backup, expected in history:
            for reader in (OURS, STOCK):
                for old in (b'', b'\xa5'):
                    self.assertEqual(expected, self.restored(
                        reader, backup, len(expected), old))


class CommandTestCase(images.ImagesTestCase):
    """A backup becomes an image without Cinder."""

    def test_import_from_a_pipe(self):
        image = content.make_image()
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
