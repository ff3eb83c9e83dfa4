# SPDX-License-Identifier: Apache-2.0

"""Volumes of any size, through a store that counts.

Nobody has 16 TiB at hand to see that memory does not grow with them. Here the
volume makes its bytes up as they are read: some data every so often, holes in
between. The store keeps manifests and digests, in files, and of chunks only
what it takes to make them up again when they are read. Everything else is
real: hashing, encoding, digests, plans, threads.

It takes a full backup, an incremental of the unchanged volume, and a restore,
and prints for each: seconds, the peak of memory over what was there before,
objects and what they would take, and the longest time that another thread had
to wait for the interpreter.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import datetime
import os
import random
import tempfile
import threading
import time
from typing import IO
from typing import TypeVar

from cinder_swift_backup import engine as engines
from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import bodies
from tests.fakes import process_memory

MIB = 1 << 20
TIB = 1 << 40
_GEOMETRY = types.Geometry(52428800, 32768)
# The stretches of data, and from one to the next: 1 GiB in each TiB.
_STRETCH = 4 * MIB
# Each stretch begins with a chunk, so that no object has anything but noise.
_STEP = 82 * _GEOMETRY.chunk_size
_T = TypeVar('_T')


class SyntheticVolume:
    """Noise every 4.1 GB, and holes; takes what is restored and forgets it."""

    tells_holes = True
    _noise = random.Random(1).randbytes(2 * _STRETCH)

    def __init__(self, size: int) -> None:
        self.size = size
        self.capacity = size
        self.written = 0

    def content(self, extent: types.Extent) -> memoryview:
        """What there is, inside one stretch."""
        start = extent.offset % _STRETCH
        return memoryview(self._noise)[start:start + extent.length]

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See the engine's VolumeReader; holes are read, too, for a sample."""
        if self.is_hole(extent):
            return memoryview(bytes(extent.length))
        return self.content(extent)

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See the engine's VolumeReader."""
        first = within.offset // _STEP * _STEP
        for offset in range(first, within.end, _STEP):
            part = types.Extent(offset, _STRETCH).overlap(within)
            if part is not None:
                yield part

    def is_hole(self, extent: types.Extent) -> bool:
        """See the engine's VolumeReader."""
        return not any(True for _ in self.data_extents(extent))

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> None:
        """See the engine's VolumeReader."""

    def write(self, offset: int, data: memoryview) -> None:
        """Compare what is restored with what there was."""
        if self.content(types.Extent(offset, len(data))) != data:
            raise exceptions.VolumeError('the restore is wrong',
                                         offset=offset)
        self.written += len(data)

    def zero(self, extent: types.Extent) -> None:
        """See the engine's VolumeWriter."""

    def sync(self) -> None:
        """See the engine's VolumeWriter."""

    def finish(self, size: int) -> None:
        """See the engine's VolumeWriter."""


class CountingStore(base.ExistsByStat):
    """Keeps documents in files, and makes chunks of data up again."""

    def __init__(self, volume: SyntheticVolume) -> None:
        self._volume = volume
        self._files: dict[str, IO[bytes]] = {}
        self._large: dict[str, tuple[base.Segment, ...]] = {}
        self._stats: dict[str, base.Stat] = {}
        self.objects = 0
        self.stored = 0

    def until(self, stop: base.Stop) -> 'CountingStore':
        """See the contract."""
        return self

    def capabilities(self) -> base.Capabilities:
        """Swift's defaults."""
        return base.Capabilities(max_object_size=5 << 30, max_segments=1000)

    def ensure_container(self, container: str, *, create: bool,
                         storage_policy: str | None = None,
                         like: str | None = None,
                         sync: base.Sync | None = None) -> None:
        """See the contract."""

    def put(self, container: str, name: str, body: base.Body) -> str:
        """See the contract."""
        self.objects += 1
        self.stored += body.length
        reader = bodies.BodyReader(name, body, base.NEVER)
        with contextlib.ExitStack() as stack:
            file = None
            if '_metadata' in name or '_sha256file' in name:
                # Until the end of the run; only the name goes now.
                file = tempfile.TemporaryFile()  # noqa: SIM115
                self._files[name] = file
            stack.callback(reader.close)
            while view := reader.read():
                if file is not None:
                    file.write(view)
            if file is not None:
                file.flush()
        self._stats[name] = base.Stat(body.length, reader.md5())
        return reader.md5()

    def put_large(self, container: str, name: str,
                  segments: Sequence[base.Segment]) -> None:
        """See the contract."""
        self.objects += 1
        self._large[name] = tuple(segments)
        self._stats[name] = base.Stat(
            sum(segment.size for segment in segments), '')

    def stat(self, container: str, name: str) -> base.Stat:
        """See the contract; chunks are made when they are read."""
        if name not in self._stats:
            raise exceptions.ObjectNotFound('it was not put', name=name)
        return self._stats[name]

    def segments(self, container: str,
                 name: str) -> tuple[base.Segment, ...] | None:
        """See the contract."""
        return self._large.get(name)

    def read(self, container: str, name: str,
             use: Callable[[Iterator[bytes]], _T],
             extent: types.Extent | None = None, *,
             compared: bool = False) -> _T:
        """See the contract."""
        file = self._files.get(name)
        return use(self._chunk(name) if file is None
                   else self._document(file))

    @staticmethod
    def _document(file: IO[bytes]) -> Iterator[bytes]:
        offset = 0
        while piece := os.pread(file.fileno(), base.PIECE, offset):
            offset += len(piece)
            yield piece

    def _chunk(self, name: str) -> Iterator[bytes]:
        # Only noise is fetched, which is stored as it is.
        offset = int(name.rpartition('-')[2]) * _GEOMETRY.block_size
        whole = types.Extent(offset, self._stats[name].size)
        for part in whole.parts(base.PIECE):
            yield bytes(self._volume.content(part))

    def delete(self, container: str, name: str) -> None:
        """See the contract."""

    def list(self, container: str, prefix: str) -> Iterator[base.ObjectInfo]:
        """See the contract."""
        now = datetime.datetime.now(datetime.UTC)
        return (base.ObjectInfo(name, stat.size, stat.etag, now)
                for name, stat in sorted(self._stats.items())
                if name.startswith(prefix))

    def close(self) -> None:
        """See the contract."""
        for file in self._files.values():
            file.close()


