# SPDX-License-Identifier: Apache-2.0

"""The four operations that a fault can meet, and what is checked of each.

Each is prepared without faults, then run once with them, and then looked at
without faults again:

* done: everything that was promised is there, byte by byte;
* failed: what is left can be deleted, and the operation works when repeated.
"""

import functools
import itertools
import json
import random

from cinder import exception as cinder_exception
from cinder import objects
from cinder.objects import fields

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import naming
from tests.fakes import blobs
from tests.faults import cases
from tests.functional import cinder_process
from tests.functional import cinder_side
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS

# How many chunks there are, and of how many bytes.
_FEW = (5, CHUNK // 4)
_MANY = (16, CHUNK)
# Too far from each other to become one object.
_DISTANCE = 8 * BLOCK
METADATA = {'tier': 'gold'}


class Operation:
    """One of them, on a volume of its own."""

    def __init__(self, test, *, many=False):
        self.test = test
        self.many = many
        self.chunks, self.size = _MANY if many else _FEW
        test.configure(backup_swift_object_size=self.size)
        self.data = bytearray(_noise(self.chunks * self.size))
        self.volume, self.path = test.make_volume(self.data)
        cinder_side.db.volume_metadata_update(
            test.context, self.volume.id, METADATA, True)

    @property
    def title(self):
        """What the table calls it."""
        return type(self).__name__.lower()

    def prepare(self):
        """What comes before, without faults."""

    def run(self):
        """Do it.

        :raises CinderException: if it fails
        """
        raise NotImplementedError

    def check_done(self):
        """Everything is as if nothing had been wrong."""
        raise NotImplementedError

    def left(self):
        """How many objects are left that should not be there."""
        return 0

    def check_failed(self):
        """Nothing is worse than it was before, and what is left can go."""
        raise NotImplementedError

    @property
    def count(self):
        """How many objects a full backup has, but manifest and digests."""
        return self.chunks

    @property
    def objects(self):
        """How many objects a full backup has."""
        return self.count + 2

    def change(self):
        """Write to the volume here and there; returns to how many places."""
        places = (range(0, len(self.data), _DISTANCE) if self.many
                  else (0, self.size + 5 * BLOCK, 4 * self.size + BLOCK))
        for offset in places:
            self.data[offset:offset + 100] = random.Random(
                offset).randbytes(100)
        self.path.write_bytes(self.data)
        return len(places)

    def back_up(self, parent=None):
        """A backup without faults."""
        return self.test.back_up(OURS, self.volume, self.path, parent)

    def objects_of(self, backup):
        """The names of the objects of a backup, but for segments."""
        return [name for name in self.test.object_names(self.test.container)
                if backup.id in name]

    def segments_of(self, backup):
        """The names of the segments of the digests of a backup."""
        container = naming.segments_container(self.test.container)
        try:
            return [name for name in self.test.object_names(container)
                    if backup.id in name]
        except exceptions.ContainerNotFound:
            return []

    def delete(self, backup):
        """Delete a backup; returns None."""
        OURS(self.test.context).delete_backup(backup)

    def restore_and_compare(self, backup):
        """A restore without faults."""
        target = Target(self.test, backup)
        target.restore()
        target.check(self.data)


@functools.cache
def _noise(length):
    return random.Random(length).randbytes(length)


class Target:
    """A volume that a backup is restored to."""

    def __init__(self, test, backup):
        self._test = test
        self._backup = backup
        self.volume, self.path = test.make_volume(b'')

    def restore(self):
        """Restore, as to a volume made for it."""
        with open(self.path, 'wb') as handle:
            self._test.restore_to(OURS, self._backup, self.volume, handle,
                                  True)

    def check(self, data):
        """The volume is what was backed up, and so is its metadata."""
        self._test.assert_content(self.path, data)
        found = objects.Volume.get_by_id(self._test.context, self.volume.id)
        self._test.assertEqual(METADATA, found.metadata)


class Backup(Operation):
    """A full backup."""

    parent = None

    def __init__(self, test, *, many=False):
        super().__init__(test, many=many)
        self.expected = self.count
        self.backup = None

    def run(self):
        """See the base class; the record changes as Cinder has it."""
        self.backup = self.test.make_backup(self.volume, self.parent)
        try:
            with self.test.opened(self.path, 'rb') as handle:
                OURS(self.test.context).backup(
                    self.backup, cinder_process.passed_on(handle), True)
        except cinder_exception.CinderException:
            self.backup.status = fields.BackupStatus.ERROR
            self.backup.save()
            raise
        self.backup.status = fields.BackupStatus.AVAILABLE
        self.backup.save()

    def check_done(self):
        """It is what was asked for, and can be restored."""
        parent = None if self.parent is None else self.parent.id
        self.test.assertEqual(parent, self.backup.parent_id)
        self.test.assertEqual(self.expected, self.backup.object_count)
        self._check_objects()
        self.restore_and_compare(self.backup)

    def _check_objects(self):
        """There are as many as there should be, and no others."""
        prefix = self.backup.service_metadata
        manifest = naming.manifest_name(prefix)
        chunks = json.loads(blobs.get(self.test.store, self.test.container,
                                      manifest))['objects']
        self.test.assertEqual(self.expected, len(chunks))
        names = {manifest, naming.digest_file_name(prefix),
                 *itertools.chain.from_iterable(chunks)}
        self.test.assertEqual(
            set(), set(self.objects_of(self.backup)) - names)
        # A listing lags after its server was away.
        for name in names:
            self.test.store.stat(self.test.container, name)

    def left(self):
        """See the base class."""
        return len(self.objects_of(self.backup))

    def check_failed(self):
        """See the base class."""
        self.delete(self.backup)
        self.test.assertEqual([], self.objects_of(self.backup))
        self.test.assertEqual([], self.segments_of(self.backup))


class Incremental(Backup):
    """An incremental on a full backup."""

    def prepare(self):
        """Make the full one, and write to the volume."""
        self.parent = self.back_up()
        self.expected = self.change()

    def check_failed(self):
        """Its parent is still there, too."""
        super().check_failed()
        self.test.assertEqual(self.objects,
                              len(self.objects_of(self.parent)))


class Second(Incremental):
    """An incremental on another: the volume is again what it was at first."""

    def prepare(self):
        """Make both that are before it."""
        first = bytes(self.data)
        super().prepare()
        # Until it is made, this is the other one.
        self.backup, self.parent = self.parent, self.back_up(self.parent)
        self.data[:] = first
        self.path.write_bytes(self.data)

    def check_failed(self):
        """What it has left can go."""
        Backup.check_failed(self)


class Restore(Operation):
    """A restore of an incremental and what it is on."""

    def prepare(self):
        """Make both."""
        self.parent = self.back_up()
        self.change()
        self.backup = self.back_up(self.parent)
        self.test.assertEqual(self.parent.id, self.backup.parent_id)
        self.target = Target(self.test, self.backup)

    def run(self):
        """See the base class."""
        self.target.restore()

    def check_done(self):
        """The volume is as it was."""
        self.target.check(self.data)

    def check_failed(self):
        """The backup is as good as before."""
        self.restore_and_compare(self.backup)


class Delete(Operation):
    """A delete of a full backup."""

    def prepare(self):
        """Make it."""
        self.backup = self.back_up()

    def run(self):
        """See the base class."""
        self.delete(self.backup)

    def check_done(self):
        """Nothing is left."""
        self.test.assertEqual([], self.objects_of(self.backup))
        self.test.assertEqual([], self.segments_of(self.backup))

    def left(self):
        """See the base class."""
        return len(self.objects_of(self.backup))

    def check_failed(self):
        """It can be repeated, and then nothing is left."""
        self.delete(self.backup)
        self.check_done()


class _Packed:
    """One of them with the form of packs: a pack and its page are enough."""

    count = 2
    # With the manifest.
    objects = 3

    def __init__(self, test, *, many=False):
        test.configure(backup_swift_form='packs')
        super().__init__(test, many=many)

    @property
    def title(self):
        """See :class:`Operation`."""
        return f'{super().title.removeprefix("packed")} in packs'


class PackedBackup(_Packed, Backup):
    """A full backup in the form of packs."""

    def check_done(self):
        """It stands alone, and can be restored."""
        self.test.assertIsNone(self.backup.parent_id)
        self.test.assertEqual(self.count, self.backup.object_count)
        self.test.assertEqual(self.objects,
                              len(self.objects_of(self.backup)))
        self.restore_and_compare(self.backup)


class PackedIncremental(_Packed, Incremental):
    """An incremental in the form of packs."""

    check_done = PackedBackup.check_done


class PackedRestore(_Packed, Restore):
    """A restore of a backup that shares packs with another."""

    def prepare(self):
        """Make both."""
        self.parent = self.back_up()
        self.change()
        self.backup = self.back_up(self.parent)
        self.target = Target(self.test, self.backup)


class PackedDelete(_Packed, Delete):
    """A delete of the only backup of a volume, with its packs."""


PACKED = {cases.BACKUP: PackedBackup, cases.INCREMENTAL: PackedIncremental,
          cases.RESTORE: PackedRestore, cases.DELETE: PackedDelete}
KINDS = {cases.BACKUP: Backup, cases.INCREMENTAL: Incremental,
         cases.SECOND: Second, cases.RESTORE: Restore, cases.DELETE: Delete}
