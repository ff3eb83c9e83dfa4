# SPDX-License-Identifier: Apache-2.0

"""Restoring a volume to something that takes its bytes in order only.

Such as a pipe to a program that writes an image of another format.

1. Plan as for any restore.
2. Take the volume in windows of a few hundred MiB, see
   :mod:`cinder_swift_backup.engine.restore.windows`, and fetch one after the
   other.
3. Write a window when all of it is verified: what has been written is right,
   always.

Memory: one window, and a few MiB for each worker.
"""

from collections.abc import Callable

from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import doubts as doubts_
from cinder_swift_backup.engine.restore import fetching
from cinder_swift_backup.engine.restore import windows
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

# Bytes.
WINDOW = 256 << 20


class Streamer:
    """Writes backups in the order of the volume."""

    def __init__(self, repo: repository.Repository) -> None:
        self._repository = repo

    def stream(self, chain: chains.Chain,
               write: Callable[[memoryview], object],
               observer: operations.Observer, *,
               doubts: doubts_.Doubts | None = None) -> None:
        """Pass all bytes of the tip of ``chain`` to ``write``.

        :param doubts: as of :meth:`restorer.Restorer.restore`
        :raises BackupError: as :meth:`restorer.Restorer.restore` does
        """
        repo = self._repository.during(observer)
        with fetching.prepared(repo, chain, doubts) as (plan, fetcher):
            most = types.whole(WINDOW, fetcher.grain)
            for part in plan.parts():
                for window in windows.in_order(part, most):
                    # Nobody keeps it while the next one is fetched.
                    repo.operation.call(write, windows.fetch(window, fetcher))
                    observer.advanced(window.extent.end, plan.end)
