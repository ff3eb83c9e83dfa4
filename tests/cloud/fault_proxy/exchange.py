# SPDX-License-Identifier: Apache-2.0

"""One request and its answer, and what is done to them on the way.

1. Before the body is read, the request may be answered, reset or stalled.
2. Pass the head and the body on to Swift, a piece late: so Swift does not
   have all of a request that is broken at its end.
3. Pass the answer on.

What ends the connection is an exception: ``ConnectionResetError`` resets it,
``Closed`` closes it.
"""

import asyncio
from collections.abc import AsyncIterator
import dataclasses
import hashlib
import http
import json
import re
import socket
from typing import Any

from tests.cloud.fault_proxy import messages
from tests.cloud.fault_proxy import rules

_TRANSACTION = 'tx-of-the-fault-proxy'
# How often to look whether the client of a stalled request is still there.
_TICK = 0.05
_ESTABLISHED = 1
# What nobody but the two sides should see.
_SECRET = frozenset((
    'x-auth-key', 'x-auth-token', 'x-container-sync-key', 'x-service-token',
    'x-storage-token', 'x-subject-token'))
# Swift's own 498.
_RATE_LIMITED = 'Rate Limited'
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Closed(Exception):
    """The connection is to be closed."""


@dataclasses.dataclass
class Entry:
    """What is told of a request.

    ``rule`` is the number of the rule that took it, ``hit`` says whether that
    did anything to it. ``result`` is the status of the answer, or else what
    has become of it. ``secrets`` are the headers, of both, that are secret.
    """

    method: str
    target: str
    kind: rules.Kind
    connection: int
    rule: int | None = None
    hit: bool = False
    result: str = ''
    secrets: dict[str, str] = dataclasses.field(default_factory=dict)

    def note(self, head: messages.Head) -> None:
        """Note the secrets of the request, or of its answer."""
        self.secrets.update((name.lower(), value)
                            for name, value in head.headers
                            if name.lower() in _SECRET)

    def mark(self, result: object) -> None:
        """Note what was done to it."""
        self.hit = True
        self.result = str(result)


