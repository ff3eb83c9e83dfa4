# SPDX-License-Identifier: Apache-2.0

"""A generated body in the shape that the HTTP client sends: a file."""

import hashlib

from cinder_swift_backup.stores import base

# How much is handed to or taken from the HTTP client at once, in bytes.
PIECE = 1 << 20


class StreamReader:
    """Reads a :class:`~cinder_swift_backup.stores.base.Stream` like a file.

    Hashes what it gives, since a generated body has no MD5 beforehand.
    """

    def __init__(self, stream: base.Stream) -> None:
        self._pieces = stream.pieces()
        self._rest = b''
        self._hash = hashlib.md5(usedforsecurity=False)

    def read(self, size: int = PIECE) -> bytes:
        """The next bytes, at most ``size``; none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b''
            self._rest = piece
        data, self._rest = self._rest[:size], self._rest[size:]
        self._hash.update(data)
        return data

    def md5(self) -> str:
        """The MD5 of all that was read, in hex."""
        return self._hash.hexdigest()
