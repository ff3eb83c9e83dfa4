# SPDX-License-Identifier: Apache-2.0

"""What users see of an error of the host: its disk, its database, its files.

Each happens in a service of its own, in the middle of its life.
"""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import tempfile

from tests import selection
from tests.cloud import certificates
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import rule
from tests.cloud.fault_proxy.rules import Slow
from tests.fakes import images
from tests.functional import reasons
from tests.functional.api import MIB

# Bytes a second, so that the only chunk takes some.
_RATE = MIB // 8


class SpoolTestCase(reasons.FailReasonTestCase):
    """The directory for temporary files goes."""

    def start(self):
        self.directory = self.own.directory / 'spool'
        self.directory.mkdir(parents=True)
        self.own.extra_options.update({
            **reasons.IMPATIENT,
            'backup_swift_spool_directory': self.directory,
            # Of 1 GiB, so many digests as are not kept in memory.
            'backup_swift_block_size': 512})
        super().start()

    def test_backup_and_restore(self):
        volume = self.make_volume()
        backup = self.back_up(volume)
        shutil.rmtree(self.directory)
        texts = (r'the directory for temporary files does not exist '
                 r'\(No such file or directory\)',
                 'Create it and let the user of cinder-backup write to it, '
                 'or set backup_swift_spool_directory (default: state_path).')
        self.fail_to_back_up(volume, *texts)
        self.fail_to_restore(backup, *texts)


class FilesTestCase(reasons.FailReasonTestCase):
    """A volume in a file that needs another one, as on NFS."""

    def start(self):
        self.own.extra_options.update(reasons.IMPATIENT)
        super().start()

    def test_backup(self):
        volume = self.make_volume()
        for name, *texts in (
                ('qcow2-overlay', 'the volume is in a qcow2 file that needs '
                                  'a backing file, which the backup would '
                                  'not include',
                 'Back up a snapshot of the volume instead.'),
                ('qcow2-data-file', 'the volume is in a qcow2 file that '
                                    'needs a data file, which the backup '
                                    'would not include',
                 'Copy it to a new volume, which is a whole file or a device, '
                 'and back up that.')):
            # As long as the volume, or not.
            for length in (None, 1 << 30):
                self.volume_path(volume).write_bytes(images.load(name))
                if length:
                    os.truncate(self.volume_path(volume), length)
                self.fail_to_back_up(volume, *texts)

    def test_whole_file(self):
        volume = self.make_volume()
        content = images.load('qcow2') + b'more of it' * MIB
        self.volume_path(volume).write_bytes(content)
        restored = self.restore(self.back_up(volume))
        self.assertEqual(content, self.volume_path(restored).read_bytes())


class CertificateTestCase(reasons.FailReasonTestCase):
    """The file of authorities is replaced by another."""

    def start(self):
        first, self.second = (certificates.Authority(pathlib.Path(
            tempfile.mkdtemp(prefix='authority-', dir=self.cloud.directory)))
            for _ in range(2))
        self.file = first.file
        self.start_proxy(certificate=first.issue())
        self.own.extra_options.update({
            **reasons.IMPATIENT,
            'backup_swift_ca_cert_file': self.file})
        super().start()

    def test_all_operations(self):
        volume = self.make_volume(1)
        backup = self.back_up(volume)
        right = self.file.read_bytes()
        shutil.copy(self.second.file, self.file)
        host = self.proxy.url.rpartition('/')[2]
        texts = (rf'Swift at {host} is not trusted: the certificate cannot be '
                 r'verified \(.*\)',
                 'Set backup_swift_ca_cert_file to its CA certificate.')
        self.fail_to_back_up(volume, *texts)
        self.fail_to_restore(backup, *texts)
        self.fail_to_delete(backup, *texts)
        self.file.write_bytes(right)
        self.delete_backup(backup)


class DatabaseTestCase(reasons.FailReasonTestCase):
    """The end of a backup cannot be noted for longer than it waits."""

    modes = selection.Modes.EVERYTHING

    def start(self):
        self.own.database_timeout = 1
        self.start_proxy()
        self.own.extra_options.update({
            'backup_swift_patience': 0,
            'backup_compression_algorithm': 'none'})
        super().start()

    def test_backup(self):
        volume = self.make_volume(1)
        self.proxy.apply(rule(Slow(_RATE), 'PUT', Kind.CHUNK),
                         rule(Slow(_RATE), 'DELETE', count=None))
        backup = self.start_backup(volume)
        self.wait_until(self.is_hit, 0)
        with self.database_locked():
            # What was stored is deleted when the driver has given up.
            self.wait_until(self.is_hit, 1, patience=300)
        self.assert_failed(
            backup, r"Cinder's database has not answered for \d+ s",
            'Repeat the operation when it answers again.')
        self.wait(self.cinder.volumes, volume, 'available')
        self.assertEqual([], self.object_names(self.container))

    def is_hit(self, number):
        """Whether a rule of the proxy has touched a request."""
        return self.proxy.hits()[number] > 0

    @contextlib.contextmanager
    def database_locked(self):
        """Have no one write to the database."""
        with contextlib.closing(sqlite3.connect(
                self.own.database, isolation_level=None,
                timeout=60)) as holder:
            holder.execute('BEGIN IMMEDIATE')
            yield
