# SPDX-License-Identifier: Apache-2.0

"""``verify``."""

import datetime
import json
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import errors
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import scrubbing
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.fakes import points
from tests.unit.cli import base
from tests.unit.engine import base as engine_base

_Code = errors.ExitCode


class VerifyTest(base.CommandTestCase):
    """The exit code tells the worst, the rows tell what."""

    def _verify(self, code, *options):
        answer = self.run_command('verify', *options, '-f', 'json')
        self.assertEqual(code, answer.code, answer.err)
        rows = json.loads(answer.out)
        self.where = [row.pop('Container') for row in rows]
        return [tuple(row.values()) for row in rows]

    def test_complete(self):
        for word, how in (('complete', ()), ('verified', ('--deep',)),
                          ('sampled', ('--sample', '10%'))):
            whole = [('bak-1', word, '', ''), ('bak-2', word, '', '')]
            for which in (('bak-2',), ('bak-2', 'bak-1'), ('--all',),
                          ('--volume', 'vol-1'), ('--volume', 'v')):
                self.assertEqual(whole, self._verify(_Code.DONE, *which, *how))
            self.assertEqual(whole[:1],
                             self._verify(_Code.DONE, 'bak-1', *how))

    def _said(self, *options):
        """The exit code, and what stands below the table."""
        answer = self.run_command('verify', *options)
        return answer.code, [line for line in answer.err.splitlines()
                             if not line.startswith('fetching')]

    def test_summary(self):
        stored = quantities.size(sum(
            len(self.bench.get(name)) for name in self.bench.names()))
        for word, told, how in (
                ('complete', 'No data was fetched', ()),
                ('verified', 'matches its digests', ('--deep',)),
                ('sampled', 'Only a sample', ('--sample', '10'))):
            code, (line,) = self._said('--all', *how)
            self.assertEqual(_Code.DONE, code)
            self.assertTrue(line.startswith(
                f'Checked 2 backups in account memory: 2 {word}; {stored} '
                f'stored. '), line)
            self.assertIn(told, line)
        _, (line,) = self._said('bak-1', '--container', base.CONTAINER)
        self.assertIn(f'Checked 1 backup in account memory, container '
                      f'{base.CONTAINER}: 1 complete;', line)

    def test_summary_of_what_is_damaged(self):
        self.bench.memory.delete(
            base.CONTAINER, naming.digest_file_name(base.ref(2).prefix))
        code, (line,) = self._said('--all', '--deep')
        self.assertEqual(_Code.DAMAGED, code)
        self.assertIn(': 1 damaged, 1 verified;', line)

    def test_nothing_is_not_well(self):
        for info in list(self.bench.memory.list(base.CONTAINER, '')):
            self.bench.memory.delete(base.CONTAINER, info.name)
        for options, what in (
                (('--all',), ''), (('--all', '--deep'), ''),
                (('--volume', 'vol-1'),
                 " of a volume whose id begins with 'vol-1'")):
            self.assertEqual(
                (_Code.SELECTION,
                 [f'There are no backups{what} in account memory.']),
                self._said(*options))

    def test_expectations(self):
        met = ('--expect-at-least', '2', '--expect-volume', 'vol-1')
        self.assertEqual(_Code.DONE, self._said('--all', *met)[0])
        code, (_, *lines) = self._said(
            '--all', '--expect-at-least', '3', '--expect-volume', 'vol-1',
            '--expect-volume', 'vol-2')
        self.assertEqual(_Code.SELECTION, code)
        self.assertEqual(
            ['Expected at least 3 complete backups, but found 2.',
             'Found no complete backup of volume vol-2.'], lines)
        # What is damaged does not count, and is worse than what is missing.
        self.bench.memory.delete(base.CONTAINER,
                                 naming.chunk_name(base.ref(1).prefix, 4))
        code, (_, *lines) = self._said('--all', *met)
        self.assertEqual((_Code.DAMAGED, 2), (code, len(lines)))

    def test_a_look_fetches_nothing(self):
        self.store.heal()
        self._verify(_Code.DONE, '--all')
        self.assertEqual({naming.manifest_name(base.ref(number).prefix)
                          for number in (1, 2)},
                         set(self.store.names('read')))

    def test_chunk_that_is_not_there(self):
        gone = naming.chunk_name(base.ref(1).prefix, 4)
        self.bench.memory.delete(base.CONTAINER, gone)
        first, second = self._verify(_Code.DAMAGED, 'bak-2')
        self.assertEqual(('bak-1', 'damaged', gone, 'missing'), first)
        self.assertEqual(('bak-2', 'damaged'), second[:2])
        self.assertIn(gone, second[3])
        self.assertEqual([first, second],
                         self._verify(_Code.DAMAGED, '--all', '--deep'))

    def test_listed_and_gone(self):
        gone = naming.chunk_name(base.ref(1).prefix, 4)
        self.store.script(faulty.fail(
            'stat', exceptions.ObjectNotFound('there is no such object'),
            matching=lambda name: name == gone))
        first, second = self._verify(_Code.DAMAGED, '--all')
        self.assertEqual(('bak-1', 'damaged', gone), first[:3])
        self.assertIn('is missing', first[3])
        self.assertEqual(('bak-2', 'damaged'), second[:2])

    def test_object_that_will_expire(self):
        for name in (naming.chunk_name(base.ref(1).prefix, 4),
                     naming.manifest_name(base.ref(1).prefix),
                     naming.digest_file_name(base.ref(1).prefix)):
            self.bench.memory.expiries = {(base.CONTAINER, name):
                datetime.datetime(2027, 1, 2, 3, 4, 5, 6, datetime.UTC)}
            first, _ = self._verify(_Code.DAMAGED, '--all')
            self.assertEqual(('bak-1', 'damaged', name), first[:3])
            self.assertIn('2027-01-02T03:04:05', first[3])

    def test_what_only_fetching_finds(self):
        # As when the object server delivers other bytes than it has.
        name = naming.chunk_name(base.ref(1).prefix, 4)
        self.store.script(faulty.alter(
            'read', lambda data: data[:-1],
            matching=lambda other: other == name))
        self._verify(_Code.DONE, '--all')
        first, second = self._verify(_Code.DAMAGED, '--all', '--deep')
        self.assertEqual(('bak-1', 'damaged', name), first[:3])
        self.assertEqual(('bak-2', 'damaged', '', 'it builds on backup bak-1'),
                         second)

    def test_child_that_is_listed_first(self):
        # The clock of the host that made the parent was ahead.
        self.bench.archive(3, base.DATA)
        self.bench.archive(0, base.NOW, parent=3)
        rows = self._verify(_Code.DONE, '--all')
        self.assertEqual(['bak-3', 'bak-0', 'bak-1', 'bak-2'],
                         [row[0] for row in rows])
        name = naming.chunk_name(base.ref(3).prefix, 4)
        self.store.script(faulty.alter(
            'read', lambda data: data[:-1],
            matching=lambda other: other == name))
        rows = self._verify(_Code.DAMAGED, '--all', '--deep')
        self.assertEqual(['damaged', 'damaged', 'verified', 'verified'],
                         [row[1] for row in rows])

    def test_object_that_cannot_be_had(self):
        name = naming.chunk_name(base.ref(1).prefix, 4)
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('500 for ever', name=name),
            matching=lambda other: other == name))
        self.bench.archive(3, base.DATA)
        rows = self._verify(_Code.STORE, '--all', '--deep')
        self.assertEqual(['unknown', 'unknown', 'verified'],
                         [row[1] for row in rows])
        self.assertEqual(name, rows[0][2])
        self.assertIn('500 for ever', rows[0][3])
        self.assertIn('bak-1', rows[1][3])

    def test_manifest_that_goes_meanwhile(self):
        name = naming.manifest_name(base.ref(2).prefix)
        self.store.script(faulty.fail(
            'read', exceptions.ObjectNotFound('gone'), nth=2,
            matching=lambda other: other == name))
        rows = self._verify(_Code.DAMAGED, '--all', '--deep')
        self.assertEqual(['verified', 'damaged'], [row[1] for row in rows])

    def test_manifest_that_is_replaced_meanwhile(self):
        name = naming.manifest_name(base.ref(1).prefix)
        self.store.script(faulty.fail(
            'read', exceptions.FormatError('it is another'), nth=2,
            matching=lambda other: other == name))
        first, second = self._verify(_Code.DAMAGED, '--all', '--deep')
        self.assertEqual(('damaged', 'damaged'), (first[1], second[1]))
        self.assertIn('it is another', first[3])
        self.assertIn('bak-1', second[3])

    def test_no_room_for_digests(self):
        for options in ((), ('--debug',)):
            with mock.patch.object(
                    deep.Checker, 'check', autospec=True, side_effect=[
                        [], exceptions.SpoolError('it is full')]):
                answer = self.run_command(
                    *options, 'verify', '--all', '--deep', '-f', 'json')
            self.assertEqual(_Code.TARGET, answer.code)
            (row,) = json.loads(answer.out)
            self.assertEqual(('bak-1', 'verified'),
                             (row['Backup'], row['State']))
            self.assertIn('it is full', answer.err)
            self.assertIn('Make room', answer.err)
            self.assertIn('This is what was checked so far', answer.err)
            self.assertNotIn('Checked 2', answer.err)

    def test_interrupted(self):
        self.store.script(faulty.fail(
            'read', KeyboardInterrupt(),
            matching=lambda name: name.startswith(f'{base.ref(2).prefix}-')))
        answer = self.run_command('verify', '--all', '--deep',
                                  '--expect-at-least', '2')
        self.assertNotIn('Expected', answer.err)
        self.assertNotIn('Checked', answer.err)
        self.store.script(faulty.fail(
            'read', KeyboardInterrupt(),
            matching=lambda name: name.startswith(f'{base.ref(2).prefix}-')))
        rows = self._verify(_Code.INTERRUPTED, '--all', '--deep')
        self.assertEqual([('bak-1', 'verified', '', '')], rows)

    def test_object_that_no_manifest_names(self):
        name = naming.chunk_name(base.ref(1).prefix, 99999)
        self.bench.put(name, b'x')
        self._verify(_Code.DONE, '--all')
        rows = self._verify(_Code.DAMAGED, '--all', '--grace', '0')
        self.assertEqual(
            [('bak-1', 'orphaned', name), ('bak-1', 'complete', ''),
             ('bak-2', 'complete', '')], [row[:3] for row in rows])

    def test_two_copies(self):
        # As after a container was copied by hand.
        self.bench.memory.ensure_container('other', create=True)
        for name in self.bench.names():
            self.bench.put(name, self.bench.get(name), 'other')
        self.store.heal()
        rows = self._verify(_Code.DONE, '--all', '--deep')
        self.assertEqual(['verified'] * 4, [row[1] for row in rows])
        self.assertEqual({base.CONTAINER: 2, 'other': 2},
                         {name: self.where.count(name)
                          for name in self.where})
        self.assertEqual({base.CONTAINER, 'other'}, {
            call.container for call in self.store.calls
            if call.method == 'read' and '-0000' in call.name})
        self.bench.memory.delete('other', naming.chunk_name(
            base.ref(1).prefix, 4))
        rows = self._verify(_Code.DAMAGED, '--all')
        self.assertEqual({('other', 'damaged'), (base.CONTAINER, 'complete')},
                         {(where, row[1]) for where, row
                          in zip(self.where, rows, strict=True)})

    def test_arriving_and_orphaned(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))
        self.assertEqual('arriving',
                         self._verify(_Code.ARRIVING, '--all')[1][1])
        self.assertEqual('orphaned', self._verify(
            _Code.DAMAGED, '--all', '--grace', '0')[1][1])

    def test_parent_that_is_not_there(self):
        for info in list(self.bench.memory.list(base.CONTAINER,
                                                base.ref(1).prefix)):
            self.bench.memory.delete(base.CONTAINER, info.name)
        ((_, state, _, what),) = self._verify(_Code.DAMAGED, 'bak-2',
                                              '--deep')
        self.assertEqual('damaged', state)
        self.assertIn('bak-1', what)

    def test_usage(self):
        for options in ((), ('bak-1', '--all'), ('--all', '--sample', '0'),
                        ('bak-1', '--volume', 'vol-1'),
                        ('--all', '--volume', 'vol-1'),
                        ('--all', '--expect-at-least', '0'),
                        ('--all', '--sample', '101'),
                        ('--all', '--sample', 'x'),
                        ('--all', '--deep', '--sample', '5'),
                        ('--all', '--workers', '0'),
                        ('--all', '--grace', '-1'),
                        ('--all', '--grace', 'nan')):
            self.assertEqual(_Code.USAGE,
                             self.run_command('verify', *options).code)

    def test_nothing_to_verify(self):
        for arguments in (('none',), ('bak-1', 'none')):
            self.assertEqual(_Code.SELECTION,
                             self.run_command('verify', *arguments).code)


