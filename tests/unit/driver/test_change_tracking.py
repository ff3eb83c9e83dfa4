# SPDX-License-Identifier: Apache-2.0

"""Marks on RBD volumes, as the driver makes and removes them."""

import contextlib
import random
from unittest import mock

from cinder import exception as cinder_exception
from cinder import objects
import fixtures

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import change_tracking
from cinder_swift_backup.engine.volumes import maps
from cinder_swift_backup.format import naming
from tests.fakes import blobs
from tests.fakes import faulty
from tests.fakes import volumes as fakes
from tests.unit.driver import base

_DATA = random.Random(5).randbytes(20 * 512)


class MarksTestCase(base.MethodTestCase):
    """A driver that tracks changes, and an image that is backed up."""

    def setUp(self):
        super().setUp()
        self.config(backup_swift_rbd_cbt=True)
        # What a volume says is checked elsewhere.
        self.enterContext(mock.patch.object(maps.Checker, 'find_lie',
                                            return_value=None))
        self.image = fakes.Image(_DATA)

    def _backup(self, **fields):
        backup = self.record(**{
            'snapshot_id': None, 'temp_volume_id': None,
            'temp_snapshot_id': None, **fields})
        self.driver.backup(backup, fakes.RbdHandle(self.image), False)
        return backup

    def _marks(self):
        return [each['name'] for each in self.image.list_snaps()]

    def _content(self, backup):
        backup.status = 'restoring'
        handle = fakes.RbdHandle(fakes.Image(bytes(len(_DATA))))
        self.driver.restore(backup, backup.volume_id, handle, True)
        return bytes(handle.rbd_image.data)

    def _check_without(self, method, make):
        """A backup is made, though a method of the image fails."""
        with mock.patch.object(self.image, method,
                               side_effect=fakes.Error('down')):
            backup = make()
        self.assertEqual(_DATA, self._content(backup))


class BackupTest(MarksTestCase):
    """The newest backup has a mark."""

    def test_one_mark_for_a_volume(self):
        full = self._backup()
        self.assertEqual([change_tracking.name(full.id)], self._marks())
        self.image.write(b'new', 5000)
        with mock.patch.object(self.image, 'read',
                               wraps=self.image.read) as read:
            tip = self._backup(parent_id=full.id)
        self.assertEqual([change_tracking.name(tip.id)], self._marks())
        # Objects are of 1 KiB: one to compare, and of it a block to store.
        self.assertEqual({(4096, 1024), (4608, 512)},
                         {call.args for call in read.call_args_list})
        self.assertEqual(_DATA[:5000] + b'new' + _DATA[5003:],
                         self._content(tip))
        self.assertEqual(_DATA, self._content(full))

    def test_what_is_written_meanwhile_is_in_the_next(self):
        real = self.image.read

        def read(offset, length):
            self.image._head[:3] = b'now'
            return real(offset, length)

        with mock.patch.object(self.image, 'read', read):
            full = self._backup()
        self.assertEqual(_DATA, self._content(full))
        tip = self._backup(parent_id=full.id)
        self.assertEqual(b'now' + _DATA[3:], self._content(tip))

    def test_failed_backup_leaves_no_mark(self):
        full = self._backup()
        self.store.script(faulty.fail(
            'put', exceptions.StoreError('no'), nth=2))
        self.assertRaises(cinder_exception.BackupDriverException,
                          self._backup)
        self.assertEqual([change_tracking.name(full.id)], self._marks())
        self.assertIsNone(self.image._at)

    def test_off(self):
        self._backup()
        self.image.create_snap('backup.user.csb')
        self.config(backup_swift_rbd_cbt=False)
        self._backup()
        self.assertEqual(['backup.user.csb'], self._marks())

    def test_turned_off(self):
        # Who does not trust the map does not get what it says.
        full = self._backup()
        self.config(backup_swift_rbd_cbt=False)
        with mock.patch.object(self.image, 'diff_iterate',
                               wraps=self.image.diff_iterate) as ask:
            self._backup(parent_id=full.id)
        self.assertEqual({None}, {call.args[2]
                                  for call in ask.call_args_list})

    def test_snapshot_that_comes_at_the_last_moment(self):
        real = self.image.create_snap

        def create_snap(name):
            real('of the user')
            real(name)

        with mock.patch.object(self.image, 'create_snap', create_snap):
            backup = self._backup()
        self.assertEqual(['of the user'], self._marks())
        self.assertIsNone(self.image._at)
        self.assertEqual(_DATA, self._content(backup))

    def test_volume_that_can_be_reverted(self):
        # Ceph's map of objects goes back, too, and does not tell.
        full = self._backup()
        self.image.create_snap('of the user')
        tip = self._backup(parent_id=full.id)
        self.assertEqual(['of the user'], self._marks())
        self.assertEqual(_DATA, self._content(tip))

    def test_not_the_volume_itself(self):
        # Nor a clone of it.
        for field in ('snapshot_id', 'temp_volume_id', 'temp_snapshot_id'):
            self._backup(**{field: '1' * 36})
            self.assertEqual([], self._marks())

    def test_mark_that_cannot_be_made(self):
        self._check_without('create_snap', self._backup)
        self.assertEqual([], self._marks())

    def test_marks_that_cannot_be_removed(self):
        first = self._backup()
        with mock.patch.object(self.image, 'remove_snap',
                               side_effect=fakes.Error('busy')):
            second = self._backup(parent_id=first.id)
        self.assertEqual({change_tracking.name(first.id),
                          change_tracking.name(second.id)},
                         set(self._marks()))
        third = self._backup(parent_id=second.id)
        self.assertEqual([change_tracking.name(third.id)], self._marks())

    def test_parent_of_the_stock_driver(self):
        full = self._backup()
        name = naming.manifest_name(full.service_metadata)
        data = blobs.get(self.memory, full.container, name)
        blobs.put(self.memory, full.container, name,
                  data.replace(b'csb_', b'xyz_'))
        self.image.write(b'new', 5000)
        log = self.useFixture(fixtures.FakeLogger())
        tip = self._backup(parent_id=full.id)
        self.assertIn(f'Backup {tip.id} reads the whole volume', log.output)
        self.assertEqual(_DATA[:5000] + b'new' + _DATA[5003:],
                         self._content(tip))


