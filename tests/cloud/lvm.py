# SPDX-License-Identifier: Apache-2.0

"""A volume group for Cinder's LVM driver, and that driver without targets.

The group is made on a loop device. Volumes are attached locally, as block
devices of this machine.
"""

import os
import pathlib
import shutil
import uuid

from tests.cloud import errors
from tests.cloud import processes

_GIB = 1 << 30
# A sparse file: tests take as much of it as they write.
_SIZE = 12 * _GIB
# Of the thin pool, in bytes.
POOL = 7 * _GIB
_PROGRAMS = ('losetup', 'pvcreate', 'vgcreate', 'vgremove', 'lvs')


class VolumeGroup:
    """A volume group on a loop device."""

    def __init__(self, directory: pathlib.Path, kind: str) -> None:
        """Prepare; nothing is made yet.

        :param directory: of the loop device's file
        :param kind: of volumes, ``thin`` or ``thick``
        """
        self.kind = kind
        self._directory = directory
        self.name = f'csb-{uuid.uuid4().hex[:8]}'
        self._device: str | None = None

    def start(self) -> None:
        """Make it.

        :raises LvmMissing: if this machine cannot have one
        """
        self._check()
        self._directory.mkdir()
        path = self._directory / 'device'
        with open(path, 'wb') as file:
            file.truncate(_SIZE)
        self._device = processes.run(
            'losetup', '--find', '--show', str(path)
        ).strip()
        processes.run('pvcreate', '--quiet', self._device)
        processes.run('vgcreate', '--quiet', self.name, self._device)
        if self.kind == 'thin':
            # Cinder's driver would make one that clears new blocks, so that
            # no volume ever showed what another left.
            processes.run(
                *('lvcreate', '--quiet', '--thin', '--zero', 'n'),
                *('--chunksize', '1M', '--size', f'{POOL}B'),
                f'{self.name}/{self.name}-pool',
            )

    def stop(self) -> None:
        """Remove it, with all volumes in it."""
        if self._device is not None:
            processes.run('vgremove', '--force', '--yes', self.name)
            processes.run('losetup', '--detach', self._device)
            self._device = None

    def options(self) -> dict[str, object]:
        """Return the options of Cinder's volume driver."""
        return {
            'volume_driver': 'tests.cloud.lvm_driver.LocalLVMVolumeDriver',
            'volume_group': self.name,
            'lvm_type': 'thin' if self.kind == 'thin' else 'default',
            # What a volume leaves, the next one finds.
            'volume_clear': 'none',
        }

    @staticmethod
    def _check() -> None:
        missing = [name for name in _PROGRAMS if shutil.which(name) is None]
        if missing:
            raise errors.LvmMissing(f'the program {missing[0]}')
        if os.getuid():
            raise errors.LvmMissing('root')
        if not os.path.exists('/dev/mapper/control'):
            raise errors.LvmMissing("the kernel's device mapper")
