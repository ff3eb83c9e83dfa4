# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

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
