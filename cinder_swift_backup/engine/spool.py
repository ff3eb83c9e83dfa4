# SPDX-License-Identifier: Apache-2.0

"""The packed digests of a volume, in memory or in a temporary file.

Digests take 1 MiB for each GiB of a volume, so those of a large one must not
be in memory. Up to a few MiB they are; more are in a file without a name,
which is gone when it is closed or the process dies.

Most of a large volume is often zeros. So what is kept is each digest's
difference from that of a block of zeros (by exclusive or). Zeros become zeros,
which the file system does not store, and which are quickly recognised. Where
nothing else was ever written, the file is not even read.

Functions may be called from several threads. They wait for the disk, so they
have to be offloaded.
"""

from collections.abc import Iterator
import contextlib
import errno
import functools
import os
import tempfile
from typing import IO
from typing import Self

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import digests

# Bytes that are kept in memory: the digests of 8 GiB in blocks of 32 KiB.
IN_MEMORY = 8 << 20
# Bytes that are read to see whether there are only zeros, before all are.
_LOOK = 4096
# Bytes of the file that are remembered together as written or not.
_AREA = 64 << 10
_NO_ROOM = (
    'a temporary file cannot be written or read', exceptions.Remedy.SPOOL)
# What is wrong with the directory rather than with a file, by the system's
# number of the error.
_FAULTS = {
    **dict.fromkeys(
        (errno.ENOENT, errno.ENOTDIR),
        ('the directory for temporary files does not exist',
         exceptions.Remedy.SPOOL_DIRECTORY)),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        ('no file can be created in the directory for temporary files',
         exceptions.Remedy.SPOOL_DIRECTORY)),
}


