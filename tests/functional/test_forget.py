# SPDX-License-Identifier: Apache-2.0

"""Retention of what the real Cinder has records of."""

from tests import selection
from tests.functional import api
from tests.functional import command


class ForgetTestCase(api.ApiTestCase):
    """Three chains, of which an old one is pinned."""

    def setUp(self):
        super().setUp()
        self.program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        self.volume = self.make_volume(1)
        self.backups = [
            self._backup(number, incremental=bool(number % 2),
                         metadata={'keep': 'yes'} if number == 3 else {})
            for number in range(6)]

    def _backup(self, number, **options):
        self.write(self.volume, 0, b'%d' % number)
        backup = self.back_up(self.volume, name=f'night {number}', **options)
        return backup, self.sha256(self.volume)

    def _forget(self, *arguments):
        """By their names, what becomes of the backups, and why."""
        names = {backup.id: number
                 for number, (backup, _) in enumerate(self.backups)}
        return {
            names[row['Backup']]: (row['Result'], *row['Because'])
            for row in self.program.json(
                'forget', *arguments, '--keep-last', '1', '--keep-tag',
                'keep=yes')}

    def _names(self):
        return sorted(backup.name for backup in self.cinder.backups.list(
            search_opts={'volume_id': self.volume.id}))

    def test_forget(self):
        kept = {
            2: ('kept', f'needed by {self.backups[3][0].id[:8]}'),
            3: ('kept', 'pinned'),
            4: ('kept', f'needed by {self.backups[5][0].id[:8]}'),
            5: ('kept', 'last 1')}
        usage = self._usage()
        self.assertEqual(
            {**kept, 0: ('would be deleted',), 1: ('would be deleted',)},
            self._forget('--volume', self.volume.id, '--dry-run'))
        self.assertEqual(6, len(self._names()))
        self.cinder.volumes.set_metadata(self.volume,
                                         {'backup_policy': 'gold'})
        self.assertEqual(
            {**kept, 0: ('deleted',), 1: ('deleted',)},
            self._forget('--policy', 'gold'))
        self.assertEqual([f'night {number}' for number in range(2, 6)],
                         self._names())
        # Quotas count what is left.
        self.assertEqual(usage - 2, self._usage())
        for backup, _ in self.backups[:2]:
            self.assertEqual([], [name for name
                                  in self.object_names(self.container)
                                  if backup.id in name])
        self.assertEqual(kept, self._forget('--policy', 'gold'))
        for backup, expected in self.backups[2:]:
            self.assertEqual(expected, self.sha256(self.restore(backup)))

    @selection.modes(selection.Modes.EVERYTHING)
    def test_what_there_is_to_see(self):
        where = ('--volume', self.volume.id)
        # The first block of the volume was written between them.
        found = self.program.json('diff', 'latest~1', 'latest', *where)
        self.assertEqual(0, found['Extents'][0]['offset'])
        self.assertEqual((1, 1 << 30), (len(found['Extents']), found['Size']))
        self.assertLess(found['Differs'], api.MIB)
        self.assertEqual(
            [self.backups[4][0].id, self.backups[5][0].id],
            [found['From'], found['To']])
        found = self.program.json('estimate', self.volume_path(self.volume),
                                  *where)
        self.assertEqual(0, found['Differs'])
        self.assertEqual([], self.program.json('list', '--stale-after', '1h',
                                               *where))
        bare = self.make_volume()
        self.assertEqual([], self.program.json(
            'list', '--stale-after', '1h', '--volume', bare.id))
        self.program.run('verify', '--deep', *where)
        rows = self.program.json('list', '--long', *where)
        self.assertEqual(6, len([row for row in rows if row['Verified']]))
        told = self.program.run('metrics', '-').stdout
        mine = [line for line in told.splitlines() if self.volume.id in line]
        self.assertTrue(any(
            line.startswith('cinder_swift_backup_last_verified_timestamp')
            and not line.endswith(' 0.0') for line in mine), mine)
        self.assertIn(bare.id, told)

    def _usage(self):
        """How many backups Cinder counts for the quota of the project."""
        project_id = self.cinder.client.session.get_project_id()
        return self.cinder.quotas.get(project_id, usage=True).backups['in_use']
