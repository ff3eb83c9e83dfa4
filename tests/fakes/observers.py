# SPDX-License-Identifier: Apache-2.0

"""Observers that remember, and observers that cancel."""

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import chains


class Recorder:
    """Notes progress; cancels at the n-th checkpoint when told to."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self._cancel_at = cancel_at
        self.checkpoints = 0
        self.progress: list[tuple[int, int]] = []
        self.manifests: list[chains.Manifest] = []

    def checkpoint(self) -> None:
        """See the engine's Observer."""
        self.checkpoints += 1
        if self.checkpoints == self._cancel_at:
            raise exceptions.Cancelled('cancelled by the test')

    def confirm(self) -> None:
        """See the engine's ArchiveObserver."""
        self.checkpoint()

    def advanced(self, done: int, total: int) -> None:
        """See the engine's Observer."""
        self.progress.append((done, total))

    def stored(self, manifest: chains.Manifest) -> None:
        """See the engine's ArchiveObserver."""
        self.manifests.append(manifest)
