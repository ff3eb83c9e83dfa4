# SPDX-License-Identifier: Apache-2.0

"""What the log of a real cinder-backup has that starts with a wrong option."""

import re
import shutil

from tests import selection
from tests.cloud import config_files
from tests.cloud import errors
from tests.cloud import processes
from tests.functional import cinder_side

_COLOUR = re.compile('\x1b\\[[0-9;]*m')
# Seconds.
_PATIENCE = 120
# More lines of a traceback than there are without its causes.
_LINES = 15


class StartTestCase(cinder_side.CinderSideTestCase):
    """A process of its own, with a database and nobody to talk to."""

    modes = selection.Modes.BOTH

    def _start(self, **options):
        """The lines of errors and warnings until the driver was checked."""
        conf = self.directory / 'cinder.conf'
        database = self.directory / 'cinder.sqlite'
        shutil.copyfile(cinder_side.database(), database)
        config_files.write(conf, {
            'DEFAULT': {
                'transport_url': 'fake://', 'state_path': self.directory,
                'backup_driver': f'{cinder_side.OURS.__module__}.'
                                 f'{cinder_side.OURS.__name__}', **options},
            'database': {'connection': f'sqlite:///{database}'},
            'oslo_concurrency': {'lock_path': self.directory}})
        log = self.directory / 'log'
        child = processes.Child(
            'cinder-backup',
            [processes.find_command('cinder-backup', 'cinder'),
             '--config-file', str(conf)], log,
            {'OS_CINDER_DISABLE_EVENTLET_PATCHING': str(int(
                self.cloud.concurrency == 'threading'))})
        self.addCleanup(processes.stop_all, [child])
        # The exception is the last that Cinder logs of it.
        child.wait_until(lambda: '\n' in log.read_text().partition(
            'BackupDriverException: ')[2].partition(
            'BackupDriverException: ')[2], _PATIENCE)
        # Logs are in colour up to 2024.1.
        return [line for line in _COLOUR.sub('', log.read_text()).splitlines()
                if ' ERROR ' in line or ' WARNING ' in line]

    def _check_one_line(self, *parts, warning='', **options):
        """One line of ours says it all, and Cinder's traceback is short."""
        lines = self._start(**options)
        *warnings, error = [
            line for line in lines
            if ' cinder_swift_backup.driver.' in line.partition('[')[0]]
        self.assertEqual(int(bool(warning)), len(warnings), warnings)
        self.assertIn(warning, ''.join(warnings))
        for part in (*parts, '"cinder-swift-backup check-config"'):
            self.assertIn(part, error)
        self.assertTrue(error.endswith('start the service again.'), error)
        behind = lines[lines.index(error) + 1:]
        self.assertLess(len(behind), _LINES)
        self.assertFalse([line for line in behind
                          if 'direct cause' in line or 'During' in line])

    def test_sizes(self):
        self._check_one_line(
            'backup_swift_block_size is 100 but must be at least 512. '
            'Correct it.', warning='Did you mean backup_swift_workers?',
            backup_swift_block_size=100, backup_swift_worker=5)

    def test_value_that_cinder_refuses(self):
        # It reads all options before it starts any driver.
        for value in (0, 'many'):
            error = self.assertRaises(errors.ChildDied, self._start,
                                      backup_swift_workers=value)
            last = str(error).rstrip().splitlines()[-2]
            self.assertIn('option backup_swift_workers ', last)

    def test_wrong_key(self):
        self._check_one_line(
            'backup_swift_key', backup_swift_auth='single_user',
            **{**cinder_side.version_3_options(self.cloud, self.cloud.demo),
               'backup_swift_key': 'wrong'})