class Spool:
    """Packed digests; indexed by slices of whole digests, in bytes."""

    def __init__(self, directory: str | None, zeros: bytes,
                 count: int = 0) -> None:
        """Prepare.

        :param directory: for the temporary file; the system's if None
        :param zeros: the digest of a block of zeros
        :param count: how many digests there are from the beginning, all of
            them of zeros
        :raises SpoolError: when no file can be created
        """
        self._directory = directory
        self._zeros = zeros or bytes(digests.DIGEST_SIZE)
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        # For each area of the file, whether anything was written to it.
        self._written = bytearray()
        self._length = 0
        self._grow(count * digests.DIGEST_SIZE)

    def __len__(self) -> int:
        """How many bytes all digests take."""
        return self._length

    def __getitem__(self, part: slice) -> bytes:
        """Some of the digests.

        :raises SpoolError: when the file cannot be read
        """
        start, end, _ = part.indices(self._length)
        if self._is_untouched(start, end):
            return self._zeros * ((end - start) // digests.DIGEST_SIZE)
        return self._differences(self._read(start, end))

    def __setitem__(self, part: slice, packed: bytes) -> None:
        """Replace some of the digests by as many others.

        :raises SpoolError: when the file cannot be written
        """
        start, end, _ = part.indices(self._length)
        if end - start != len(packed):
            raise ValueError(f'{len(packed)} bytes instead of {end - start}')
        self._write(start, self._differences(packed))

    def __iadd__(self, packed: bytes) -> Self:
        """Append digests.

        :raises SpoolError: when the file cannot be written
        """
        start = self._length
        self._grow(start + len(packed))
        self._write(start, self._differences(packed))
        return self

    def repeats(self, digest: bytes, start: int, end: int) -> bool:
        """Whether there is nothing but a digest in a part.

        :raises SpoolError: when the file cannot be read
        """
        if digest == self._zeros:
            return self._is_blank(start, end)
        part = self[start:end]
        return part == digest * (len(part) // digests.DIGEST_SIZE)

    def close(self) -> None:
        """Forget all digests."""
        if self._file is not None:
            self._file.close()
        self._memory = bytearray()
        self._length = 0

    def _is_blank(self, start: int, end: int) -> bool:
        """Whether a part is kept as zeros; mostly told by its beginning."""
        end = min(end, self._length)
        if self._is_untouched(start, end):
            return True
        for stop in (min(start + _LOOK, end), end):
            part = self._read(start, stop)
            if part != bytes(len(part)):
                return False
        return True

    def _is_untouched(self, start: int, end: int) -> bool:
        """Whether a part of the file is as it was made."""
        return self._file is not None and not any(
            self._written[start // _AREA:-(-end // _AREA)])

    def _differences(self, packed: bytes) -> bytes:
        """Digests to what is kept of them, or back."""
        zeros, number = _repeated(
            self._zeros, len(packed) // digests.DIGEST_SIZE)
        if packed == zeros:
            return bytes(len(packed))
        return (int.from_bytes(packed, 'little') ^ number).to_bytes(
            len(packed), 'little')

    def _grow(self, length: int) -> None:
        if self._file is None and length > IN_MEMORY:
            self._move()
        if self._file is None:
            self._memory.extend(bytes(length - self._length))
        else:
            with failing(self._directory):
                os.ftruncate(self._file.fileno(), length)
            self._written.extend(
                bytes(-(-length // _AREA) - len(self._written)))
        self._length = length

    def _move(self) -> None:
        with failing(self._directory):
            self._file = tempfile.TemporaryFile(  # noqa: SIM115
                buffering=0, prefix='digests-', dir=self._directory)
        memory, self._memory = self._memory, bytearray()
        self._written = bytearray(-(-len(memory) // _AREA))
        self._write(0, bytes(memory))

    def _read(self, start: int, end: int) -> bytes:
        if self._file is None:
            return bytes(self._memory[start:end])
        with failing(self._directory):
            return os.pread(self._file.fileno(), max(end - start, 0), start)

    def _write(self, start: int, data: bytes) -> None:
        if self._file is None:
            self._memory[start:start + len(data)] = data
            return
        # Zeros are there already, as a rule, and take no space as a hole.
        end = start + len(data)
        if data == bytes(len(data)) and self._is_blank(start, end):
            return
        first, last = start // _AREA, -(-end // _AREA)
        self._written[first:last] = b'\1' * (last - first)
        with failing(self._directory):
            while data:
                count = os.pwrite(self._file.fileno(), data, start)
                start += count
                data = data[count:]


def in_memory(block_size: int, size: int) -> int:
    """How many bytes of memory the digests of a volume take.

    :param block_size: in bytes
    :param size: of the volume, in bytes
    """
    return min(IN_MEMORY, -(-size // block_size) * digests.DIGEST_SIZE)


def of_zeros(directory: str | None, block_size: int, size: int,
             digest: digests.Digest = digests.sha256) -> digests.DigestTable:
    """The digests of a volume of zeros, to be replaced by others.

    :param size: of the volume in bytes
    :param digest: gives those of other blocks
    :raises SpoolError: when no file can be created
    """
    count, rest = divmod(size, block_size)
    table = digests.DigestTable(block_size, Spool(
        directory, digests.of_zeros(block_size), count + bool(rest)), digest)
    if rest:
        table.put(count, digests.packed_zeros(rest, block_size))
    return table


def check(directory: str) -> None:
    """Make sure that there can be files in a directory.

    :raises SpoolError: when there cannot
    """
    with failing(directory):
        tempfile.TemporaryFile(dir=directory).close()


def check_room(directory: str | None, size: int) -> None:
    """Make sure that a file of so many bytes would fit.

    :raises SpoolError: when it would not
    """
    if size <= IN_MEMORY:
        return
    with failing(directory):
        place = directory or tempfile.gettempdir()
        system = os.statvfs(place)
    free = system.f_bavail * system.f_frsize
    if free < size:
        raise exceptions.SpoolError(
            'too few bytes are free for temporary files',
            detail=f'in {place}', expected=size, actual=free,
            remedy=exceptions.Remedy.SPOOL)


@contextlib.contextmanager
def failing(directory: str | None) -> Iterator[None]:
    """Raise what our caller expects if a temporary file fails.

    :param directory: of the file; the system's if None
    :raises SpoolError: when it does
    """
    try:
        yield
    except OSError as err:
        what, remedy = _FAULTS.get(err.errno or 0, _NO_ROOM)
        # Without any directory there is no temporary one either.
        place = directory or tempfile.tempdir or 'TMPDIR, /tmp and the like'
        raise exceptions.SpoolError(
            f'{what} ({err.strerror or err})', detail=f'in {place}',
            remedy=remedy) from err


@functools.lru_cache(maxsize=4)
def _repeated(digest: bytes, count: int) -> tuple[bytes, int]:
    packed = digest * count
    return packed, int.from_bytes(packed, 'little')
