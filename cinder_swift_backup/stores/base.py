# SPDX-License-Identifier: Apache-2.0

"""The contract of an object store.

What every implementation promises, and ``tests/contract`` checks:

* An object is stored whole or not at all. A :meth:`ObjectStore.put` that
  raised may still have stored it, when only the answer was lost. Clean-up
  therefore has to delete every name that was ever put.
* :meth:`ObjectStore.put` only returns when the store has confirmed the very
  bytes that were sent, by their MD5.
* :meth:`ObjectStore.list` is in the order of the names' UTF-8 bytes. It may
  lag behind puts and deletes; nothing that must be right relies on it alone.
* :meth:`ObjectStore.delete` of an object that is not there is no error.
* Bodies go in and come out in pieces, so that no store needs an object in
  memory. A request that has to be repeated asks for the pieces again, or
  hands them over again, from their start.
* A store that was made with :meth:`ObjectStore.until` checks its stop before
  each attempt of a request, while it waits, and before each piece of a body.
* The caller keeps buffers that it hands in unchanged until the call
  returns; buffers that it gets are its own.
* A name that leads elsewhere than to a container, as one with a slash, is a
  ConfigurationError, whatever is to be done there. Nothing is sent.
* All methods may be called from several threads at once. Requests that fail
  for a passing reason are repeated in here and nowhere else; what comes out
  is final.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import datetime
import time
from typing import Protocol
from typing import TypeVar

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import traffic as traffic_

_T = TypeVar('_T')

# The size of the pieces of a body, in bytes.
PIECE = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing shows it.

    ``size`` is in bytes. ``etag`` is its MD5 in hex; that of a large object
    is another one. ``modified`` says when it was stored, in UTC; a copy that
    Swift's container sync made has the time of the original.
    """

    name: str
    size: int
    etag: str
    modified: datetime.datetime = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Stat:
    """An object as it is, whatever listings show.

    ``size`` and ``etag`` are as those of :class:`ObjectInfo`. ``expires`` says
    when the store deletes it by itself, in UTC; None if it does not. ``notes``
    are what was noted with :meth:`ObjectStore.annotate`.
    """

    size: int
    etag: str
    expires: datetime.datetime | None = None
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """A part of a large object: an object of its own, which is there already.

    ``size`` is in bytes, ``md5`` in hex. A large object may have a segment
    many times.
    """

    container: str
    name: str
    size: int
    md5: str


@dataclasses.dataclass(frozen=True, slots=True)
class Body:
    """What to store: ``length`` bytes, from ``pieces()``.

    The store calls ``pieces`` again when it repeats the request, and must get
    the same data each time. ``md5`` is that of all of it, in hex, or None if
    it is not known yet.
    """

    length: int
    pieces: Callable[[], Iterable[bytes | memoryview]]
    md5: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Capabilities:
    """The features and limits of the cluster; None if it does not tell.

    ``max_object_size`` is in bytes. ``max_segments`` is for a static large
    object, and 0 where there are none.
    """

    max_object_size: int | None = None
    storage_policies: tuple[str, ...] | None = None
    max_segments: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Sync:
    """Where Swift copies a container to, by its container sync.

    ``to`` is ``//REALM/CLUSTER/ACCOUNT/CONTAINER``, and None for a container
    that only receives. Both ends have the same ``key``.
    """

    to: str | None
    key: str = dataclasses.field(repr=False)

    def completed(self, account: str, container: str) -> 'Sync':
        """With the container, and the account where it is the same there."""
        to = self.to or ''
        if to.count('/') == 3:  # It is //REALM/CLUSTER.
            to = f'{to}/{account}'
        return Sync(f'{to}/{container}', self.key)

    def beside(self, container: str) -> 'Sync | None':
        """For another container to go to the same place, if it goes to any.

        This one is completed.
        """
        if not self.to:
            return None
        return Sync(f'{self.to.rpartition("/")[0]}/{container}', self.key)


@dataclasses.dataclass(frozen=True, slots=True)
class NewContainers:
    """Whether there may be new containers, and what they are like.

    ``storage_policy`` is its name. The ``to`` of ``sync`` lacks the container,
    which is of the same name there, and may lack the account, if that is.
    """

    allowed: bool = True
    storage_policy: str | None = None
    sync: Sync | None = None


ANY = NewContainers()


class Stop(Protocol):
    """Tells the store when the caller no longer wants the result."""

    def check(self) -> None:
        """Raise if the result is no longer wanted."""

    def wait(self, seconds: float) -> None:
        """Sleep; raise as soon as the result is no longer wanted."""

    def interrupting(self, interrupt: Callable[[], None],
                     ) -> contextlib.AbstractContextManager[None]:
        """While the block runs, have something done when it is time to stop.

        :param interrupt: called by another thread, and wakes this one. Not
            called where this thread is the one that has to find out.
        """


class _Never:
    def check(self) -> None:
        pass

    def interrupting(self, interrupt: Callable[[], None],
                     ) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


NEVER: Stop = _Never()


