# SPDX-License-Identifier: Apache-2.0

"""Thirty-two nights of a nightly job, with the real Cinder and Swift.

An operator has the stock driver at first, then ours, then packs. Each night,
volumes change and ``run`` backs them up and deletes what the policy lets go.
What is left is compared with what the words of the policy say, and restored.
"""

import datetime
import pathlib
import random
import tempfile

from tests.cloud import moved_clock
from tests.functional import api
from tests.functional import command
from tests.functional.api import MIB

_STOCK = 'cinder.backup.drivers.swift.SwiftBackupDriver'
_OURS = 'cinder_swift_backup.driver.SwiftBackupDriver'
_NIGHTS = 32
# What the service is from which night on.
_SERVICES = {
    0: (_STOCK, {}),
    10: (_OURS, {'backup_swift_full_after': 4}),
    22: (_OURS, {'backup_swift_form': 'packs'})}
_DAYS, _WEEKS = 5, 3
# Each week has a full backup, or no chain of the stock driver would ever end.
_FULL = 7


class NightsTestCase(api.ApiTestCase):
    """Two volumes of one policy, and one of none."""

    # All of it ends with the cloud.
    cloud_stays = False

    def setUp(self):
        super().setUp()
        directory = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()))
        self.clock = self.enterContext(moved_clock.for_children(directory))
        self.moved = self.start_cloud(
            concurrency=self.cloud.concurrency,
            backup_driver=_SERVICES[0][0])
        self.use(self.moved.info)
        self.program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        self.lock = directory / 'lock'
        self.of_policy = [self.make_volume(4, seed) for seed in range(2)]
        for volume in self.of_policy:
            self.cinder.volumes.set_metadata(
                volume, {'backup_policy': 'gold'})
        self.make_volume(4)
        # By backup: when it was made, of what volume, with what content.
        self.made = {}

    def test_what_is_left(self):
        start = self.clock.now().replace(hour=2, minute=0, second=0)
        for night in range(_NIGHTS):
            self.clock.move_to(start + datetime.timedelta(days=night + 1))
            if night in _SERVICES:
                self._become(*_SERVICES[night])
                # What the last service has made, the new one restores.
                self._check(_DAYS, _WEEKS)
            self._night(night)
        self._check(_DAYS, _WEEKS)
        for options in (('--dry-run',), ('--yes',)):
            self.program.run('forget', '--policy', 'gold', '--keep-last', '2',
                             *options)
            self._check(*((_DAYS, _WEEKS) if options == ('--dry-run',)
                          else (2, 0)))

    def _check(self, days, weeks):
        """What is left is what it should be, and all of it restores."""
        left = {backup.id: backup for backup in self.cinder.backups.list()}
        self.assertLessEqual(set(left), set(self.made))
        for volume in self.of_policy:
            self._check_kept(volume, left, days, weeks)
        if not left:
            return
        rows = self.program.json('verify', '--all', '--deep')
        self.assertEqual({(backup_id, 'verified') for backup_id in left},
                         {(row['Backup'], row['State']) for row in rows})
        for backup in left.values():
            restored = self.restore(backup)
            self.assertEqual(self.made[backup.id][2], self.sha256(restored),
                             backup.id)
            self.forget_volume(restored)

    def _become(self, driver, options):
        cinder = self.moved.cinder
        cinder.stop()
        cinder.backup_driver = driver
        cinder.extra_options.update(options)
        cinder.start()
        cinder.wait()

    def _night(self, night):
        choice = random.Random(night)
        for volume in self.of_policy:
            self.write(volume, choice.randrange(900) * MIB,
                       choice.randbytes(MIB // 4))
        rows = self.program.json(
            'run', '--policy', 'gold', '--lock', self.lock, '--sample', '20',
            '--keep-daily', _DAYS, '--keep-weekly', _WEEKS,
            *(['--full'] if night % _FULL == 0 else []))
        self.assertEqual(
            {(volume.id, 'backed up', '', 'sampled')
             for volume in self.of_policy},
            {(row['Volume'], row['Result'], row['Problem'], row['Verified'])
             for row in rows}, f'night {night}')
        for row in rows:
            volume, = (each for each in self.of_policy
                       if each.id == row['Volume'])
            self.made[row['Backup']] = (self.clock.now(), volume.id,
                                        self.sha256(volume))

    def _check_kept(self, volume, left, days, weeks):
        """What the policy says is there, and all else is needed by that."""
        mine = {backup_id: when for backup_id, (when, of, _)
                in self.made.items() if of == volume.id}
        newest_first = sorted(mine, key=mine.get, reverse=True)
        said = set(newest_first[:days])
        of_weeks = {}
        for backup_id in newest_first:
            of_weeks.setdefault(mine[backup_id].isocalendar()[:2], backup_id)
        said |= set(list(of_weeks.values())[:weeks])
        self.assertLessEqual(said, set(left))
        needed = set(said)
        kinds = {row['Backup']: row['Kind']
                 for row in self.program.json('list')}
        for backup_id in said:
            # What is in packs needs no other backup.
            if kinds[backup_id] != 'packs':
                needed |= {link['backup'] for link in self.program.json(
                    'show', backup_id)['Chain']}
        self.assertEqual(needed & set(mine), set(left) & set(mine))