@dataclasses.dataclass
class Exchange:
    """A request on its way."""

    client: Streams
    swift: Streams
    head: messages.Head
    entry: Entry
    action: rules.Action
    first_listings: dict[str, bytes]

    async def run(self) -> None:
        """Do it all.

        :raises Closed: when the connection is to be closed
        :raises OSError: when it is to be reset
        """
        await self._at(rules.Moment.BEFORE)
        if isinstance(self.action, rules.Answer):
            await self._answer(self.action)
            return
        if isinstance(self.action, rules.Lose):
            await self._lose()
            return
        if isinstance(self.action, rules.Other):
            self._ask_for_other(self.action)
        await self._send()
        answer = await messages.read_head(self.swift[0])
        if answer is None:
            self.entry.result = 'Swift broke off'
            raise ConnectionResetError(self.entry.result)
        self.entry.note(answer)
        status = answer.first.split(' ')[1]
        self.entry.result = self.entry.result or status
        await self._at(rules.Moment.ANSWERED)
        if isinstance(self.action, rules.Claim):
            await self._swallow(answer, int(status))
            await self._reply(rules.Answer(self.action.status))
            return
        await self._receive(answer, int(status))

    async def _at(self, moment: rules.Moment) -> None:
        """Do what is to be done at a moment."""
        action = self.action
        if getattr(action, 'moment', None) != moment:
            return
        self.entry.mark(f'{type(action).__name__}: {moment}')
        if isinstance(action, rules.Close):
            raise Closed
        if isinstance(action, rules.Stall):
            await self._stall(action.seconds)
        raise ConnectionResetError(moment)

    async def _stall(self, seconds: float) -> None:
        """Do nothing, but notice when the client gives up."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while clock() < end:
            if is_gone(self.client[1]):
                return
            await asyncio.sleep(_TICK)

    async def _answer(self, action: rules.Answer) -> None:
        """Answer in the place of Swift."""
        self.entry.mark(f'{action.status} by the proxy')
        if not action.early:
            async for _ in messages.pieces(self.client[0], self.head):
                pass
        await self._reply(action)

    async def _reply(self, action: rules.Answer) -> None:
        self.entry.mark(f'{action.status} by the proxy')
        body = action.body.encode()
        answer = messages.Head(
            f'HTTP/1.1 {action.status} {_reason(action.status)}', [
                ('Content-Length', str(len(body))),
                ('Content-Type', 'text/html'),
                ('X-Trans-Id', _TRANSACTION)])
        if action.status == 204:
            answer.remove('Content-Length')
        for name, value in action.headers.items():
            answer.set(name, value)
        if action.early:
            answer.set('Connection', 'close')
        if self.entry.method == 'HEAD' or action.status == 204:
            body = b''
        await self._pass(self.client[1], bytes(answer) + body)
        if action.early:
            raise Closed

    async def _lose(self) -> None:
        """Say that it is done."""
        digest = hashlib.md5(usedforsecurity=False)
        async for piece in messages.pieces(self.client[0], self.head):
            digest.update(piece)
        await self._reply(rules.Answer(204) if self.entry.method == 'DELETE'
                          else rules.Answer(
                              201, {'Etag': digest.hexdigest()}, body=''))

    def _ask_for_other(self, action: rules.Other) -> None:
        other = re.sub(action.pattern, action.text, self.head.first)
        if other != self.head.first:
            self.head.first = other
            self.entry.mark('Other')

    def _told(self, answer: messages.Head) -> messages.Head:
        """The head of an answer as the client gets it."""
        found = messages.Head(answer.first, answer.headers)
        if isinstance(self.action, rules.Tell):
            self.entry.mark(f'Tell, {self.entry.result}')
            for name, value in self.action.headers.items():
                found.remove(name)
                if value is not None:
                    found.set(name, value)
        return found

    async def _swallow(self, answer: messages.Head, status: int) -> None:
        """Read what Swift has to say."""
        if self.entry.method == 'HEAD' or status in (204, 304):
            return
        async for _ in messages.pieces(self.swift[0], answer, None):
            pass

    async def _send(self) -> None:
        """Pass the request on, always a piece late."""
        late = bytes(self.head)
        body = messages.pieces(self.client[0], self.head)
        if self.entry.method == 'PUT':
            body = self._flipped(body)
        async for piece in self._in_halves(body, self.head.length,
                                           rules.Moment.IN_BODY):
            await self._pass(self.swift[1], late)
            late = piece
        await self._at(rules.Moment.AFTER_BODY)
        await self._pass(self.swift[1], late)

    async def _receive(self, answer: messages.Head, status: int) -> None:
        """Pass the answer on."""
        if self.entry.method == 'HEAD' or status in (204, 304):
            await self._pass_head(told := self._told(answer))
            if told.ends_connection:
                raise Closed
            return
        body = messages.pieces(self.swift[0], answer, None)
        if status == 200 and self.entry.kind == rules.Kind.LISTING:
            body = await self._list(answer, body)
        if status < 300 and self.entry.method == 'GET':
            body = self._flipped(body)
            if isinstance(self.action, rules.Shorten):
                body = self._shorten(answer, body)
        elif answer.length is None and not answer.is_chunked:
            answer.set('Connection', 'close')
        if status < 300:
            body = await self._other_form(answer, body)
        await self._pass_head(told := self._told(answer))
        async for piece in self._in_halves(body, answer.length,
                                           rules.Moment.IN_ANSWER):
            await self._pass(self.client[1], piece)
        if answer.ends_connection or told.ends_connection:
            raise Closed

    async def _in_halves(self, body: AsyncIterator[bytes],
                         length: int | None,
                         moment: rules.Moment) -> AsyncIterator[bytes]:
        """The body; the moment comes when half of it was taken."""
        sent, middle = 0, (length or 0) // 2
        async for piece in body:
            if sent <= middle < sent + len(piece):
                yield piece[:middle - sent]
                await self._at(moment)
                yield piece[middle - sent:]
            else:
                yield piece
            sent += len(piece)

    def _shorten(self, answer: messages.Head,
                 body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Half of the body, whose length the answer then tells."""
        half = (answer.length or 0) // 2
        if not half:
            return body
        self.entry.mark('Shorten')
        answer.set('Content-Length', half)
        return self._first(body, half)

    async def _first(self, body: AsyncIterator[bytes],
                     left: int) -> AsyncIterator[bytes]:
        """The first bytes; what comes behind them nobody reads."""
        async for piece in body:
            yield piece[:left]
            left -= min(left, len(piece))
            if not left:
                self.swift[1].close()
                return

    async def _flipped(self, body: AsyncIterator[bytes],
                       ) -> AsyncIterator[bytes]:
        """The body, with a bit flipped if there is to be one."""
        action = self.action
        if not isinstance(action, rules.Flip):
            async for piece in body:
                yield piece
            return
        whole = bytearray(b''.join([piece async for piece in body]))
        text = action.text.encode()
        if whole and text in whole:
            where = (whole.index(text) + len(text) - 1 if text
                     else len(whole) // 2)
            whole[where] ^= 1
            self.entry.mark('Flip')
        for offset in range(0, len(whole), messages.PIECE):
            yield bytes(whole[offset:offset + messages.PIECE])

    async def _list(self, answer: messages.Head,
                    body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A listing, or what the rule leaves of it."""
        found = b''.join([piece async for piece in body])
        old = self.first_listings.setdefault(self.entry.target, found)
        if isinstance(self.action, rules.List):
            self.entry.mark(f'List: {self.action.extent}')
            if self.action.extent == rules.Extent.FIRST:
                old = self._last_first_page(found)
            found = _listing(self.action.extent, found, old)
        answer.set('Content-Length', len(found))
        return _whole(found)

    def _last_first_page(self, found: bytes) -> bytes:
        """The first page when it was asked for last."""
        key = 'last ' + re.sub('&?marker=[^&]*', '', self.entry.target)
        if 'marker=' not in self.entry.target:
            self.first_listings[key] = found
        return self.first_listings.setdefault(key, found)

    async def _other_form(self, answer: messages.Head,
                          body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body as another text, or in another form."""
        action = self.action
        if not isinstance(action, rules.Replace | rules.Substitute
                          | rules.Unmeasured):
            return body
        self.entry.mark(type(action).__name__)
        found = b''.join([piece async for piece in body])
        if isinstance(action, rules.Replace):
            found = action.text.encode()
            answer.set('Content-Type', action.type)
        elif isinstance(action, rules.Substitute):
            found = found.replace(action.old.encode(), action.new.encode())
        if isinstance(action, rules.Unmeasured):
            answer.remove('Content-Length')
            answer.set('Transfer-Encoding', 'chunked')
            found = b'%x\r\n%b\r\n0\r\n\r\n' % (len(found), found)
        else:
            answer.set('Content-Length', len(found))
        return _whole(found)

    async def _pass_head(self, answer: messages.Head) -> None:
        if not isinstance(self.action, rules.Drip):
            await self._pass(self.client[1], bytes(answer))
            return
        self.entry.mark('Drip')
        for byte in bytes(answer):
            await self._pass(self.client[1], bytes((byte,)))
            await asyncio.sleep(1 / self.action.rate)

    async def _pass(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if isinstance(self.action, rules.Slow):
            self.entry.hit = True
            await asyncio.sleep(len(data) / self.action.rate)
        writer.write(data)
        await writer.drain()


def is_gone(client: asyncio.StreamWriter) -> bool:
    """Whether a client has closed its connection, or reset it."""
    state = client.get_extra_info('socket').getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return bool(state[0] != _ESTABLISHED)


def _reason(status: int) -> str:
    try:
        return (_RATE_LIMITED if status == 498
                else http.HTTPStatus(status).phrase)
    except ValueError:
        return 'A fault'


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


def _listing(extent: rules.Extent, body: bytes, old: bytes) -> bytes:
    match extent:
        case rules.Extent.OLD | rules.Extent.FIRST:
            return old
        case rules.Extent.CUT:
            return body[:len(body) // 2]
    # Of a page with a single entry nothing is left, or else the next page
    # would bring what this one has left out.
    found: list[Any] = json.loads(body or b'[]')
    match extent:
        case rules.Extent.NOTHING:
            found = []
        case rules.Extent.HALF:
            found = found[1::2]
        case rules.Extent.TWICE:
            found = [entry for entry in found for _ in range(2)]
        case rules.Extent.BACKWARDS:
            found = found[::-1]
        case rules.Extent.NULLS:
            found = [dict.fromkeys(entry) for entry in found]
    return json.dumps(found).encode()
