# SPDX-License-Identifier: Apache-2.0

"""What a nightly job does, with the real Cinder."""

import pathlib
import tempfile
import uuid

from tests import selection
from tests.functional import command
from tests.functional import own_cinder
from tests.functional.api import MIB


class RunTestCase(own_cinder.OwnCinderTestCase):
    """Two volumes of a policy, and another."""

    def setUp(self):
        super().setUp()
        project = self.cinder.client.session.get_project_id()
        self.program = command.Command(self, {
            **self.cloud.os_environment(self.cloud.demo),
            'OS_BLOCK_STORAGE_ENDPOINT_OVERRIDE':
                f'{self.own.url}/{project}'})
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.lock = pathlib.Path(directory) / 'lock'
        self.volumes_of_policy = [self.make_volume(1, seed)
                                  for seed in range(2)]
        self.make_volume(1)
        for volume in self.volumes_of_policy:
            self.cinder.volumes.set_metadata(volume,
                                             {'backup_policy': 'gold'})

    def _run(self, *arguments, code=0):
        """The rows, by the ids of the volumes."""
        rows = self.program.json(
            'run', '--policy', 'gold', '--lock', self.lock, '--sample', '50',
            *arguments, code=code)
        self.assertEqual({volume.id for volume in self.volumes_of_policy},
                         {row['Volume'] for row in rows})
        return {row['Volume']: row for row in rows}

    @selection.modes(selection.Modes.EVERYTHING)
    def test_some_nights(self):
        expected = {}
        for night in range(4):
            for volume in self.volumes_of_policy:
                self.write(volume, night * MIB, b'%d' % night)
                expected[volume.id] = self.sha256(volume)
            rows = self._run('--keep-last', '2',
                             *(['--full'] if night % 2 == 0 else []))
            for row in rows.values():
                self.forget_later(self.forget_backup, self.cinder.backups.get(
                    row['Backup']))
            self.assertEqual(
                {('backed up', '', 'sampled',
                  'incremental' if night % 2 else 'full')},
                {(row['Result'], row['Problem'], row['Verified'],
                  row['Asked for']) for row in rows.values()})
        page = self.program.run('report', '-').stdout
        for words in (*(volume.id for volume in self.volumes_of_policy),
                      '<b>3</b> volumes', '<b>4</b> complete backups'):
            self.assertIn(words, page)
        # The last chain of each.
        self.assertEqual(4, len(self.cinder.backups.list()))
        for volume_id, row in rows.items():
            backup = self.cinder.backups.get(row['Backup'])
            self.assertTrue(backup.is_incremental)
            self.assertEqual(expected[volume_id],
                             self.sha256(self.restore(backup)))

    def test_volumes_in_use(self):
        first, second = self.volumes_of_policy
        attachment = self.cinder.attachments.create(
            first.id, {'host': 'somewhere'}, str(uuid.uuid4()))
        self.cinder.attachments.complete(attachment['id'])
        self.wait(self.cinder.volumes, first, 'in-use')
        rows = self._run(code=5)
        self.assertEqual(('cannot be backed up', 'backed up'), (
            rows[first.id]['Result'], rows[second.id]['Result']))
        self.assertIn('use --snapshot or --force', rows[first.id]['Problem'])
        rows = self._run('--snapshot')
        self.assertEqual({('backed up', '')}, {
            (row['Result'], row['Problem']) for row in rows.values()})
        self.wait_until(lambda: not self.cinder.volume_snapshots.list())
        # The newest first.
        for backup in reversed(self.cinder.backups.list()):
            self.forget_later(self.forget_backup, backup)