class InUseTest(MarksTestCase):
    """Backups of clones that Cinder makes of a volume in use."""

    def setUp(self):
        super().setUp()
        self.volume = mock.Mock()
        self.volume.name = 'volume-1'
        self.enterContext(mock.patch.object(
            objects.Volume, 'get_by_id', return_value=self.volume))
        self.number = 0

    def _backup_clone(self, between=lambda: None, **fields):
        """Cinder clones, somebody may write, the clone is backed up."""
        self.number += 1
        snapshot = f'volume-{self.number}.clone_snap'
        self.image.create_snap(snapshot)
        clone = fakes.Image(bytes(self.image.data))
        clone.parent = ('volumes', 'volume-1', snapshot)
        between()
        backup = self.record(**{
            'snapshot_id': None, 'temp_volume_id': '1' * 36,
            'temp_snapshot_id': None, **fields})
        self.clone = clone
        with mock.patch.object(clone, 'read', wraps=clone.read) as self.read:
            self.driver.backup(backup, fakes.RbdHandle(
                clone, {'volume-1': self.image}), False)
        self.image.remove_snap(snapshot)
        return backup

    def _ours(self):
        return [each for each in self._marks() if each.endswith('.csb')]

    def _write(self, offset, data):
        self.image.write(data, offset)

    def test_chain(self):
        full = self._backup_clone(lambda: self._write(100, b'meanwhile'))
        self.assertEqual([change_tracking.name(full.id)], self._ours())
        self.assertEqual(_DATA, self._content(full))
        self._write(5000, b'later')
        then = bytes(self.image.data)
        tip = self._backup_clone(lambda: self._write(9000, b'even later'),
                                 parent_id=full.id)
        self.assertEqual([change_tracking.name(tip.id)], self._ours())
        self.assertEqual(then, self._content(tip))
        # What was written meanwhile, and later: an object each, and a block.
        self.assertEqual({0, 4096, 4608},
                         {call.args[0] for call in self.read.call_args_list})
        self.assertIsNone(self.image._at)
        # The same chain goes on when the volume is not in use any more.
        self._write(2000, b'at last')
        last = self._backup(parent_id=tip.id)
        self.assertEqual(bytes(self.image.data), self._content(last))
        self.assertEqual([change_tracking.name(last.id)], self._ours())

    def test_what_came_and_went(self):
        # It is in the parent, neither in its mark nor in the volume now.
        self._write(3000, bytes(1000))
        full = self._backup_clone(lambda: self._write(3000, b'x' * 1000))
        self._write(3000, bytes(1000))
        tip = self._backup_clone(parent_id=full.id)
        self.assertEqual(bytes(self.image.data), self._content(tip))

    def test_clone_with_something_of_its_own(self):
        with mock.patch.object(fakes.Image, 'parent_info',
                               side_effect=fakes.Error('flattened')):
            backup = self._backup_clone()
        self.assertEqual([], self._ours())
        self.assertEqual(_DATA, self._content(backup))
        with mock.patch.object(fakes, 'OWN', True):
            self._backup_clone()
        self.assertEqual([], self._ours())

    def test_clone_of_an_image_in_another_pool(self):
        with mock.patch.object(fakes.RbdClient, 'rbd_pool', 'others'):
            self._backup_clone()
        self.assertEqual([], self._ours())

    def test_origin_that_cannot_be_closed(self):
        self._check_without('close', self._backup_clone)

    def test_volume_with_other_snapshots(self):
        self.image.create_snap('of the user')
        self._backup_clone()
        self.assertEqual([], self._ours())

    def test_backup_of_a_snapshot(self):
        self._backup_clone(snapshot_id='2' * 36)
        self.assertEqual([], self._ours())

    def test_clone_of_something_else(self):
        self.volume.name = 'volume-2'
        self._backup_clone()
        self.assertEqual([], self._ours())

    def test_origin_that_does_not_answer(self):
        self._check_without('set_snap', self._backup_clone)
        self.assertEqual([], self._ours())

    def test_too_much_was_written_meanwhile(self):
        with mock.patch.object(change_tracking, '_MOST_CHANGES', 1):
            full = self._backup_clone(
                lambda: self._write(100, b'meanwhile' * 400))
        self.assertEqual([], self._ours())
        self._write(5000, b'later')
        then = bytes(self.image.data)
        self.assertEqual(then, self._content(self._backup_clone(
            parent_id=full.id)))

    def test_clone_that_is_still_there(self):
        self.image.create_snap('volume-9.clone_snap')
        backup = self._backup_clone()
        self.assertEqual([change_tracking.name(backup.id)], self._ours())

    def test_failed_backup_leaves_no_mark(self):
        self.store.script(faulty.fail(
            'put', exceptions.StoreError('no'), nth=2))
        self.assertRaises(cinder_exception.BackupDriverException,
                          self._backup_clone)
        self.assertEqual([], self._ours())
        self.assertIsNone(self.image._at)

    def test_off(self):
        self.config(backup_swift_rbd_cbt=False)
        self._backup_clone()
        self.assertEqual([], self._ours())


