# SPDX-License-Identifier: Apache-2.0

"""The contract of an object store.

What every implementation promises, and ``tests/contract`` checks:

* An object is there whole or not at all. A :meth:`ObjectStore.put` that
  raised may still have stored the object (the answer can be what was lost),
  so who cleans up deletes every name that was ever tried.
* :meth:`ObjectStore.put` only returns when the store has confirmed the very
  bytes that were sent, by their MD5.
* :meth:`ObjectStore.list` is in the order of the names' UTF-8 bytes. It may
  lag behind puts and deletes; nothing that must be right relies on it alone.
* :meth:`ObjectStore.delete` of an object that is not there is no error.
* The caller keeps buffers that it hands in unchanged until the call
  returns; buffers that it gets are its own.
* All methods may be called from several threads at once. Requests that fail
  for a passing reason are repeated in here and nowhere else; what comes out
  is final.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing shows it; ``etag`` is its MD5 in hex."""

    name: str
    size: int
    etag: str


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """A body made while it is sent: ``length`` bytes, from ``pieces()``.

    ``pieces`` is called again from the start when the request is repeated.
    """

    length: int
    pieces: Callable[[], Iterator[bytes]]


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What the cluster says of itself; None where it does not say.

    ``max_object_size`` is in bytes.
    """

    max_object_size: int | None = None
    storage_policies: tuple[str, ...] | None = None


class ObjectStore(Protocol):
    """Objects with names in containers with names."""

    def limits(self) -> Limits:
        """Ask the store what it allows.

        :raises StoreUnavailable: when it cannot be reached
        """

    def ensure_container(self, container: str, *, create: bool,
                         storage_policy: str | None = None) -> None:
        """Make sure that a container exists.

        :param create: whether to make it where it is missing
        :param storage_policy: for a container made here only
        :raises ContainerNotFound: when it is missing and not to be made
        :raises ConfigurationError: when the storage policy is unknown
        """

    def put(self, container: str, name: str, body: bytes | Stream,
            md5: str | None = None) -> None:
        """Store an object, replacing one of the same name.

        :param md5: of the body, in hex, where the caller knows it already
        :raises ContainerNotFound: when the container does not exist
        :raises QuotaExceeded: when it is too large or a quota is full
        """

    def get(self, container: str, name: str, max_size: int | None = None,
            ) -> bytes:
        """The content of an object.

        :param max_size: refuse an object of more bytes before reading it
        :raises ObjectNotFound: when it does not exist
        :raises LengthMismatch: when it is larger than ``max_size``
        """

    def delete(self, container: str, name: str) -> None:
        """Remove an object; it need not exist."""

    def list(self, container: str, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose names start with ``prefix``.

        :raises ContainerNotFound: when the container does not exist
        """

    def close(self) -> None:
        """Give back connections; the store may not be used after it."""
