# SPDX-License-Identifier: Apache-2.0

"""``python -m tests.bench.nights``: thirty nights in packs, chunks and restic.

1. Start Keystone and Swift. Write a volume of noise and text.
2. For each load, which is 1 % of the volume in one of three ways, and each
   way to store it: back up each night, all in one process for the driver.
3. Keep seven backups. In packs any of the older ones is deleted, and packs
   that none needs are swept. In chunks there is a full backup every seven
   nights, and a chain goes when the next two are complete. restic forgets and
   prunes.
4. Restore the last one and compare it.

It prints a line of JSON for each night, which ``--plot`` draws and sets as a
table for the documentation.
"""

# Chooses green or native threads, so it comes before everything else.
# isort: off
import tests.functional  # noqa: F401
# isort: on

import argparse
import datetime
import filecmp
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from cinder import objects
from cinder.objects import fields
from oslo_config import cfg

from cinder_swift_backup import driver as our_driver
from cinder_swift_backup import engine as engines
from cinder_swift_backup.driver import concurrency
from cinder_swift_backup.driver import records
from cinder_swift_backup.engine import sweeping
from tests.bench import tools
from tests.cloud import processes
from tests.cloud.cloud import Cloud
from tests.cloud.info import VARIABLE
from tests.cloud.swift import has_memcached
from tests.fakes import loads
from tests.fakes import process_memory
from tests.functional import base
from tests.functional import cinder_process

CONF = cfg.CONF
FORMS = ('packs', 'chunks')
TOOLS = (*FORMS, 'restic')
_NIGHTS = 30
_KEPT = 7
_MIB = 1 << 20
_GRACE = datetime.timedelta(seconds=1)


