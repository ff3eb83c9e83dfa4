# SPDX-License-Identifier: Apache-2.0

"""The volumes of a cloud, as a guest has them: bytes at offsets."""

import contextlib
import hashlib
import pathlib
import sys

MIB = 1 << 20


class FileVolumes:
    """Volumes that are files in a directory."""

    def __init__(self, directory):
        self._directory = directory

    def path(self, volume):
        """The file behind a volume."""
        return pathlib.Path(self._directory, f'volume-{volume.id}')

    def size(self, volume):
        """In bytes."""
        return self.path(volume).stat().st_size

    def write(self, volume, offset, data):
        """Write at an offset."""
        with open(self.path(volume), 'r+b') as file:
            file.seek(offset)
            file.write(data)

    def sha256(self, volume):
        """Of all of a volume."""
        with open(self.path(volume), 'rb') as file:
            return hashlib.file_digest(file, 'sha256').hexdigest()


class CephVolumes:
    """Volumes that are images in the pool of a Ceph."""

    def __init__(self, directory):
        """Prepare.

        :param directory: of the Ceph
        """
        sys.path.append(str(directory / 'bindings'))
        import rados  # noqa: PLC0415
        import rbd  # noqa: PLC0415
        self._rbd = rbd
        self._cluster = rados.Rados(conffile=str(directory / 'ceph.conf'))
        self._cluster.connect()
        self._pool = self._cluster.open_ioctx('volumes')

    def close(self):
        """Disconnect."""
        self._pool.close()
        self._cluster.shutdown()

    @contextlib.contextmanager
    def image(self, volume):
        """The image of a volume."""
        with self._rbd.Image(self._pool, f'volume-{volume.id}') as image:
            yield image

    def size(self, volume):
        """In bytes."""
        with self.image(volume) as image:
            return image.size()

    def write(self, volume, offset, data):
        """Write at an offset."""
        with self.image(volume) as image:
            image.write(bytes(data), offset)

    def sha256(self, volume):
        """Of all of a volume."""
        digest = hashlib.sha256()
        with self.image(volume) as image:
            for offset in range(0, image.size(), 8 * MIB):
                digest.update(image.read(
                    offset, min(8 * MIB, image.size() - offset)))
        return digest.hexdigest()
