# SPDX-License-Identifier: Apache-2.0

"""What making a backup takes, in whichever form."""

import abc

from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import traces as traces_
from cinder_swift_backup.format import chains


class Storing(abc.ABC):
    """One backup; ``traces`` are what it has left if it fails."""

    def __init__(self, job: jobs.ArchiveJob, repo: repository.Repository,
                 observer: operations.ArchiveObserver) -> None:
        self._job = job
        self._repository = repo
        self._operation = repo.operation
        self._observer = observer
        self.traces = traces_.Traces(job.pack_maker)

    @abc.abstractmethod
    def make(self, source: volumes.VolumeReader) -> chains.Manifest:
        """Store all of it, the manifest last."""
