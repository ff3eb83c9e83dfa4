# SPDX-License-Identifier: Apache-2.0

"""What the page of encrypted volumes has one type, to open a restored one.

1. The volume is LUKS, or a qcow2 file that is encrypted inside, both made by
   ``qemu-img`` with the passphrase that Cinder makes of a key.
2. It is backed up by Cinder, and restored without it.
3. The commands are read from the page. Only what fetches a key from Barbican
   is done here instead, as the key manager keeps keys in files.
"""

import pathlib
import random
import re
import shutil
import subprocess
import tempfile

from tests.cloud import processes
from tests.functional import encrypted

_PAGE = 'doc/source/admin/encrypted-volumes.rst'
_TITLE = 'Restore without Cinder'
_SIZE = 8 << 20


class OpenedTestCase(encrypted.FileKeysTestCase):
    """What is in an encrypted volume, from Swift and the key alone."""

    def setUp(self):
        if not shutil.which('qemu-img'):
            self.skipTest('qemu-img is not installed')
        super().setUp()
        self.directory = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.content = random.Random(1).randbytes(_SIZE)
        self.steps = _commands()

    def test_luks(self):
        backup = self._back_up('luks', '')
        self._type(self._step('cinder-swift-backup restore', 'volume.luks'),
                   backup)
        self._check_opened(self._step('qemu-img', 'driver=luks'))
        if shutil.which('cryptsetup'):
            self._type('cryptsetup open --test-passphrase '
                       '--key-file passphrase volume.luks')

    def test_qcow2(self):
        backup = self._back_up('qcow2', 'encrypt.format=luks,encrypt.')
        self.assertEqual(
            'qcow2', self.program().json('show', backup.id)['File format'])
        self._type('cinder-swift-backup restore BACKUP volume.qcow2', backup)
        self._check_opened(self._step('qemu-img', 'driver=qcow2'))

    def _back_up(self, form, prefix):
        """A backup of such a volume; its passphrase is in a file then."""
        volume = self.make_encrypted()
        made, plain = self.directory / 'made', self.directory / 'plain'
        plain.write_bytes(self.content)
        (self.directory / 'made.key').write_text(self.key(volume))
        subprocess.run(
            ['qemu-img', 'convert', '--object',
             f'secret,id=key,file={self.directory}/made.key', '-f', 'raw',
             '-O', form, '-o',
             f'{prefix}key-secret=key,{prefix.rpartition(",")[2]}iter-time=10',
             plain, made], check=True, timeout=60)
        self.assertNotIn(self.content[:512], made.read_bytes())
        self.write(volume, 0, made.read_bytes())
        backup = self.back_up(volume)
        key_id = self._type(self._step('cinder-swift-backup show'), backup)
        key = (self.keys / key_id.strip()).read_text()
        (self.directory / 'key.bin').write_bytes(bytes.fromhex(key))
        self._type(self._step('od'))
        return backup

    def _check_opened(self, step):
        self._type(step)
        with open(self.directory / 'opened.raw', 'rb') as handle:
            self.assertEqual(self.content, handle.read(_SIZE))

    def _step(self, *parts):
        """The command of the page that has these parts."""
        step, = (each for each in self.steps
                 if each.startswith(parts[0])
                 and all(part in each for part in parts))
        return step

    def _type(self, step, backup=None):
        """Type a command; returns what it tells."""
        if backup is not None:
            step = step.replace('BACKUP', backup.id)
        return self.program().shell(
            f'cd {self.directory}\n{step}',
            self.cloud.os_environment(self.cloud.demo)).stdout


def _commands():
    """The commands of the section, each on one line."""
    text = (processes.ROOT / _PAGE).read_text()
    section = re.search(rf'^{_TITLE}\n=+\n(.*?)\n=+\n', text,
                        re.MULTILINE | re.DOTALL)[1]
    lines = re.findall('^    +(.*)$', section.replace('\\\n', ''),
                       re.MULTILINE)
    return [' '.join(each.split()) for each in lines]
