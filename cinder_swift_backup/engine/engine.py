# SPDX-License-Identifier: Apache-2.0

"""Puts together the parts of the engine that a driver needs."""

from cinder_swift_backup.engine import budget as budgets
from cinder_swift_backup.engine import keys
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.backup import archiver
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.stores import base


class Engine:
    """Makes, restores and deletes the backups of one store.

    ``repository`` finds and deletes backups, ``archiver`` makes them, and
    ``restorer`` restores them. They share one pipeline.
    ``volume_traffic`` counts what they do to volumes.
    """

    def __init__(self, store: base.ObjectStore, runtime: pipelines.Runtime,
                 workers: int, directory: str | None = None,
                 ring: keys.KeyRing | None = None,
                 budget: budgets.Budget | None = None) -> None:
        """Put the parts together.

        :param runtime: the kind of threads to run on
        :param workers: how many chunks are processed at the same time
        :param directory: for temporary files; the system's if None
        :param ring: has the keys of encrypted backups, if there may be any
        :param budget: for the memory of all engines that share it; None for
            any amount
        """
        self.store = store
        self.runtime = runtime
        operation = operations.Operation(
            store, pipelines.Pipeline(runtime, workers, budget),
            directory, ring)
        self.volume_traffic = operation.volume_traffic
        self.repository = repository.Repository(operation)
        self.archiver = archiver.Archiver(self.repository)
        self.restorer = restorer.Restorer(self.repository)
