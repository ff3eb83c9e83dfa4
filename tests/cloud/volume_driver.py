# SPDX-License-Identifier: Apache-2.0

"""A Cinder volume driver that keeps volumes as sparse files.

It runs inside the Cinder process. Volumes are ``volume-<id>`` and snapshots
``snapshot-<id>`` in one directory; both are raw images that a test can read
and write while nothing is attached. No step needs another user's rights.
"""

import os
import pathlib
from typing import Any

from cinder.volume import driver
from oslo_config import cfg
from oslo_utils import units

OPTIONS = [
    cfg.StrOpt(
        'volumes_directory',
        help='Directory that the file-backed volumes are kept in.',
    ),
]
cfg.CONF.register_opts(OPTIONS)


class FileVolumeDriver(driver.VolumeDriver):  # type: ignore[misc]
    """Volumes and snapshots in files of one directory."""

    VERSION = '1.0'

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Register the option in the backend's section."""
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(OPTIONS)

    def check_for_setup_error(self) -> None:
        """Make sure that the directory exists."""
        self._directory.mkdir(parents=True, exist_ok=True)

    def secure_file_operations_enabled(self) -> bool:
        """Tell the managers to open files as themselves, without chown."""
        return True

    @property
    def _directory(self) -> pathlib.Path:
        return pathlib.Path(self.configuration.volumes_directory)

    def _path(self, volume_or_snapshot: Any) -> pathlib.Path:
        return self._directory / str(volume_or_snapshot.name)

    def _update_volume_stats(self) -> None:
        """Report endless capacity, so that the scheduler always agrees."""
        self._stats = {
            'volume_backend_name': self.configuration.volume_backend_name,
            'vendor_name': 'cinder-swift-backup',
            'driver_version': self.VERSION,
            'storage_protocol': 'local',
            'total_capacity_gb': 'infinite',
            'free_capacity_gb': 'infinite',
            'reserved_percentage': 0,
        }

    def create_volume(self, volume: Any) -> None:
        """Create a file that is one hole."""
        self._path(volume).touch()
        self._set_size(volume, volume.size)

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Let the file grow by a hole."""
        self._set_size(volume, new_size)

    def delete_volume(self, volume: Any) -> None:
        """Remove the file; a volume that never got one is fine."""
        self._path(volume).unlink(missing_ok=True)

    def create_snapshot(self, snapshot: Any) -> None:
        """Copy the volume as it is."""
        self._copy(snapshot.volume, snapshot)

    def delete_snapshot(self, snapshot: Any) -> None:
        """Remove the copy."""
        self._path(snapshot).unlink(missing_ok=True)

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        """Copy the snapshot; the volume may be larger."""
        self._copy(snapshot, volume)
        self._set_size(volume, volume.size)

    def create_cloned_volume(self, volume: Any, src_vref: Any) -> None:
        """Copy the volume; the new one may be larger."""
        self._copy(src_vref, volume)
        self._set_size(volume, volume.size)

    def _copy(self, source: Any, target: Any) -> None:
        # cp keeps the holes, and a process does not stop the event loop.
        self._execute('cp', self._path(source), self._path(target))

    def _set_size(self, volume: Any, gigabytes: int) -> None:
        os.truncate(self._path(volume), gigabytes * units.Gi)

    def initialize_connection(
        self, volume: Any, connector: Any
    ) -> dict[str, Any]:
        """Tell the connector which file to open."""
        return {
            'driver_volume_type': 'local',
            'data': {'device_path': str(self._path(volume))},
        }

    def initialize_connection_snapshot(
        self, snapshot: Any, connector: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Tell the connector which file a snapshot is."""
        return self.initialize_connection(snapshot, connector)

    def terminate_connection(
        self, volume: Any, connector: Any, **kwargs: Any
    ) -> None:
        """Do nothing: an opened file leaves nothing to undo."""

    def ensure_export(self, context: Any, volume: Any) -> None:
        """Do nothing: files need no export."""

    def create_export(self, context: Any, volume: Any, connector: Any) -> None:
        """Do nothing: files need no export."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """Do nothing: files need no export."""
