# SPDX-License-Identifier: Apache-2.0

"""Every error this project raises on purpose.

The tree::

    BackupError
    |-- ConfigurationError        the operator's settings cannot work
    |-- StoreError                the object store said no, or nothing
    |   |-- ObjectNotFound
    |   |-- ContainerNotFound
    |   |-- AccessDenied
    |   |-- QuotaExceeded
    |   `-- StoreUnavailable      (Retryable)
    |-- FormatError               stored bytes that are not our format
    |-- IntegrityError            our format, but not what was stored
    |   |-- ChunkMissing
    |   |-- LengthMismatch
    |   `-- DigestMismatch
    |-- ChainError                the backups do not add up to a volume
    |-- VolumeError               the volume cannot be read or written
    `-- Cancelled                 somebody asked us to stop

What may be tried again carries the ``Retryable`` mixin; nobody decides that
from a status code a second time. Texts are whole sentences that name the
object and, where there is one, the remedy.
"""


class BackupError(Exception):
    """Base of all errors raised by this package.

    What is known of it, for whoever has to do more than show a text:
    ``name``, the object; ``offset`` and ``end``, the bytes of the volume that
    it is about; what was ``expected`` and what is there, ``actual``, as
    lengths in bytes or digests in hex.
    """

    def __init__(self, text: str, *, name: str | None = None,
                 offset: int | None = None, end: int | None = None,
                 expected: int | str | None = None,
                 actual: int | str | None = None) -> None:
        super().__init__(text)
        self.name = name
        self.offset = offset
        self.end = end
        self.expected = expected
        self.actual = actual


class Retryable(Exception):
    """Mixin: the same request may succeed when it is sent again."""


class ConfigurationError(BackupError):
    """A setting is missing, contradictory or refused by the cluster."""


class StoreError(BackupError):
    """The object store refused or failed a request."""


class ObjectNotFound(StoreError):
    """The named object does not exist."""


class ContainerNotFound(StoreError):
    """The named container does not exist."""


class AccessDenied(StoreError):
    """The credentials are missing, expired or not sufficient."""


class QuotaExceeded(StoreError):
    """A quota or the cluster's limit for one object is exhausted."""


class StoreUnavailable(StoreError, Retryable):
    """The store cannot be reached, is overloaded or broke off."""


class FormatError(BackupError):
    """A stored object is not what its name says it is."""


class IntegrityError(BackupError):
    """Stored data differs from what the backup's manifest promises."""


class ChunkMissing(IntegrityError):
    """A chunk that the manifest names is not in the store."""


class LengthMismatch(IntegrityError):
    """A chunk does not hold as many bytes as its record says."""


class DigestMismatch(IntegrityError):
    """A block does not have the digest recorded for it."""


class ChainError(BackupError):
    """A backup's ancestors are missing or do not fit together."""


class VolumeError(BackupError):
    """The volume's handle cannot do what backup or restore needs."""


class Cancelled(BackupError):
    """The operation was cancelled from outside."""
