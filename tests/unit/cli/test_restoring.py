# SPDX-License-Identifier: Apache-2.0

"""``restore``."""

import contextlib
import errno
import json
import os
import pathlib
import sys
from unittest import mock
import zlib

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import targets
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.unit.cli import base


class RestoreTest(base.CommandTestCase):
    """To a file."""

    def setUp(self):
        super().setUp()
        self.target = self.directory / 'volume'

    def _restore(self, backup='bak-2', *options):
        return self.run_command('restore', backup, self.target, *options)

    def _refused(self, code, *texts, **options):
        answer = self._restore(**options)
        self.assertEqual(code, answer.code, answer.err)
        self.assertEqual(1, answer.err.count('\n'), answer.err)
        for text in texts:
            self.assertIn(text, answer.err)

    def test_to_a_new_file(self):
        for backup, data in (('bak-1', base.DATA), ('bak-2', base.NOW)):
            answer = self._restore(backup)
            self.assertEqual(0, answer.code, answer.err)
            self.assertEqual(data, self.target.read_bytes())
            self.assertIn('every block is verified', answer.err)
            self.assertIn('restoring: 512 B of 512 B', answer.err)
            self.assertEqual('', answer.out)
            self.target.unlink()

    def test_dry_run(self):
        answer = self._restore('bak-2', '--dry-run')
        self.assertEqual(0, answer.code, answer.err)
        self.assertIn('Backup bak-2 of volume vol-1, made at '
                      '2026-08-01T12:00:02Z, would be restored to', answer.err)
        self.assertIn('512 B', answer.err)
        self.assertFalse(self.target.exists())
        self.assertEqual(0, self._restore('bak-2').code)
        # What would be refused is refused.
        answer = self._restore('bak-1', '--dry-run')
        self.assertEqual(errors.ExitCode.TARGET, answer.code)

    def test_what_is_there_is_kept(self):
        self.target.write_bytes(b'precious')
        self._refused(errors.ExitCode.TARGET, str(self.target), '--force')
        self.assertEqual(b'precious', self.target.read_bytes())

    def test_force(self):
        self.target.write_bytes(b'x' * 10000)
        self.assertEqual(0, self._restore('bak-2', '--force').code)
        self.assertEqual(base.NOW, self.target.read_bytes())

    def test_resume(self):
        self.have_volumes_of_any_size()
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('down'),
            matching=lambda name: name.endswith('-00020')))
        answer = self._restore()
        self.assertEqual(errors.ExitCode.STORE, answer.code)
        self.assertIn('--resume', answer.err)
        self.store.heal()
        self.assertEqual(0, self._restore('bak-2', '--resume').code)
        self.assertEqual(base.NOW, self.target.read_bytes())
        self.store.heal()
        self.assertEqual(0, self._restore('bak-2', '--resume').code)
        self.assertEqual([], [name for name in self.store.names('read')
                              if '-00' in name])
        # What is longer is cut, and what is new is made.
        self.target.write_bytes(base.NOW + b'more')
        self.assertEqual(0, self._restore('bak-2', '--resume').code)
        self.assertEqual(base.NOW, self.target.read_bytes())
        self.target.unlink()
        self.assertEqual(0, self._restore('bak-2', '--resume').code)

    def test_latest_that_is_complete(self):
        answer = self.run_command('restore', '--latest-complete', 'vol',
                                  self.target)
        self.assertEqual(0, answer.code, answer.err)
        self.assertEqual(base.NOW, self.target.read_bytes())
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))
        answer = self.run_command('restore', '--latest-complete', 'vol-1',
                                  self.target, '--force')
        self.assertEqual(base.DATA, self.target.read_bytes())
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(1).prefix))
        for options, word in (
                (('--latest-complete', 'vol-1'), 'is complete'),
                (('--latest-complete', 'x'), 'no volumes with backups')):
            answer = self.run_command('restore', *options, self.target,
                                      '--force')
            self.assertEqual(errors.ExitCode.SELECTION, answer.code)
            self.assertIn(word, answer.err)

    def test_to_a_pipe(self):
        self.target = '-'
        with open(self.directory / 'output', 'w+') as output, \
                mock.patch.object(sys, 'stdout', output):
            answer = self._restore()
        self.assertEqual(0, answer.code, answer.err)
        self.assertEqual(base.NOW,
                         (self.directory / 'output').read_bytes())
        self.assertIn('every block is verified', answer.err)

    def test_more_than_cinder_noted(self):
        # All that was backed up, as long as nobody says where to cut it.
        for number, rest in ((3, bytes(100)), (4, b'more' * 25)):
            self.bench.archive(
                number, base.DATA + rest, volume_meta=json.dumps(
                    {'version': 2, 'volume-base-metadata': {'size': 1}}))
        # The stock driver does not say how large the volume is.
        self.bench.damage(
            naming.manifest_name(base.ref(4).prefix),
            lambda stored: stored.replace(b'csb_volume_size', b'unknown'))
        for number, rest in ((3, bytes(100)), (4, b'more' * 25)):
            backup = f'bak-{number}'
            answer = self.run_command('restore', backup,
                                      self.directory / backup)
            self.assertEqual(0, answer.code, answer.err)
            self.assertIn('every block is verified', answer.err)
            with open(self.directory / 'output', 'w+') as output, \
                    mock.patch.object(sys, 'stdout', output):
                answer = self.run_command('restore', backup, '-')
            self.assertEqual(0, answer.code, answer.err)
            for name in (backup, 'output'):
                self.assertEqual(base.DATA + rest,
                                 (self.directory / name).read_bytes())

    def test_to_a_terminal(self):
        self.target = '-'
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        with open(theirs, 'w') as output, \
                mock.patch.object(sys, 'stdout', output):
            self._refused(errors.ExitCode.TARGET, 'is a terminal')

    def test_to_a_file_that_is_not_stored(self):
        self.target = '-'
        with open(self.directory / 'output', 'w+') as output, \
                mock.patch.object(sys, 'stdout', output), \
                mock.patch.object(os, 'fsync',
                                  side_effect=OSError(5, 'broken disk')):
            answer = self._restore()
        self.assertEqual(errors.ExitCode.TARGET, answer.code)
        self.assertIn('broken disk', answer.err)

    def test_target_that_appears_meanwhile(self):
        check = targets.check

        def appear(target, *, force):
            found = check(target, force=force)
            target.write_bytes(b'precious')
            return found

        with mock.patch.object(targets, 'check', appear):
            self._refused(errors.ExitCode.TARGET, 'exists')
        self.assertEqual(b'precious', self.target.read_bytes())

    def _device(self, size):
        """Have what is restored to be a device of some size."""
        self.target.write_bytes(b'x' * size)
        opened = targets.opened

        @contextlib.contextmanager
        def device(target, *, is_new):
            with opened(target, is_new=is_new) as volume:
                volume.capacity = size
                volume.finish = lambda size: None
                yield volume

        return mock.patch.object(targets, 'opened', device)

    def test_larger_target_that_keeps_its_rest(self):
        with self._device(600):
            answer = self._restore('bak-2', '--force')
        self.assertEqual(0, answer.code, answer.err)
        self.assertIn('its last 88 bytes were not changed', answer.err)
        self.assertEqual(base.NOW + b'x' * 88, self.target.read_bytes())

    def test_smaller_target_where_zeros_are_left_out(self):
        self.bench.archive(3, base.DATA + bytes(200))
        for options in (('--force',), ('--resume',),
                        ('--force', '--unverified')):
            with self._device(512):
                answer = self._restore('bak-3', *options)
            self.assertEqual(0, answer.code, answer.err)
            self.assertIn('the last 200 bytes of the backup, which are zeros, '
                          'were left out', answer.err)
            self.assertEqual(base.DATA, self.target.read_bytes())

    def test_smaller_target_where_something_would_be_lost(self):
        self.bench.archive(3, base.DATA + bytes(199) + b'!')
        for options in (('--force',), ('--resume',),
                        ('--force', '--unverified')):
            with self._device(512):
                answer = self._restore('bak-3', *options)
            self.assertEqual(errors.ExitCode.TARGET, answer.code)
            self.assertIn('needs at least 1 GiB', answer.err)
            self.assertEqual(b'x' * 512, self.target.read_bytes())

    def test_to_a_pipe_that_breaks(self):
        self.target = '-'
        with open('/dev/full', 'w') as output, \
                mock.patch.object(sys, 'stdout', output):
            self._refused(errors.ExitCode.TARGET, 'No space left',
                          'The output is incomplete')

    def test_what_is_there_stays_until_the_backup_is_known_to_be_good(self):
        self.bench.damage(naming.digest_file_name(base.ref(2).prefix),
                          lambda data: data[:-9])
        self.target.write_bytes(b'precious')
        answer = self._restore('bak-2', '--force')
        self.assertEqual(errors.ExitCode.DAMAGED, answer.code)
        self.assertEqual(b'precious', self.target.read_bytes())
        self.target.unlink()
        self.assertEqual(errors.ExitCode.DAMAGED, self._restore().code)
        self.assertFalse(self.target.exists())

    def test_target_below_a_file(self):
        self.target = self.directory / 'file' / 'volume'
        (self.directory / 'file').touch()
        self._refused(errors.ExitCode.TARGET, 'Not a directory')

    def test_nothing_is_no_id(self):
        self._refused(errors.ExitCode.SELECTION, 'empty', backup='')
        answer = self._restore('', '--latest-complete')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)

    def test_no_such_backup(self):
        self._refused(errors.ExitCode.SELECTION, "'none'", backup='none')
        self.assertFalse(self.target.exists())

    def test_id_in_capitals(self):
        answer = self._restore('BAK-2')
        self.assertEqual(0, answer.code, answer.err)
        answer = self._restore('VOL-1', '--latest-complete', '--force')
        self.assertEqual(0, answer.code, answer.err)
        self.assertEqual(base.NOW, self.target.read_bytes())

    def test_id_of_a_volume(self):
        for backup in ('vol-1', 'VOL'):
            self._refused(errors.ExitCode.SELECTION, 'the id of a volume',
                          '--latest-complete', '--volume', backup=backup)

    def test_two_such_backups(self):
        self._refused(errors.ExitCode.SELECTION, 'bak-1', 'bak-2',
                      backup='bak')

    def test_nothing_to_restore(self):
        self.bench.archive(3, b'')
        answer = self._restore('bak-3')
        self.assertEqual(0, answer.code, answer.err)
        self.assertEqual(b'', self.target.read_bytes())

    def test_backup_that_is_still_arriving(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))
        self._refused(errors.ExitCode.ARRIVING, 'bak-2', 'arriving')

    def test_damaged_backup(self):
        gone = naming.chunk_name(base.ref(1).prefix, 8)
        self.bench.memory.delete(base.CONTAINER, gone)
        self._refused(errors.ExitCode.DAMAGED, 'bak-1', gone)
        self.assertFalse(self.target.exists())

    def test_each_backup_is_named_once(self):
        gone = naming.chunk_name(base.ref(1).prefix, 8)
        self.bench.memory.delete(base.CONTAINER, gone)
        for backup, where in (('bak-1', ''), ('bak-2', 'backup bak-1, ')):
            answer = self._restore(backup)
            self.assertEqual(
                f'the backup is damaged: {where}object {gone}: missing. '
                'Another backup may be intact: see "list". [backup '
                f'{backup}]\n', answer.err)

    def test_damage_that_is_only_found_now(self):
        self.store.script(faulty.alter(
            'read', lambda data: data[:-1],
            matching=lambda name: name.endswith('-00016')))
        self._refused(errors.ExitCode.DAMAGED, 'may be incomplete',
                      str(self.target))

    def test_interrupted(self):
        self.store.script(faulty.fail(
            'read', KeyboardInterrupt(),
            matching=lambda name: name.endswith('-00016')))
        answer = self._restore()
        self.assertEqual(errors.ExitCode.INTERRUPTED, answer.code)
        self.assertIn('may be incomplete', answer.err)

    def test_unverified(self):
        for number in (1, 2):
            self.bench.memory.delete(base.CONTAINER, naming.digest_file_name(
                base.ref(number).prefix))
        self._refused(errors.ExitCode.DAMAGED, '_sha256file')
        answer = self._restore('bak-2', '--unverified')
        self.assertEqual(0, answer.code, answer.err)
        self.assertNotIn('verified', answer.err)
        self.assertEqual(base.NOW, self.target.read_bytes())

    def test_no_directory(self):
        self.target = self.directory / 'none' / 'volume'
        self._refused(errors.ExitCode.TARGET, 'no directory')

    def test_directory(self):
        for target in (self.directory, f'{self.directory}/', '.'):
            self.target = target
            self._refused(errors.ExitCode.TARGET, 'is a directory')

    def test_neither_file_nor_device(self):
        self.target = '/dev/null'
        self._refused(errors.ExitCode.TARGET, 'neither a file nor')

    def test_empty_name(self):
        self.target = ''
        answer = self._restore()
        self.assertEqual(errors.ExitCode.USAGE, answer.code)

    def test_link_that_leads_nowhere(self):
        self.target.symlink_to('nowhere')
        for options in ((), ('--force',), ('--resume',)):
            answer = self._restore('bak-2', *options)
            self.assertEqual(errors.ExitCode.TARGET, answer.code)
            self.assertEqual(f'{self.target} is a link to nowhere, which does '
                             f'not exist.\n', answer.err)

    def test_name_that_is_too_long(self):
        self.target = self.directory / ('n' * 300)
        self._refused(errors.ExitCode.TARGET, 'File name too long')

    def test_where_nothing_can_be_created(self):
        self.target = '/proc/volume'
        self._refused(errors.ExitCode.TARGET,
                      '/proc/volume cannot be created (No such file')
        self.target = self.directory / 'volume'
        with mock.patch.object(os, 'open', side_effect=OSError(
                errno.EROFS, os.strerror(errno.EROFS))):
            self._refused(errors.ExitCode.TARGET, 'volume cannot be '
                          'created (Read-only file system)')

    def test_full_disk(self):
        self.bench.archive(3, base.DATA)
        for number, more in ((errno.ENOSPC, ': make room there.'),
                             (errno.EDQUOT, ': make room there.'),
                             (errno.EIO, '.'), (errno.EFBIG, '.')):
            why = os.strerror(number)
            self.target.write_bytes(b'x' * 512)
            with mock.patch.object(os, 'pwrite',
                                   side_effect=OSError(number, why)):
                answer = self._restore('bak-3', '--force')
            self.assertEqual(errors.ExitCode.TARGET, answer.code)
            self.assertRegex(
                answer.err, rf'^{self.target} cannot be written \({why}\)'
                rf'{more} \[bytes \d+ to \d+ of the volume\] {self.target} '
                rf'may be incomplete')
            for text in ('container', 'storage', 'Errno', 'the volume failed'):
                self.assertNotIn(text, answer.err)

    def test_target_that_cannot_be_read(self):
        self.target.write_bytes(b'x' * 512)
        with mock.patch.object(os, 'preadv',
                               side_effect=OSError(errno.EIO, 'broken')):
            answer = self._restore('bak-2', '--resume')
        self.assertEqual(errors.ExitCode.TARGET, answer.code, answer.err)
        self.assertTrue(answer.err.startswith(
            f'{self.target} cannot be read (broken)'), answer.err)

    def test_nothing_is_left_of_a_new_file(self):
        for error, code in (
                (KeyboardInterrupt(), errors.ExitCode.INTERRUPTED),
                (exceptions.StoreUnavailable('x'), errors.ExitCode.STORE)):
            self.store.heal()
            self.store.script(faulty.fail('read', error, matching=lambda
                                          name: '-00' in name))
            answer = self._restore()
            self.assertEqual(code, answer.code)
            self.assertNotIn('may be incomplete', answer.err)
            self.assertFalse(self.target.exists())

    def test_file_that_may_not_be_written(self):
        with mock.patch.object(os, 'open',
                               side_effect=PermissionError(13, 'denied')):
            self._refused(errors.ExitCode.TARGET, 'denied')

    def test_mounted_device(self):
        number = os.stat(self.directory).st_dev
        mounts = self.directory / 'mounts'
        mounts.write_bytes(
            b'36 35 0:0 / /\xff rw - ext4\n'
            b'36 35 %d:%d / /mnt rw - ext4\n' % (
                os.major(number), os.minor(number)))
        real = pathlib.Path.stat

        def stat(path, **options):
            found = real(path, **options)
            if path != self.target:
                return found
            return mock.Mock(st_mode=0o60000, st_rdev=number)

        self.target.touch()
        with mock.patch.object(targets, '_MOUNTS', mounts), \
                mock.patch.object(pathlib.Path, 'stat', stat):
            self._refused(errors.ExitCode.TARGET, 'mounted at /mnt')
            mounts.write_text('')
            self._refused(errors.ExitCode.TARGET, '--force')


