# SPDX-License-Identifier: Apache-2.0

"""What cinder-backup does with the driver: a new one for each request.

Each login that the driver knows has its turn: the token of the request with
one of the service, and an account of the service's own.
"""

import filecmp
import itertools
import pathlib
import random

from cinder.objects import fields
from oslo_config import cfg
from oslo_messaging.notify import _impl_test as fake_notifier

from tests.functional import base
from tests.functional import cinder_process
from tests.functional import cinder_side

CONF = cfg.CONF
MIB = 1 << 20
_CHUNK = 2 * MIB
_PAGE = 4096
# One in so many pages is written anew before each backup.
_CHANGED = 100
_OURS = cinder_side.OURS


class Volume:
    """A volume, half of it noise, and the file that it is."""

    def __init__(self, context, path, mib):
        self.record = cinder_process.create_volume(context, 1)
        self.path = path
        self._pages = mib * MIB // _PAGE
        self._source = random.Random(path.name)
        with open(path, 'wb') as file:
            for _ in range(2 * mib):
                file.write(self._source.randbytes(MIB // 4))
                file.write(f'{path.name} '.encode().ljust(64, b'.')
                           * (MIB // 4 // 64))

    def change(self):
        """Write some of its pages anew, anywhere."""
        with open(self.path, 'r+b') as file:
            for page in self._source.sample(range(self._pages),
                                            self._pages // _CHANGED):
                file.seek(page * _PAGE)
                file.write(self._source.randbytes(_PAGE))


class Service:
    """A cinder-backup."""

    def __init__(self, directory, container):
        """Be one, with the state and the volumes in a directory."""
        cinder_process.set_up(directory)
        cinder_process.make_native_threads()
        self._directory = directory
        self._container = container
        self._info = base.cloud_info()
        self._store = base.swift_store()
        self._numbers = itertools.count()
        for name, value in (('backup_swift_container', container),
                            ('backup_swift_object_size', _CHUNK)):
            CONF.set_override(name, value)
        self.context = None
        self.begin(0)

    def begin(self, number):
        """Take up requests of a user who has just logged in.

        :param number: says which login the driver uses
        """
        # In Cinder they are sent and gone.
        fake_notifier.reset()
        self.context = cinder_process.make_context(self._info.demo)
        own = number % 2
        CONF.set_override('backup_swift_auth',
                          'single_user' if own else 'per_user')
        CONF.set_override('backup_swift_service_auth',
                          not own and self._info.cinder is not None)
        for name, value in cinder_side.version_3_options(
                self._info, self._info.demo).items():
            CONF.set_override(name, value)

    def make_volume(self, mib):
        """A new volume."""
        path = self._directory / f'volume-{next(self._numbers)}'
        return Volume(self.context, path, mib)

    def back_up(self, volume, parent=None):
        """Back a volume up; returns the record."""
        record = cinder_process.create_backup(self.context, volume.record,
                                              parent)
        with open(volume.path, 'rb') as handle:
            updates = _OURS(self.context).backup(
                record, cinder_process.passed_on(handle), True)
        record.update(updates or {})
        if (record.parent_id is None) != (parent is None):
            raise SystemExit(f'backup {record.id} is a full one instead of '
                             'an incremental')
        record.status = fields.BackupStatus.AVAILABLE
        record.save()
        return record

    def check(self, record, volume):
        """Restore to a new volume, and compare it with the first."""
        path = self._directory / f'restored-{next(self._numbers)}'
        self._restore(record, path)
        same = filecmp.cmp(path, volume.path, shallow=False)
        filecmp.clear_cache()
        path.unlink()
        if not same:
            raise SystemExit(f'backup {record.id} was not restored as '
                             f'{volume.path.name} is')

    def _restore(self, record, path: pathlib.Path):
        record.status = fields.BackupStatus.RESTORING
        record.save()
        target = cinder_process.create_volume(self.context, record.size)
        with open(path, 'wb') as handle:
            _OURS(self.context).restore(
                record, target.id, cinder_process.passed_on(handle), True)
        record.status = fields.BackupStatus.AVAILABLE
        record.save()

    def delete(self, record):
        """Delete a backup and its record."""
        _OURS(self.context).delete_backup(record)
        record.destroy()

    def objects(self):
        """How many objects there are."""
        return sum(1 for _ in self._store.list(self._container, ''))

    def close(self):
        """Close what is open here, which the driver knows nothing of."""
        self._store.close()