def _write_volume(path, size):
    """Half of it is text, a quarter noise, a quarter nothing."""
    with open(path, 'wb') as handle:
        for number in range(size // _MIB):
            kind = number % 4
            source = random.Random(number)
            if kind < 2:
                start = source.randrange(1 << 16)
                handle.write((b'%d bottles of beer on the wall, ' % number
                              * (_MIB // 24))[start:][:_MIB].ljust(_MIB, b'.'))
            elif kind == 2:
                handle.write(source.randbytes(_MIB))
            else:
                handle.seek(_MIB, 1)
        handle.truncate(size)


def _change(path, load, night):
    size = path.stat().st_size
    with open(path, 'r+b') as handle:
        for extent in loads.extents(load, size, night):
            handle.seek(extent.offset)
            handle.write(loads.data(extent, night))


class Driver:
    """The driver in this process, in one of the forms."""

    def __init__(self, form, size):
        self._form = form
        CONF.set_override('backup_swift_form', form)
        CONF.set_override('backup_swift_container', f'nights-{form}')
        self._context = cinder_process.make_context(base.cloud_info().demo)
        self._volume = cinder_process.create_volume(self._context,
                                                    max(size >> 30, 1))
        self._store = base.swift_store()
        self._kept = []
        self._choice = random.Random(form)
        # What the process has before any backup.
        self._idle = process_memory.resident()

    def back_up(self, path, night):
        """A backup; returns the seconds, and the peak of memory in bytes."""
        full = not self._kept or (self._form == 'chunks'
                                  and not night % _KEPT)
        parent = None if full else self._kept[-1]
        record = cinder_process.create_backup(self._context, self._volume,
                                              parent)
        process_memory.reset_peak()
        begun = time.monotonic()
        with open(path, 'rb') as handle:
            updates = our_driver.SwiftBackupDriver(self._context).backup(
                record, cinder_process.passed_on(handle))
        seconds = time.monotonic() - begun
        # What a backup has had stays with the process for the next one.
        memory = process_memory.peak() - self._idle
        record.update(updates or {})
        record.status = fields.BackupStatus.AVAILABLE
        record.save()
        self._kept.append(record)
        return seconds, memory

    def forget(self):
        """Delete what is not kept; returns the seconds."""
        begun = time.monotonic()
        if self._form == 'packs':
            while len(self._kept) > _KEPT:
                self._delete(self._kept.pop(self._choice.randrange(_KEPT)))
            ref = records.backup_ref(self._kept[-1])
            sweeping.Sweeper(
                engines.Engine(self._store, concurrency.runtime(),
                               4).repository, _GRACE).sweep(
                sweeping.Volume(ref.container, ref.prefix))
        elif len(self._kept) > 2 * _KEPT:
            for record in reversed(self._kept[:_KEPT]):
                self._delete(record)
            del self._kept[:_KEPT]
        return time.monotonic() - begun

    def _delete(self, record):
        our_driver.SwiftBackupDriver(self._context).delete_backup(record)
        record.destroy()

    def stored(self):
        """How many objects there are, and their bytes."""
        found = list(self._store.list(CONF.backup_swift_container, ''))
        return len(found), sum(info.size for info in found)

    def restore(self, path):
        """Restore the last one; returns the seconds."""
        record = objects.Backup.get_by_id(self._context, self._kept[-1].id)
        record.status = fields.BackupStatus.RESTORING
        record.save()
        begun = time.monotonic()
        with open(path, 'wb') as handle:
            our_driver.SwiftBackupDriver(self._context).restore(
                record, self._volume.id, cinder_process.passed_on(handle),
                True)
        return time.monotonic() - begun


class Restic:
    """restic, which is another process each time."""

    def __init__(self, directory):
        account = tools.Account(base.cloud_info(), '')
        self._account = account
        self._tool = tools.Restic(account, directory)

    def back_up(self, path, night):
        """See :class:`Driver`; its memory is that of the whole process."""
        return self._tool.back_up(path), self._account.peak

    def forget(self):
        """See :class:`Driver`."""
        return self._tool.forget(_KEPT)

    def stored(self):
        """See :class:`Driver`."""
        return self._account.stored(*self._tool.containers)

    def restore(self, path):
        """See :class:`Driver`."""
        return self._tool.restore(path, path)


def run(tool, load, directory, size):
    """All nights of one load, printed as they pass."""
    path = directory / 'volume'
    _write_volume(path, size)
    one = Restic(directory) if tool == 'restic' else Driver(tool, size)
    for night in range(_NIGHTS):
        if night:
            _change(path, load, night)
        seconds, memory = one.back_up(path, night)
        forgetting = one.forget()
        count, stored = one.stored()
        print(json.dumps({
            'tool': tool, 'load': load, 'mib': size // _MIB, 'night': night,
            'seconds': round(seconds, 2), 'memory': memory,
            'forgetting': round(forgetting, 2), 'objects': count,
            'stored': stored}), flush=True)
    restored = directory / 'restored'
    seconds = one.restore(restored)
    if not filecmp.cmp(path, restored, shallow=False):
        raise SystemExit(f'{tool} has restored something else')
    print(json.dumps({'tool': tool, 'load': load, 'mib': size // _MIB,
                      'restore': round(seconds, 2)}), flush=True)


def _child(arguments):
    directory = pathlib.Path(tempfile.mkdtemp(prefix='nights-'))
    try:
        cinder_process.set_up(directory)
        cinder_process.make_native_threads()
        run(arguments.tool, arguments.load, directory, arguments.mib * _MIB)
    finally:
        shutil.rmtree(directory)


def _parent(arguments):
    for load in loads.LOADS:
        for tool in TOOLS:
            if tool == 'restic' and not shutil.which('restic'):
                continue
            # Each has a Swift of its own, and it to itself.
            with Cloud(with_cinder=False,
                       with_cache=has_memcached()) as cloud:
                subprocess.run(
                    [sys.executable, '-W', 'ignore', '-m',
                     'tests.bench.nights', '--tool', tool, '--load', load,
                     '--mib', str(arguments.mib)], check=True,
                    env=processes.environment({
                        VARIABLE: str(cloud.info_file),
                        'OS_CINDER_DISABLE_EVENTLET_PATCHING': '1'}))


def main():
    """Do as the command line says."""
    parser = argparse.ArgumentParser(prog='python -m tests.bench.nights')
    parser.add_argument('--mib', type=int, default=1024)
    parser.add_argument('--tool', choices=TOOLS)
    parser.add_argument('--load', choices=tuple(loads.LOADS))
    arguments = parser.parse_args()
    (_child if arguments.tool else _parent)(arguments)


if __name__ == '__main__':
    main()
