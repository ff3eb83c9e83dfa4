# SPDX-License-Identifier: Apache-2.0

"""Volumes of any size, through a store that counts.

Nobody has 16 TiB at hand to see that memory does not grow with them. Here the
volume makes its bytes up as they are read: some data every so often, holes in
between. The store keeps what is the same once, see
:mod:`tests.bench.counting`. Everything else is real: hashing, encoding,
digests, plans, threads.

In each form, it takes a full backup, an incremental of the unchanged volume,
one in which some pages are others, and a restore of that.
"""

from collections.abc import Iterator
import random

from cinder_swift_backup import engine as engines
from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from tests.bench import counting
from tests.bench import gauge

_GEOMETRY = types.Geometry(52428800, 32768)
# The stretches of data, and from one to the next: 1 GiB in each TiB.
_STRETCH = 4 * gauge.MIB
_STEP = 82 * _GEOMETRY.chunk_size
_PAGE = 4096


class SyntheticVolume:
    """Noise every 4.1 GB, and holes; takes what is restored and forgets it."""

    tells_holes = True

    def __init__(self, size: int, changed: int = 0) -> None:
        """A volume.

        :param changed: how many pages of 4 KiB of each stretch are others
        """
        self.size = size
        self.capacity = size
        self.written = 0
        source = random.Random(1)
        noise = bytearray(source.randbytes(2 * _STRETCH))
        for page in source.sample(range(_STRETCH // _PAGE), changed):
            noise[page * _PAGE:(page + 1) * _PAGE] = source.randbytes(_PAGE)
        self._noise = memoryview(bytes(noise))

    def content(self, extent: types.Extent) -> memoryview:
        """What there is, inside one stretch."""
        start = extent.offset % _STEP
        return self._noise[start:start + extent.length]

    @property
    def data_bytes(self) -> int:
        """How many bytes are in all stretches."""
        return sum(extent.length for extent in self.data_extents(
            types.Extent(0, self.size)))

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


class _Quiet(operations.Silent):
    """Wants every backup."""

    def confirm(self) -> None:
        """It is wanted."""

    def stored(self, manifest: chains.Manifest) -> None:
        """Nothing is recorded."""


class Synthetic:
    """The measurements on a volume of some size, in one form."""

    def __init__(self, size: int, form: chains.Form) -> None:
        self._volume = SyntheticVolume(size)
        self._changed = SyntheticVolume(size, _STRETCH // _PAGE // 100)
        self._form = form
        self._store = counting.CountingStore()
        self._engine = engines.Engine(self._store, pipelines.Runtime(), 4)

    def run(self) -> None:
        """Back up, back up again twice, restore; print what it took."""
        table = gauge.Gauge(
            f'A synthetic volume of {self._volume.size / gauge.TIB:g} TiB '
            f'with {_STRETCH // gauge.MIB} MiB of data every '
            f'{_STEP // gauge.MIB} MiB, in {self._form.value}', self._store)
        table.measure('full backup',
                      lambda: self._archive(1, self._volume, None))
        parent = table.measure('digests of the parent',
                               lambda: self._find_parent(1))
        with self._engine.runtime.closing(parent):
            table.measure('unchanged incremental', lambda: self._archive(
                2, self._volume, parent))
        with self._engine.runtime.closing(self._find_parent(1, 2)) as parent:
            table.measure('incremental, 1 % dirty', lambda: self._archive(
                3, self._changed, parent))
        table.measure('restore', self._restore)
        if self._changed.written != self._changed.data_bytes:
            raise SystemExit('The restore is wrong: it wrote '
                             f'{self._changed.written} of '
                             f'{self._changed.data_bytes} bytes.')
        self._store.close()

    def _ref(self, number: int) -> types.BackupRef:
        return types.BackupRef(
            f'bak-{number}', 'vol', 'backups',
            f'volume_vol/20260801120000/az_nova_backup_bak-{number}',
            self._volume.size)

    def _find_parent(self, *numbers: int) -> parents.Parent | None:
        return parents.find(
            self._engine.repository, [self._ref(each) for each in numbers],
            _GEOMETRY.block_size, self._form)

    def _archive(self, number: int, volume: SyntheticVolume,
                 parent: parents.Parent | None) -> None:
        ref = self._ref(number)
        self._engine.archiver.archive(
            jobs.ArchiveJob(
                ref, types.BackupHeader(ref.backup_id, 'vol', None, None,
                                        '2026-08-01 12:00:00'),
                _GEOMETRY, 'zlib', parent=parent, form=self._form),
            volume, _Quiet())

    def _restore(self) -> None:
        numbers = (3,) if self._form is chains.Form.PACKS else (1, 2, 3)
        chain = self._engine.repository.resolve(
            [self._ref(number) for number in numbers])
        size = self._changed.size
        self._engine.restorer.restore(
            chain, restorer.RestoreTarget(self._changed, size, size),
            _Quiet())
