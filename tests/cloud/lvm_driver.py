# SPDX-License-Identifier: Apache-2.0

"""Cinder's LVM driver, whose volumes are attached on the same machine."""

from typing import Any

from cinder.volume.drivers import lvm


class LocalLVMVolumeDriver(lvm.LVMVolumeDriver):  # type: ignore[misc]
    """All of the driver but its way to other machines."""

    def initialize_connection(
        self, volume: Any, connector: Any
    ) -> dict[str, Any]:
        """Tell the connector which device to open."""
        return {
            'driver_volume_type': 'local',
            'data': {'device_path': self.local_path(volume)},
        }

    def validate_connector(self, connector: Any) -> None:
        """Do nothing: there is no initiator."""

    def terminate_connection(
        self, volume: Any, connector: Any, **kwargs: Any
    ) -> None:
        """Do nothing: a device that is there needs no connection."""

    def ensure_export(self, context: Any, volume: Any) -> None:
        """Do nothing: nobody else uses it."""

    def create_export(
        self, context: Any, volume: Any, connector: Any, vg: Any = None
    ) -> None:
        """Do nothing: nobody else uses it."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """Do nothing: nobody else uses it."""
