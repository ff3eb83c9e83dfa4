# SPDX-License-Identifier: Apache-2.0

"""Presents a body as the file that the HTTP client wants to send."""

from collections.abc import Iterator
import hashlib

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import bandwidth
from cinder_swift_backup.stores import base

_NOTHING = memoryview(b'')


class BodyReader:
    """Reads a :class:`~cinder_swift_backup.stores.base.Body` like a file.

    It gives the socket views of about a MiB at a time, because eventlet's
    socket copies the unsent rest after each partial send.
    """

    def __init__(self, name: str, body: base.Body, stop: base.Stop,
                 limit: bandwidth.Limit = bandwidth.UNLIMITED.up) -> None:
        """Prepare.

        :param limit: how fast it may be read
        """
        self._name = name
        self._length = body.length
        self._known_md5 = body.md5
        self._views = _views(body, stop, limit)
        self._ahead: memoryview | None = None
        self._count = 0
        self._hash = (None if body.md5 is not None
                      else hashlib.md5(usedforsecurity=False))
        self.error: Exception | None = None

    def read(self, size: int = -1) -> bytes | memoryview:
        """The next piece, regardless of ``size``; empty at the end.

        The HTTP client asks for 16 KiB at a time and sends whatever it gets.
        It stops at the announced length, so this looks one piece ahead to
        notice surplus data.

        :raises StoreError: when the body is shorter or longer than announced
        :raises Exception: what ``stop`` raises
        """
        try:
            view = self._next() if self._ahead is None else self._ahead
            self._ahead = self._next()
        except Exception as err:
            self.error = err
            raise
        self._count += len(view)
        fits = (self._count < self._length if self._ahead
                else self._count == self._length)
        if not fits:
            raise exceptions.StoreError(
                "the body's length differs from the announced one",
                name=self._name, expected=self._length,
                actual=f'{self._count}{" and more" if self._ahead else ""}')
        if self._hash is not None:
            self._hash.update(view)
        return view

    def _next(self) -> memoryview:
        return next(self._views, _NOTHING)

    def md5(self) -> str:
        """The MD5 in hex: the known one, or else that of the data read."""
        if self._known_md5 is not None:
            return self._known_md5
        assert self._hash is not None
        return self._hash.hexdigest()

    def close(self) -> None:
        """Drop the body.

        The HTTP client's connection refers to its last request, which refers
        to this reader, until it sends the next.
        """
        self._views = iter(())
        self._ahead = _NOTHING


def _views(body: base.Body, stop: base.Stop,
           limit: bandwidth.Limit) -> Iterator[memoryview]:
    for piece in body.pieces():
        view = memoryview(piece)
        start = 0
        while start < len(view):
            stop.check()
            part = view[start:start + limit.piece]
            limit.wait(len(part), stop)
            start += len(part)
            yield part