class _Quiet(operations.Silent):
    """Wants every backup."""

    def confirm(self) -> None:
        """It is wanted."""

    def stored(self, manifest: chains.Manifest) -> None:
        """Nothing is recorded."""


@contextlib.contextmanager
def _longest_wait() -> Iterator[list[float]]:
    """How long another thread had to wait at most, in seconds."""
    longest = [0.0]
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            begun = time.monotonic()
            time.sleep(0.001)
            longest[0] = max(longest[0], time.monotonic() - begun)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield longest
    finally:
        done.set()
        thread.join()


class Synthetic:
    """The measurements on a volume of some size."""

    def __init__(self, size: int) -> None:
        self._volume = SyntheticVolume(size)
        self._store = CountingStore(self._volume)
        self._engine = engines.Engine(self._store, pipelines.Runtime(), 4)

    def run(self) -> None:
        """Back up, back up again, restore; print what it took."""
        print(f'\nA synthetic volume of {self._volume.size / TIB:g} TiB with '
              f'{_STRETCH // MIB} MiB of data every {_STEP // MIB} MiB')
        print(f'{"":28}{"seconds":>10}{"MiB peak":>10}{"objects":>10}'
              f'{"MiB stored":>12}{"ms stall":>10}')
        self._measure('full backup', lambda: self._archive(1, None))
        parent = self._measure('digests of the parent', lambda: parents.find(
            self._engine.repository, [self._ref(1)], _GEOMETRY.block_size))
        with self._engine.runtime.closing(parent):
            self._measure('unchanged incremental',
                          lambda: self._archive(2, parent))
        self._measure('restore', self._restore)
        expected = sum(extent.length for extent in self._volume.data_extents(
            types.Extent(0, self._volume.size)))
        if self._volume.written != expected:
            raise SystemExit('The restore is wrong: it wrote '
                             f'{self._volume.written} of {expected} bytes.')
        self._store.close()

    def _measure(self, what: str, function: Callable[[], _T]) -> _T:
        objects, stored = self._store.objects, self._store.stored
        process_memory.reset_peak()
        before = process_memory.resident()
        begun = time.monotonic()
        with _longest_wait() as longest:
            result = function()
        peak = (process_memory.peak() - before) / MIB
        print(f'{what:28}{time.monotonic() - begun:>10.1f}{peak:>10.0f}'
              f'{self._store.objects - objects:>10}'
              f'{(self._store.stored - stored) / MIB:>12.0f}'
              f'{longest[0] * 1000:>10.0f}', flush=True)
        return result

    def _ref(self, number: int) -> types.BackupRef:
        return types.BackupRef(
            f'bak-{number}', 'vol', 'backups',
            f'volume_vol/20260801120000/az_nova_backup_bak-{number}',
            self._volume.size)

    def _archive(self, number: int, parent: parents.Parent | None) -> None:
        ref = self._ref(number)
        self._engine.archiver.archive(
            jobs.ArchiveJob(
                ref, types.BackupHeader(ref.backup_id, 'vol', None, None,
                                        '2026-08-01 12:00:00'),
                _GEOMETRY, 'zlib', parent=parent),
            self._volume, _Quiet())

    def _restore(self) -> None:
        chain = self._engine.repository.resolve(
            [self._ref(1), self._ref(2)])
        size = self._volume.size
        self._engine.restorer.restore(
            chain, restorer.RestoreTarget(self._volume, size, size),
            _Quiet())
