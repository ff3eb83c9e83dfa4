# SPDX-License-Identifier: Apache-2.0

"""All errors that this project raises.

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
    |   |-- ObjectExpires
    |   |-- LengthMismatch
    |   `-- DigestMismatch
    |-- KeyUnavailable            nobody has the key of an encrypted backup
    |   `-- WrongKey              the key did not encrypt the backup
    |-- KeyManagerError           the key manager failed or refused
    |-- ChainError                the backups do not add up to a volume
    |   `-- StillArriving         what is missing may come by itself
    |-- SelectionError            no such backup, or more than one
    |-- VolumeError               the volume cannot be read or written
    |-- SpoolError                a temporary file cannot be written
    |-- DatabaseUnavailable       Cinder's database does not answer
    `-- Cancelled                 somebody asked us to stop

Errors after which the same request may succeed carry the ``Retryable`` mixin.
Only the store decides that, from the status of the response.

An error says what is wrong, and has fields for what is known about it. What
can be done is a value, which each edge turns into a text of its own: options
of Cinder mean nothing to somebody who restores without Cinder. Every text has
the same order, since most people see no more than its beginning:

1. what is wrong,
2. what to do,
3. in brackets, the names of all that it is about.
"""

from collections.abc import Iterator
import enum
from typing import Self

_CUT = '...'


class Remedy(enum.Enum):
    """What the user can do about an error."""

    OTHER_BACKUP = 'this backup cannot be restored, another may'
    OTHER_BACKUP_OR_UNVERIFIED = 'as above, or without verification'
    NEW_BACKUP = 'this backup is of no use, a new one has to be full'
    REPEAT = 'the same may work when it is done again'
    NEWER_RELEASE = 'another release of this package wrote it'
    LARGER_VOLUME = 'the volume has no room for the backup'
    SNAPSHOT = 'a snapshot of the volume can be backed up instead'
    WHOLE_SOURCE = 'the volume has to be made one file first'
    CONVERT = 'the backup is of a file, which has to be converted'
    WHOLE_TARGET = 'the target is only part of a volume'
    SAME_FORMAT = 'the target has to be in the format of the backup'
    SAME_TYPE = 'the target has to be of the type of the encrypted volume'
    STORAGE = 'the cause is in the storage of the volume'
    SPOOL = 'the directory for temporary files is full'
    SPOOL_DIRECTORY = 'it does not exist, or no file can be made in it'
    SET = 'a required option is not set'
    SIZES = 'the sizes of chunks and blocks do not fit together'
    LARGER_BLOCKS = 'blocks are too small for such a volume'
    LARGER_OBJECTS = 'blocks, or objects the cluster takes, are too small'
    CREATE_CONTAINER = 'the container has to be made'
    CONTAINER_NAME = 'no container can have such a name'
    MOVE_OBJECTS = 'the objects are not where a record says, and can be moved'
    STORAGE_POLICY = 'the storage policy has to be one of the cluster'
    SYNC = 'the cluster does not copy containers to that place'
    KEY = 'the key that encrypted the backup is needed'
    KEY_ID = 'the id of the key is wrong'
    KEY_CHANGED = 'the key of this id is not what it was'
    KEY_MANAGER = 'the key manager has to give the key'
    SYNC_HEADERS = 'the container is set to be copied in another way'
    ROOM = 'a quota is full, or objects are too large for the cluster'
    ROLE = 'the user may not write to the account'
    ROLE_OR_NAME = 'as above, or the container is that of another project'
    LOGIN = 'the login of the account is wrong'
    LOGIN_URL = 'no identity service is where one would log in'
    PROJECT = 'the login has to name a project'
    SERVICE_LOGIN = 'as above, where the service token comes from'
    CERTIFICATE = "the server's certificate is wrong, or its CA is not known"
    SERVICE_CERTIFICATE = 'as above, where the service token comes from'
    TOKEN = "the request's token has expired or was revoked"
    SWIFT_URL = 'no Swift is where the account should be'
    ENDPOINT = 'the catalog has no such endpoint'
    LOGIN_ENDPOINT = 'the catalog has no endpoint to log in at'
    OTHER_USER = 'a user of the project has to do it'
    OWNER_DELETES = 'a user of the project has to delete what is left'
    IMPORT = 'the record of a backup has to be imported again'
    CORRECT_RECORDS = 'the records of backups contradict each other'
    NEWER_FIRST = 'the backups that need it have to be deleted first'
    OTHER_ACCOUNT = 'the objects may be in another account, or gone'


