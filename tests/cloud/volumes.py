# SPDX-License-Identifier: Apache-2.0

"""The volumes of a cloud, as a guest has them: bytes at offsets."""

from collections.abc import Iterator
import contextlib
import errno
import hashlib
import importlib
import os
import pathlib
import sys
from typing import Any
from typing import BinaryIO
from typing import Protocol

from tests.cloud.ceph import POOL
from tests.cloud.info import CloudInfo

MIB = 1 << 20


class Volumes(Protocol):
    """The volumes of a cloud, by their ids."""

    def where(self, volume: str) -> str:
        """Say what a volume is, for people."""

    def size(self, volume: str) -> int:
        """Return the size in bytes."""

    def write(self, volume: str, offset: int, data: bytes) -> None:
        """Write at an offset in bytes."""

    def sha256(self, volume: str) -> str:
        """Return the digest of all of a volume."""

    def close(self) -> None:
        """Disconnect, if connected."""


def of_cloud(info: CloudInfo) -> Volumes:
    """Return the volumes of a cloud of ours."""
    if info.ceph_directory is not None:
        return CephVolumes(info.ceph_directory)
    if info.volume_group is not None:
        return LvmVolumes(pathlib.Path('/dev', info.volume_group))
    assert info.volumes_directory is not None
    return FileVolumes(info.volumes_directory)


class FileVolumes:
    """Volumes that are files in a directory."""

    def __init__(self, directory: pathlib.Path) -> None:
        """Prepare."""
        self._directory = directory

    def path(self, volume: str) -> pathlib.Path:
        """Return the file behind a volume."""
        return pathlib.Path(self._directory, f'volume-{volume}')

    def where(self, volume: str) -> str:
        """See :class:`Volumes`."""
        return f'the file {self.path(volume)}'

    def size(self, volume: str) -> int:
        """See :class:`Volumes`."""
        return self.path(volume).stat().st_size

    def write(self, volume: str, offset: int, data: bytes) -> None:
        """See :class:`Volumes`."""
        with open(self.path(volume), 'r+b') as file:
            file.seek(offset)
            file.write(data)

    def sha256(self, volume: str) -> str:
        """See :class:`Volumes`."""
        digest = hashlib.sha256()
        position = 0
        with open(self.path(volume), 'rb') as file:
            for offset, piece in stored_pieces(file):
                _add_zeros(digest, offset - position)
                digest.update(piece)
                position = offset + len(piece)
        _add_zeros(digest, self.size(volume) - position)
        return digest.hexdigest()

    def close(self) -> None:
        """Nothing is open."""


def _add_zeros(digest: Any, count: int) -> None:
    zeros = bytes(MIB)
    for done in range(0, count, MIB):
        digest.update(zeros[: count - done])


def stored_pieces(
    file: BinaryIO, offset: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield what a file holds from an offset on, without reading its holes.

    Each piece comes with its offset, both in bytes.
    """
    while True:
        try:
            offset = os.lseek(file.fileno(), offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(file.fileno(), offset, os.SEEK_HOLE)
        # Not by the file's own methods, whose buffer does not know that the
        # position has changed.
        piece = os.pread(file.fileno(), min(end - offset, MIB), offset)
        yield offset, piece
        offset += len(piece)


class LvmVolumes(FileVolumes):
    """Volumes that are logical volumes in a group."""

    def where(self, volume: str) -> str:
        """See :class:`Volumes`."""
        return f'the logical volume {self.path(volume)}'

    def size(self, volume: str) -> int:
        """See :class:`Volumes`."""
        with open(self.path(volume), 'rb') as device:
            return device.seek(0, os.SEEK_END)

    def sha256(self, volume: str) -> str:
        """See :class:`Volumes`; devices do not tell where they are empty."""
        with open(self.path(volume), 'rb') as device:
            return hashlib.file_digest(device, 'sha256').hexdigest()


class CephVolumes:
    """Volumes that are images in the pool of a Ceph."""

    def __init__(self, directory: pathlib.Path, pool: str = POOL) -> None:
        """Connect.

        :param directory: of the Ceph
        :param pool: its name
        """
        if str(directory / 'bindings') not in sys.path:
            sys.path.append(str(directory / 'bindings'))
        self.rbd: Any = importlib.import_module('rbd')
        self.rados: Any = importlib.import_module('rados')
        self._cluster = self.rados.Rados(conffile=str(directory / 'ceph.conf'))
        self._cluster.connect()
        self._name = pool
        self.pool = self._cluster.open_ioctx(pool)

    def image(self, volume: str) -> contextlib.AbstractContextManager[Any]:
        """Open the image of a volume."""
        found: contextlib.AbstractContextManager[Any] = self.rbd.Image(
            self.pool, f'volume-{volume}'
        )
        return found

    def where(self, volume: str) -> str:
        """See :class:`Volumes`."""
        return f"Ceph's image {self._name}/volume-{volume}"

    def size(self, volume: str) -> int:
        """See :class:`Volumes`."""
        with self.image(volume) as image:
            return int(image.size())

    def write(self, volume: str, offset: int, data: bytes) -> None:
        """See :class:`Volumes`."""
        with self.image(volume) as image:
            image.write(bytes(data), offset)

    def sha256(self, volume: str) -> str:
        """See :class:`Volumes`."""
        digest = hashlib.sha256()
        with self.image(volume) as image:
            size = image.size()
            for offset in range(0, size, 8 * MIB):
                digest.update(image.read(offset, min(8 * MIB, size - offset)))
        return digest.hexdigest()

    def close(self) -> None:
        """See :class:`Volumes`."""
        self.pool.close()
        self._cluster.shutdown()
