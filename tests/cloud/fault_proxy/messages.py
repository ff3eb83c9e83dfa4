# SPDX-License-Identifier: Apache-2.0

"""HTTP/1.1 as far as Swift and its clients use it: heads and bodies."""

import asyncio
from collections.abc import AsyncIterator
import dataclasses

PIECE = 1 << 16
# What a listing of 10,000 objects takes, and more.
LIMIT = 1 << 24


@dataclasses.dataclass
class Head:
    """The first line of a message, and its headers."""

    first: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """The value of a header, by its name in small letters."""
        return next((value for key, value in self.headers
                     if key.lower() == name), None)

    def set(self, name: str, value: object) -> None:
        """Give a header this value and no other."""
        self.remove(name)
        self.headers.append((name, str(value)))

    def remove(self, name: str) -> None:
        """Take a header away."""
        self.headers = [(key, old) for key, old in self.headers
                        if key.lower() != name.lower()]

    @property
    def length(self) -> int | None:
        """The length of the body; None if it is not told."""
        value = self.get('content-length')
        return None if value is None else int(value)

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks of HTTP."""
        return (self.get('transfer-encoding') or '').lower() == 'chunked'

    @property
    def ends_connection(self) -> bool:
        """Whether the sender closes the connection after this message."""
        return (self.get('connection') or '').lower() == 'close'

    def __bytes__(self) -> bytes:
        """What is sent."""
        lines = [self.first, *(f'{k}: {v}' for k, v in self.headers), '', '']
        return '\r\n'.join(lines).encode('latin-1')


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head; None where the sender has closed."""
    try:
        raw = await reader.readuntil(b'\r\n\r\n')
    except asyncio.IncompleteReadError:
        return None
    first, *lines = raw.decode('latin-1').rstrip('\r\n').split('\r\n')
    pairs = (line.partition(':') for line in lines)
    return Head(first, [(key, value.strip()) for key, _, value in pairs])


async def pieces(reader: asyncio.StreamReader, head: Head,
                 default: int | None = 0) -> AsyncIterator[bytes]:
    """The body in pieces, as it has to be passed on.

    :param default: the length where none is told; None means up to the end
    :raises ConnectionError: when it ends too early
    """
    if head.is_chunked:
        async for piece in _chunks(reader):
            yield piece
        return
    left = default if head.length is None else head.length
    while left is None or left:
        piece = await reader.read(PIECE if left is None
                                  else min(left, PIECE))
        if not piece:
            if left is None:
                return
            raise ConnectionResetError('The sender left early.')
        if left is not None:
            left -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Chunks of HTTP with their frames."""
    while True:
        line = await reader.readuntil(b'\r\n')
        size = int(line.partition(b';')[0], 16)
        yield line + await reader.readexactly(size + 2)
        if not size:
            return