class PartsTest(base.CommandTestCase):
    """What is fetched each night of everything."""

    def setUp(self):
        super().setUp()
        writer = points.Writer(self.bench.memory)
        self.first = writer.write(base.ref(3), base.DATA)
        self.second = writer.write(base.ref(4), base.NOW, self.first)
        self.packs = {pack.name: pack.length for pack
                      in (*self.first.packs, *self.second.packs)}

    def verify(self, *options, code=0):
        answer = self.run_command('verify', '--all', '--deep', '-f', 'json',
                                  *options)
        self.assertEqual(code, answer.code, answer.err)
        self.said = answer.err
        return [(row['Backup'], row['State'], row['Object'])
                for row in json.loads(answer.out)]

    def test_everything_and_then_nothing(self):
        rows = self.verify('--older-than', '30d')
        self.assertEqual(
            [(f'bak-{number}', 'complete', '') for number in (1, 2, 3, 4)],
            rows)
        self.assertIn(f'Fetched and verified {len(self.packs)} packs and 2 '
                      f'backups, ', self.said)
        self.assertNotIn('due', self.said)
        rows = self.verify('--older-than', '30d')
        self.assertEqual({'complete'}, {state for _, state, _ in rows})
        self.assertIn('Fetched and verified 0 packs and 0 backups, 0 B.',
                      self.said)
        self.bench.memory.ahead += datetime.timedelta(days=31)
        self.verify('--older-than', '30d')
        self.assertIn(f'{len(self.packs)} packs and 2 backups', self.said)

    def test_a_little_at_a_time(self):
        rounds = 0
        while True:
            self.verify('--older-than', '30d', '--at-most', '1K')
            if 'due' not in self.said:
                break
            rounds += 1
            self.assertRegex(self.said, r'\. [\d.]+ \w+ more are due\.')
        self.assertGreater(rounds, 1)
        self.verify('--older-than', '30d', '--at-most', '1K')
        self.assertIn('Fetched and verified 0 packs and 0 backups', self.said)

    def test_a_pack_that_the_store_does_not_give(self):
        name = next(pack.name for pack in self.second.packs
                    if pack.name in {one.name for one in self.first.packs})
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('broken'),
            matching=name.__eq__))
        rows = self.verify('--older-than', '1d', code=errors.ExitCode.STORE)
        self.assertEqual([('bak-3', 'unknown', name),
                          ('bak-4', 'unknown', name)], rows[-2:])
        self.assertIn(f'verified {len(self.packs) - 1} packs and 2 backups',
                      self.said)

    def test_interrupted(self):
        with mock.patch.object(deep.Verifier, 'verify_packs',
                               side_effect=KeyboardInterrupt):
            rows = self.verify('--older-than', '1d',
                               code=errors.ExitCode.INTERRUPTED)
        self.assertEqual([f'bak-{number}' for number in (1, 2, 3, 4)],
                         [row[0] for row in rows])
        self.assertIn('This is what was checked so far:', self.said)

    def test_what_builds_on_a_damaged_backup(self):
        name = next(name for name in self.bench.names()
                    if name.startswith(base.ref(1).prefix)
                    and engine_base.is_chunk(name))
        self.store.script(faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=name.__eq__))
        told = []
        for _ in range(3):
            # It is fetched each time, and what builds on it in its turn.
            rows = self.verify('--older-than', '1d', '--at-most', '1',
                               code=errors.ExitCode.DAMAGED)
            told.append({backup for backup, state, _ in rows
                         if state == 'damaged'})
        self.assertEqual([{'bak-1', 'bak-2'}] * 3, told)

    def test_a_damaged_pack_is_told_with_all_that_need_it(self):
        name = next(pack.name for pack in self.second.packs
                    if pack.name in {one.name for one in self.first.packs})
        self.store.script(faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=name.__eq__))
        rows = self.verify('--older-than', '1d', code=errors.ExitCode.DAMAGED)
        self.assertEqual([('bak-3', 'damaged', name),
                          ('bak-4', 'damaged', name)],
                         sorted(set(rows[-2:])))
        self.store.heal()
        # It is fetched again, and all is well.
        self.verify('--older-than', '1d')
        self.assertNotIn('verified 0 packs', self.said)
        self.verify('--older-than', '1d')
        self.assertIn('verified 0 packs', self.said)

    def test_a_login_that_may_only_read(self):
        self.store.script(faulty.fail(
            'annotate', exceptions.AccessDenied('no')))
        for _ in range(2):
            rows = self.verify('--older-than', '1d')
            self.assertEqual(('bak-1', 'complete', ''), rows[0])
            self.assertIn(f'{len(self.packs)} packs and 2 backups', self.said)
            self.assertIn('The next run cannot know what this one verified.',
                          self.said)

    def _verified(self):
        """When "list --long" says that each backup was verified."""
        answer = self.run_command('list', '--long', '-f', 'json')
        return [row['Verified'] for row in json.loads(answer.out)]

    def test_all_at_once_counts_too(self):
        self.assertEqual([None] * 4, self._verified())
        self.verify()
        (when,) = set(self._verified())
        self.assertRegex(when, r'^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
        self.verify('--older-than', '1d')
        self.assertIn('verified 0 packs and 0 backups', self.said)
        self.bench.memory.ahead += datetime.timedelta(days=2)
        self.verify('--older-than', '1d', '--at-most', '1')
        # Others need more than what was fetched, or have their turns later.
        self.assertEqual([when] * 3, sorted(self._verified())[:3])
        while 'due' in self.said:
            self.verify('--older-than', '1d', '--at-most', '1K')
        # The pages of an older recovery point are not fetched each time.
        first, second, older, newest = self._verified()
        self.assertLess(when, min(first, second, newest))
        self.assertEqual(when, older)

    def test_packs_that_are_newer_than_the_round(self):
        self.verify()
        self.bench.memory.ahead += datetime.timedelta(days=2)
        self.bench.archive(5, base.DATA[::-1], form=chains.Form.PACKS)
        # Nobody has fetched them yet.
        *older, newest = self._verified()
        self.assertIsNone(newest)
        self.assertEqual(4, len(list(filter(None, older))))

    def test_damage_ends_what_was_verified(self):
        self.verify()
        name = self.second.packs[-1].name
        self.store.script(faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=name.__eq__))
        self.verify(code=errors.ExitCode.DAMAGED)
        self.store.heal()
        self.assertIsNone(self._verified()[3])
        # It is fetched again, though nothing else is due.
        self.verify('--older-than', '1d')
        self.assertIn('verified 1 pack and 0 backups', self.said)
        self.assertIsNotNone(self._verified()[3])

    def test_a_page_that_is_damaged(self):
        self.bench.archive(5, base.DATA[::-1], form=chains.Form.PACKS)
        self.verify()
        page = self.bench.repository.load(base.ref(5)).point.objects.name(0)
        self.store.script(faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=page.__eq__))
        self.bench.memory.ahead += datetime.timedelta(days=2)
        self.verify('--older-than', '1d', code=errors.ExitCode.DAMAGED)
        self.assertIsNone(self._verified()[4])

    def test_what_is_damaged_was_not_verified(self):
        damaged = [next(name for name in self.bench.names()
                        if name.startswith(base.ref(2).prefix)
                        and engine_base.is_chunk(name)),
                   next(pack.name for pack in self.second.packs
                        if pack.name not in {
                            one.name for one in self.first.packs})]
        self.store.script(faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=damaged.__contains__))
        self.verify(code=errors.ExitCode.DAMAGED)
        self.assertEqual([True, False, True, False],
                         list(map(bool, self._verified())))
        self.store.heal()
        self.verify('--older-than', '1d')
        self.assertEqual([True] * 4, list(map(bool, self._verified())))

    def test_named_backups_and_samples_note_nothing(self):
        for options in (('bak-4', '--deep'), ('--all', '--sample', '50'),
                        ('--all',)):
            self.assertEqual(0, self.run_command('verify', *options).code)
        self.assertEqual([], self.store.names('annotate'))
        self.verify()
        self.assertNotEqual([], self.store.names('annotate'))

    def test_notes_that_cannot_be_read(self):
        self.enterContext(mock.patch.object(
            scrubbing.Scrubber, 'pieces',
            side_effect=exceptions.StoreUnavailable('away')))
        answer = self.run_command('verify', '--all', '--deep')
        self.assertIn('The next run cannot know', answer.err)
        self.assertIn('4 verified', answer.err)
        self.assertEqual(0, answer.code)

    def test_what_does_not_go_together(self):
        for options in (('--all', '--older-than', '1d'),
                        ('--all', '--sample', '9', '--at-most', '1G'),
                        ('bak-1', '--deep', '--at-most', '1G')):
            answer = self.run_command('verify', *options)
            self.assertEqual(errors.ExitCode.USAGE, answer.code)
            self.assertIn('need --deep, and --all or --volume', answer.err)
        for options in (('--older-than', '3'), ('--older-than', 'd'),
                        ('--at-most', '0'), ('--at-most', '1X')):
            self.assertEqual(errors.ExitCode.USAGE, self.run_command(
                'verify', '--all', '--deep', *options).code)