class DeleteTest(MarksTestCase):
    """The mark goes with the backup."""

    def setUp(self):
        super().setUp()
        self.attached = []

        @contextlib.contextmanager
        def attached(context, volume):
            self.assertTrue(context.is_admin)
            self.attached.append(volume)
            yield fakes.RbdHandle(self.image)

        self.enterContext(mock.patch.object(change_tracking, '_attached',
                                            attached))
        self.volume = self.enterContext(mock.patch.object(
            objects.Volume, 'get_by_id', return_value=mock.Mock(
                status='available')))

    def _delete(self, backup):
        self.driver.delete_backup(backup)
        self.assertEqual([], self._names())

    def test_delete(self):
        backup = self._backup()
        self.image.create_snap('of the user')
        self.store.heal()
        self._delete(backup)
        # What it names, and the mark, are read once.
        self.assertEqual(
            [naming.manifest_name(backup.service_metadata)],
            self.store.names('read'))
        self.assertEqual([self.volume.return_value], self.attached)
        self.assertEqual(['of the user'], self._marks())

    def test_volume_in_use(self):
        backup = self._backup()
        self.volume.return_value.status = 'in-use'
        self._delete(backup)
        self.assertEqual([], self.attached)

    def test_manifest_that_names_another_snapshot(self):
        backup = self._backup()
        self.image.create_snap('of the user')
        manifest = naming.manifest_name(backup.service_metadata)
        data = blobs.get(self.memory, backup.container, manifest)
        blobs.put(
            self.memory, backup.container, manifest,
            data.replace(change_tracking.name(backup.id).encode(),
                         b'of the user'))
        self._delete(backup)
        self.assertIn('of the user', self._marks())

    def test_without_a_mark(self):
        self.config(backup_swift_rbd_cbt=False)
        backup = self._backup()
        self.config(backup_swift_rbd_cbt=True)
        self._delete(backup)
        self.assertEqual([], self.attached)

    def test_off(self):
        backup = self._backup()
        self.config(backup_swift_rbd_cbt=False)
        self._delete(backup)
        self.assertEqual([], self.attached)

    def test_volume_that_is_gone(self):
        backup = self._backup()
        self.volume.side_effect = cinder_exception.VolumeNotFound(
            volume_id='x')
        self._delete(backup)

    def test_volume_that_cannot_be_attached(self):
        backup = self._backup()
        self.volume.side_effect = RuntimeError('no answer')
        with mock.patch.object(change_tracking.LOG, 'warning') as warned:
            self._delete(backup)
        warned.assert_called_once()
        self.assertEqual([change_tracking.name(backup.id)], self._marks())

    def test_damaged_manifest(self):
        backup = self._backup()
        blobs.put(
            self.memory, backup.container,
            naming.manifest_name(backup.service_metadata), b'rubbish')
        self._delete(backup)