class ObjectStore(Protocol):
    """Stores named objects in named containers.

    ``traffic`` counts for this store and all that were made by :meth:`until`.
    """

    traffic: traffic_.Traffic

    def until(self, stop: Stop) -> 'ObjectStore':
        """The same store, whose requests end when ``stop`` raises.

        Then it repeats no request any more.
        """

    def capabilities(self) -> Capabilities:
        """Ask the store what it can do and what it allows.

        :raises StoreUnavailable: when it cannot be reached
        """

    def ensure_container(self, container: str, *, create: bool,
                         storage_policy: str | None = None,
                         like: str | None = None,
                         sync: Sync | None = None) -> None:
        """Make sure that a container exists.

        :param create: whether to make it where it is missing
        :param storage_policy: for a container made here only
        :param like: a container whose storage policy it gets, and which it is
            copied beside, as far as these are not told
        :param sync: as that of :class:`NewContainers`, and as above
        :raises ContainerNotFound: when it is missing and not to be made
        :raises ConfigurationError: when the storage policy is unknown, or
            the cluster does not copy there
        """

    def sync(self, container: str) -> Sync | None:
        """Where a container is copied to; None if it takes no part.

        :raises ContainerNotFound: when the container does not exist
        """

    def account(self) -> str:
        """The name of the account, by whatever host it is found.

        :raises StoreError: when there is no access to it
        """

    def sync_target(self, container: str, sync: Sync) -> Sync:
        """What a container of this account is made with for ``sync``."""

    def now(self) -> datetime.datetime | None:
        """The time by the store's clock, in UTC; None if it does not tell.

        It is that of :class:`ObjectInfo`, up to a few seconds, and never the
        host's.

        :raises StoreError: when the store cannot be asked
        """

    def put(self, container: str, name: str, body: Body) -> str:
        """Store an object, replacing one of the same name; returns its MD5.

        Errors of the body's factory are raised as they are, unless they are
        Retryable.

        :raises ContainerNotFound: when the container does not exist
        :raises QuotaExceeded: when it is too large or a quota is full
        :raises StoreError: when the pieces are not as long as they should be
        """

    def put_large(self, container: str, name: str,
                  segments: Sequence[Segment]) -> None:
        """Store an object that consists of others, in their order.

        It is read like any object. Deleting it leaves its segments.

        :raises ContainerNotFound: when the container does not exist
        :raises StoreError: when a segment is not there, or is not as told
        """

    def stat(self, container: str, name: str) -> Stat:
        """Ask for an object itself.

        :raises ObjectNotFound: when it does not exist
        """

    def annotate(self, container: str, name: str,
                 notes: Mapping[str, str]) -> None:
        """Note something with an object, in place of what was noted before.

        The object stays as it is, but for when listings say that it was
        modified, and for when it expires: it does not any more.

        :param notes: names of small letters, and values of ASCII in one line
        :raises ObjectNotFound: when it does not exist
        """

    def exists(self, container: str, name: str) -> bool:
        """Whether there is such an object, whatever listings show."""

    def segments(self, container: str,
                 name: str) -> tuple[Segment, ...] | None:
        """What a large object consists of; None for any other object.

        Nothing if it is one, and the store does not tell of what.

        :raises ObjectNotFound: when it does not exist
        """

    def read(self, container: str, name: str,
             use: Callable[[Iterator[bytes]], _T],
             extent: types.Extent | None = None, *,
             compared: bool = False, rare: bool = False) -> _T:
        """Pass the content of an object to ``use``; return its result.

        When the connection breaks, the store calls ``use`` again, with the
        pieces from the start. So it does when ``use`` raises a FormatError or
        an IntegrityError, unless the store can tell that the object came as it
        was stored; if it always comes damaged, the last of these errors is
        raised. ``use`` may ignore the rest of the pieces, but must not take
        any after it has returned. Its other errors are raised as they are,
        unless they are Retryable.

        :param use: takes the pieces, each of at most :data:`PIECE` bytes
        :param extent: of the stored bytes, at least one; all by default
        :param compared: whether to compare all of it with the store's own
            checksum, if it has one, before the result counts
        :param rare: whether the object is often not there, so that the store
            believes that sooner: the caller then has to look for it in a
            listing
        :raises FormatError: when it always differs from that
        :raises ObjectNotFound: when it does not exist
        :raises LengthMismatch: when it ends before the extent does
        """

    def delete(self, container: str, name: str) -> None:
        """Remove an object; it need not exist."""

    def containers(self) -> Iterator[str]:
        """The names of all containers of the account, in order."""

    def list(self, container: str, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose names start with ``prefix``.

        :raises ContainerNotFound: when the container does not exist
        """

    def close(self) -> None:
        """Close all connections; the store must not be used afterwards."""


class ExistsByStat:
    """For stores: what exists is what ``stat`` finds."""

    def exists(self: ObjectStore, container: str, name: str) -> bool:
        """See :class:`ObjectStore`."""
        try:
            self.stat(container, name)
        except exceptions.ObjectNotFound:
            return False
        return True


def bounded(pieces: Iterator[bytes], name: str,
            most: int | None) -> Iterator[bytes]:
    """The same pieces of an object, as long as there are not too many.

    :param most: how many bytes there may be; None for any number
    :raises FormatError: when there are more
    """
    count = 0
    for piece in pieces:
        count += len(piece)
        if most is not None and count > most:
            raise exceptions.FormatError(
                f'an object is larger than the {most} bytes it can have',
                name=name, expected=most,
                remedy=exceptions.Remedy.OTHER_BACKUP)
        yield piece