class UnverifiedTest(base.CommandTestCase):
    """What is restored as it is, and what is told of it."""

    def setUp(self):
        super().setUp()
        self.bench.archive(3, base.DATA)
        self.prefix = base.ref(3).prefix
        self.target = self.directory / 'volume'
        self.target.write_bytes(b'x' * 512)

    def _restore(self, *options, code=errors.ExitCode.DAMAGED):
        """What is told at the end, each line but those of progress."""
        answer = self.run_command('restore', 'bak-3', self.target, *options,
                                  '--force', '--unverified')
        self.assertEqual(code, answer.code, answer.err)
        return [line for line in answer.err.splitlines()
                if not line.startswith(('restoring: ', 'There are no dig'))]

    def _name(self, first_block):
        return naming.chunk_name(self.prefix, first_block)

    def _damage(self, first_block, at):
        """Change one byte of a chunk."""
        def change(data):
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]

        self.bench.damage(self._name(first_block), change)

    def _lose_digests(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.digest_file_name(self.prefix))

    def test_blocks_that_do_not_match(self):
        self._damage(4, 0)
        self._damage(12, 17)
        self._damage(12, 40)
        lines = self._restore()
        self.assertEqual(
            [f'Bytes 64 to 80: object {self._name(4)} does not match.',
             f'Bytes 208 to 240: object {self._name(12)} does not match.'],
            lines[:-1])
        self.assertIn('was restored to', lines[-1])
        self.assertTrue(lines[-1].endswith(
            ', but 48 bytes of 2 objects do not match what was backed '
            'up.'), lines[-1])
        data = bytearray(base.DATA)
        for place in (64, 209, 232):
            data[place] ^= 1
        self.assertEqual(bytes(data), self.target.read_bytes())

    def test_first_bytes_are_counted_once(self):
        # They are fetched for the format of the file, too.
        self.have_volumes_of_any_size()
        self._damage(0, 0)
        self.assertIn(' 16 bytes of 1 object do ', self._restore()[-1])

    def test_to_a_pipe(self):
        self._damage(4, 0)
        path, self.target = self.directory / 'output', '-'
        with open(path, 'w+') as output, \
                mock.patch.object(sys, 'stdout', output):
            answer = self.run_command('restore', 'bak-3', '-', '--unverified')
        self.assertEqual(errors.ExitCode.DAMAGED, answer.code, answer.err)
        self.assertIn(f'Bytes 64 to 80: object {self._name(4)} does not',
                      answer.err)
        self.assertEqual(512, path.stat().st_size)

    def test_object_that_is_not_its_md5(self):
        self._lose_digests()
        self._damage(4, 0)
        first, last = self._restore()
        self.assertEqual(
            f'Bytes 64 to 128: object {self._name(4)} does not match.', first)
        self.assertIn(' 64 bytes of 1 object do not match', last)

    def test_objects_that_nothing_can_be_said_of(self):
        self._lose_digests()
        self._damage(4, 0)

        def strip(data):
            fields = json.loads(data)
            for each in fields['objects']:
                for values in each.values():
                    for name in ('csb_stored_md5', 'md5'):
                        values.pop(name, None)
            return json.dumps(fields).encode()

        self.bench.damage(naming.manifest_name(self.prefix), strip)
        lines = self._restore()
        self.assertEqual(9, len(lines))
        self.assertIn('cannot be checked', lines[0])
        self.assertTrue(lines[-1].endswith(
            ', but 512 bytes of 8 objects cannot be checked.'))

    def test_zeros_are_not_taken_from_the_digests(self):
        self.bench.archive(4, bytes(64) + base.DATA[64:])
        # Zeros are stored compressed.
        self.bench.put(naming.chunk_name(base.ref(4).prefix, 0),
                       zlib.compress(b'!' + bytes(63)))
        answer = self.run_command('restore', 'bak-4', self.target, '--force',
                                  '--unverified')
        self.assertEqual(errors.ExitCode.DAMAGED, answer.code, answer.err)
        self.assertEqual(b'!', self.target.read_bytes()[:1])

    def test_nothing_wrong(self):
        (line,) = self._restore(code=0)
        self.assertIn(', and every block is verified.', line)
        self._lose_digests()
        (line,) = self._restore(code=0)
        self.assertIn(', and every object matches its MD5. Without digests, '
                      'its blocks were not compared.', line)
        self.assertEqual(base.DATA, self.target.read_bytes())

    def test_damage_that_passes(self):
        self.store.script(faulty.alter(
            'read', lambda data: b'!' + data[1:], nth=1,
            matching=lambda name: name == self._name(4)))
        (line,) = self._restore(code=0)
        self.assertIn(', and every block is verified.', line)
        self.assertEqual(base.DATA, self.target.read_bytes())

    def test_what_is_not_there(self):
        self.bench.memory.delete(base.CONTAINER, self._name(4))
        self.assertIn('is missing', self._restore()[-1])

    def test_what_cannot_be_decoded(self):
        self.bench.archive(5, base.DATA, codec='zlib')
        self.bench.damage(naming.chunk_name(base.ref(5).prefix, 4),
                          lambda data: data[:-3])
        answer = self.run_command('restore', 'bak-5', self.target, '--force',
                                  '--unverified')
        self.assertEqual(errors.ExitCode.DAMAGED, answer.code, answer.err)
        self.assertNotIn('was restored', answer.err)
