# SPDX-License-Identifier: Apache-2.0

"""One operation of one driver in a process of its own, measured.

``python -m tests.bench.measured OPERATION DRIVER DIRECTORY CODEC URL ...`` is
Cinder with its state in DIRECTORY, which finds Swift at URL, or in the catalog
if that is empty. The drivers are ``stock``, ``ours``, ``packs``, which is ours
with that form, ``encrypted``, which encrypts these, and ``unlimited`` and
``limited``, which are ours with other limits of memory and bandwidth, that
nobody has to wait for. The operations are
``backup FILE [PARENT]``, ``restore FILE BACKUP`` and ``delete BACKUP``; FILE
is the volume's. It prints one JSON object: a :class:`Result`.

Memory is the peak of the resident set during the operation, less what was
resident before it, so that Cinder itself does not count.
"""

# Chooses green or native threads, so it comes before everything else.
# isort: off
import tests.functional  # noqa: F401
# isort: on

import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import sys
import time

from castellan import options as castellan_options
from cinder import objects
from cinder.backup.drivers import swift as stock_driver
from cinder.objects import fields
from oslo_config import cfg

from cinder_swift_backup import driver as our_driver
from cinder_swift_backup.format import naming
from tests.cloud import key_manager
from tests.fakes import process_memory
from tests.functional import base
from tests.functional import cinder_process

CONF = cfg.CONF
DRIVERS = {'stock': stock_driver.SwiftBackupDriver,
           'ours': our_driver.SwiftBackupDriver,
           'packs': our_driver.SwiftBackupDriver,
           'encrypted': our_driver.SwiftBackupDriver,
           'unlimited': our_driver.SwiftBackupDriver,
           'limited': our_driver.SwiftBackupDriver}
_KEY_ID = 'bench'
# Bytes, and bytes a second, by the drivers that have such limits.
_LIMITS = {'unlimited': 0, 'limited': 1 << 40}


@dataclasses.dataclass
class Result:
    """What an operation took; seconds and bytes."""

    backup_id: str
    seconds: float = 0
    cpu_seconds: float = 0
    resident: int = 0
    objects: int = 0
    stored_bytes: int = 0


@contextlib.contextmanager
def _measured(result):
    process_memory.reset_peak()
    before = process_memory.resident()
    times = os.times()
    begun = time.monotonic()
    yield
    result.seconds = time.monotonic() - begun
    now = os.times()
    result.cpu_seconds = (now.user + now.system - times.user - times.system)
    result.resident = process_memory.peak() - before


def backup(driver, context, path, parent_id=None):
    """Back up the file as a volume; a new record each time."""
    parent = parent_id and objects.Backup.get_by_id(context, parent_id)
    volume = (objects.Volume.get_by_id(context, parent.volume_id) if parent
              else cinder_process.create_volume(context, _gib(path)))
    record = cinder_process.create_backup(context, volume, parent)
    with open(path, 'rb') as handle:
        result = Result(record.id)
        with _measured(result):
            updates = driver.backup(record, cinder_process.passed_on(handle))
    record.update(updates or {})
    record.status = fields.BackupStatus.AVAILABLE
    record.save()
    _count(result, record)
    return result


def _gib(path):
    return -(-os.path.getsize(path) >> 30)


def restore(driver, context, path, backup_id):
    """Restore to the file as to a new volume."""
    record = objects.Backup.get_by_id(context, backup_id)
    record.status = fields.BackupStatus.RESTORING
    record.save()
    volume = cinder_process.create_volume(context, record.size)
    result = Result(record.id)
    with open(path, 'wb') as handle, _measured(result):
        driver.restore(record, volume.id, cinder_process.passed_on(handle),
                       True)
    record.status = fields.BackupStatus.AVAILABLE
    record.save()
    return result


def delete(driver, context, backup_id):
    """Delete a backup and its record."""
    record = objects.Backup.get_by_id(context, backup_id)
    result = Result(record.id)
    with _measured(result):
        driver.delete_backup(record)
    record.destroy()
    return result


def _count(result, record):
    store = base.swift_store()
    beginnings = (record.service_metadata, naming.pack_name(
        record.service_metadata, record.id, 0).removesuffix('000000'))
    found = [info for beginning in beginnings
             for info in store.list(record.container, beginning)]
    store.close()
    result.objects = len(found)
    result.stored_bytes = sum(info.size for info in found)


def _encrypt(keys):
    """Have the driver encrypt backups, by a key in a directory."""
    castellan_options.set_defaults(CONF)
    CONF.register_opts(key_manager.OPTIONS, 'key_manager')
    for name, value in (
            ('backend', 'tests.cloud.key_manager.FileKeyManager'),
            ('keys_directory', str(keys))):
        CONF.set_override(name, value, 'key_manager')
    CONF.set_override('backup_swift_encryption_key_id', [_KEY_ID])
    keys.mkdir(exist_ok=True)
    if not (keys / _KEY_ID).exists():
        (keys / _KEY_ID).write_text(secrets.token_hex(32))


def main():
    """Do as the command line says."""
    operation, driver, directory, codec, url, *more = sys.argv[1:]
    cinder_process.set_up(pathlib.Path(directory))
    CONF.set_override('backup_compression_algorithm', codec)
    if driver in ('packs', 'encrypted'):
        CONF.set_override('backup_swift_form', 'packs')
    if driver == 'encrypted':
        _encrypt(pathlib.Path(directory) / 'keys')
    if driver in _LIMITS:
        for option in ('backup_swift_memory', 'backup_swift_bandwidth'):
            CONF.set_override(option, _LIMITS[driver])
    if url:
        CONF.set_override('backup_swift_url', url)
    cinder_process.make_native_threads()
    context = cinder_process.make_context(base.cloud_info().demo)
    function = {'backup': backup, 'restore': restore,
                'delete': delete}[operation]
    result = function(DRIVERS[driver](context), context, *more)
    print(json.dumps(dataclasses.asdict(result)))


if __name__ == '__main__':
    main()
