# SPDX-License-Identifier: Apache-2.0

"""How whoever asked for a backup or restore follows and ends it."""

from typing import Protocol

from cinder_swift_backup.format import types


class Observer(Protocol):
    """Called by the coordinator only, never by a worker."""

    def checkpoint(self) -> None:
        """Called about once a second and before every point of no return.

        :raises Cancelled: to end the operation and undo it where possible
        """

    def advanced(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of the volume are dealt with."""


class ArchiveObserver(Observer, Protocol):
    """Follows a backup until whoever asked for it has noted the result."""

    def confirm(self) -> None:
        """Called when the backup is about to count, and when it does.

        Where a checkpoint may let pass that it cannot tell, this may not.

        :raises Exception: unless the backup is still wanted
        """

    def stored(self, manifest: types.Manifest) -> None:
        """Everything is stored. An error from here undoes it all."""


class Silent:
    """An observer for whom it is enough when the call returns."""

    def checkpoint(self) -> None:
        """Never cancels."""

    def advanced(self, done: int, total: int) -> None:
        """Tells nobody."""
