# SPDX-License-Identifier: Apache-2.0

"""How the caller follows the progress of an operation, and cancels it."""

from typing import Protocol

from cinder_swift_backup.format import chains


class Observer(Protocol):
    """Called by the coordinator only, never by a worker."""

    def checkpoint(self) -> None:
        """Called about once a second, and before each irreversible step.

        Single steps may take longer, such as the last sync of a volume.

        :raises Cancelled: to end the operation; a backup is then undone
        """

    def advanced(self, done: int, total: int) -> None:
        """``done`` of ``total`` are processed.

        These are bytes of the volume, unless the operation says otherwise.
        """


class ArchiveObserver(Observer, Protocol):
    """Follows a backup up to the point where its result is recorded."""

    def confirm(self) -> None:
        """Called right before the manifest is put, and right after.

        A checkpoint may ignore that it cannot find out whether the backup
        was cancelled; this may not.

        :raises Exception: unless the backup is known to be wanted
        """

    def stored(self, manifest: chains.Manifest) -> None:
        """Record the complete backup; if this raises, it is undone."""


class Silent:
    """Ignores progress and never cancels."""

    def checkpoint(self) -> None:
        """Never cancels."""

    def advanced(self, done: int, total: int) -> None:
        """Tells nobody."""