class BackupError(Exception):
    """Base of all errors raised by this package.

    Its fields, each None if it does not apply:

    * ``what``: a clause that says what is wrong and makes sense without
      names. It is short, for Cinder shows users 255 characters of an error;
    * ``detail``: what else there is to say, of any length, such as the text
      of another error;
    * ``backup_id``, ``container`` and ``name``: the object it is about;
    * ``offset`` and ``end``: the bytes of the volume it is about;
    * ``expected`` and ``actual``: lengths in bytes, numbers, digests in hex,
      or versions;
    * ``transaction``: by which Swift's logs know the request;
    * ``remedy``: what the user can do.

    ``str()`` is the clause and then, in brackets, the names.
    """

    def __init__(self, what: str, *, detail: str | None = None,
                 backup_id: str | None = None,
                 container: str | None = None, name: str | None = None,
                 offset: int | None = None, end: int | None = None,
                 expected: int | str | None = None,
                 actual: int | str | None = None,
                 transaction: str | None = None,
                 remedy: Remedy | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.detail = detail
        self.backup_id = backup_id
        self.container = container
        self.name = name
        self.offset = offset
        self.end = end
        self.expected = expected
        self.actual = actual
        self.transaction = transaction
        self.remedy = remedy

    def about(self, *, backup_id: str | None = None,
              container: str | None = None, name: str | None = None,
              offset: int | None = None, end: int | None = None,
              transaction: str | None = None,
              remedy: Remedy | None = None) -> Self:
        """Set the fields that are not set yet; returns the error itself."""
        self.backup_id = self.backup_id or backup_id
        self.container = self.container or container
        self.name = self.name or name
        self.transaction = self.transaction or transaction
        self.remedy = self.remedy or remedy
        if self.offset is None:
            self.offset, self.end = offset, end
        return self

    def __str__(self) -> str:
        return f'{self.clause}{self._bracketed()}'

    @property
    def clause(self) -> str:
        """What is wrong, with the numbers that tell how much."""
        compared = self._compared()
        if compared and isinstance(self.actual, int):
            return f'{self.what} ({compared})'
        return self.what

    def sentence(self, remedy: str | None = None,
                 room: int | None = None) -> str:
        """What is wrong, what to do, and then the names.

        :param remedy: what to do, in the words of whoever tells the user
        :param room: how many characters will be seen. A clause that leaves
            no place for the remedy is shortened.
        """
        after = '' if remedy is None else f' {remedy}'
        clause = f'{self.clause}.'
        if room is not None and len(clause) + len(after) > room:
            clause = clause[:room - len(after) - len(_CUT)].rstrip() + _CUT
        return f'{clause}{after}{self._bracketed()}'

    def _bracketed(self) -> str:
        names = '; '.join(self._names())
        return f' [{names}]' if names else ''

    def _names(self) -> Iterator[str]:
        """What it is about. The long comes last, where it may be cut off."""
        if self.offset is not None:
            yield f'bytes {self.offset} to {self.end} of the volume'
        if self.transaction:
            yield f'transaction {self.transaction}'
        if self.backup_id and self.backup_id not in (self.name or ''):
            yield f'backup {self.backup_id}'
        where = f'container {self.container}' if self.container else ''
        if self.name:
            yield f'object {self.name}{" in " if where else ""}{where}'
        elif where:
            yield where
        if self.clause == self.what and (compared := self._compared()):
            yield compared
        if self.detail:
            yield ' '.join(self.detail.split())

    def _compared(self) -> str:
        if self.expected is None or self.actual is None:
            return ''
        return f'{self.actual} instead of {self.expected}'


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
    """The store cannot be reached, is overloaded or broke off.

    ``gone`` says whether no request at all has worked for as long as this
    one was repeated.
    """

    gone = False


class FormatError(BackupError):
    """A stored object is not what its name says it is."""


class IntegrityError(BackupError):
    """Stored data differs from what the backup's manifest promises."""


class ChunkMissing(IntegrityError):
    """A chunk that the manifest names is not in the store."""


class ObjectExpires(IntegrityError):
    """The store will delete an object of a backup by itself."""


class LengthMismatch(IntegrityError):
    """A chunk does not hold as many bytes as its record says."""


class DigestMismatch(IntegrityError):
    """A block does not have the digest recorded for it."""


class KeyUnavailable(BackupError):
    """The key of an encrypted backup cannot be had."""


class WrongKey(KeyUnavailable):
    """A backup was encrypted by another key than the one at hand."""


class KeyManagerError(BackupError):
    """The key manager fails, or refuses; it may give the key later."""


class ChainError(BackupError):
    """A backup's ancestors are missing or do not fit together."""


class StillArriving(ChainError):
    """What is missing of the backups may come by itself."""


class SelectionError(BackupError):
    """What was asked for names no backup, or more than one."""


class VolumeError(BackupError):
    """The volume's handle cannot do what backup or restore needs."""


class SpoolError(BackupError):
    """A temporary file of ours cannot be written or read."""


class DatabaseUnavailable(BackupError):
    """The database with the records of backups does not answer."""


class Cancelled(BackupError):
    """The operation was cancelled from outside."""
