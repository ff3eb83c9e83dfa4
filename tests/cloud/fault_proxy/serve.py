# SPDX-License-Identifier: Apache-2.0

"""The process of the fault proxy.

``python -m tests.cloud.fault_proxy.serve PORT CONTROL HOST SWIFT`` listens at
two ports: requests for Swift come to the first, orders to the second. An order
is a line of JSON, a list of its name and its arguments; so is the answer. With
a file of a certificate and its key as one more argument, requests come by TLS.
"""

import asyncio
import collections
import contextlib
import dataclasses
import gc
import json
import socket
import ssl
import struct
import sys
from typing import Any

from tests.cloud.fault_proxy import exchange
from tests.cloud.fault_proxy import messages
from tests.cloud.fault_proxy import rules
from tests.cloud.processes import HOST

# Seconds in which asyncio drops what comes to a server that is closed.
_DROPPED = 0.02
# With this, closing is resetting.
_NO_LINGER = struct.pack('ii', 1, 0)
_PASS = rules.Pass()


@dataclasses.dataclass
class Active:
    """A rule, how many requests it was for, and how many it took."""

    rule: rules.Rule
    seen: int = 0
    taken: int = 0
    since: float | None = None

    def takes(self, entry: exchange.Entry, idle: float) -> bool:
        """Count a request; say whether the rule takes it."""
        if (not self.rule.concerns(entry.method, entry.kind, entry.target)
                or idle < self.rule.idle):
            return False
        behind = self.seen - self.rule.first + 1
        self.seen += 1
        if (behind < 0 or behind % self.rule.every
                or self.taken == self.rule.count or self._is_over()):
            return False
        self.taken += 1
        return True

    def _is_over(self) -> bool:
        if self.since is None:
            self.since = _now()
        return (self.rule.seconds is not None
                and _now() - self.since > self.rule.seconds)


@dataclasses.dataclass(eq=False)
class Connection:
    """A client's connection, and ours to Swift for it."""

    number: int
    client: exchange.Streams
    used: float
    swift: exchange.Streams | None = None
    forgotten: bool = False

    def reset(self) -> None:
        """Reset it."""
        writer = self.client[1]
        with contextlib.suppress(OSError):
            writer.get_extra_info('socket').setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        writer.transport.abort()

    @property
    def is_gone(self) -> bool:
        """Whether the client has left."""
        return exchange.is_gone(self.client[1])

    def close(self) -> None:
        """Close it, and the one to Swift."""
        self.client[1].close()
        if self.swift is not None:
            self.swift[1].close()


class Server:
    """The proxy. All of it runs in one loop."""

    def __init__(self, port: int, swift: tuple[str, int],
                 tls: ssl.SSLContext | None) -> None:
        """Prepare.

        :param swift: host and port
        """
        self._port = port
        self._tls = tls
        self._swift = swift
        self._listener: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._number = 0
        self._running = 0
        self._alone: Connection | None = None
        self._active: list[Active] = []
        self._entries: list[exchange.Entry] = []
        self._first_listings: dict[str, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self) -> None:
        """Take connections."""
        self._forget_timers()
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._serve, HOST, self._port, limit=messages.LIMIT,
                ssl=self._tls)

    async def refuse(self) -> None:
        """Take no more connections, and reset those there are."""
        self._forget_timers()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            connection.reset()
        # Those that were accepted and are not served yet are dropped, but in
        # a circle of references that keeps their sockets open.
        asyncio.get_running_loop().call_later(_DROPPED, gc.collect)

    async def apply(self, text: str) -> None:
        """Go by these rules from now on, and forget what has been."""
        self._active = [Active(rule) for rule in rules.load(text)]
        self._entries = []

    async def hits(self) -> list[int]:
        """How many requests each rule has touched."""
        found = collections.Counter(
            each.rule for each in self._entries if each.hit)
        return [found[number] for number in range(len(self._active))]

    async def requests(self) -> list[dict[str, Any]]:
        """The requests since the rules came."""
        return [dataclasses.asdict(each) for each in self._entries]

    async def connections(self) -> list[int]:
        """The numbers of the connections that clients have open."""
        return [each.number for each in self._connections]

    async def forget(self) -> None:
        """Forget the connections: each is reset when it is used again."""
        for connection in self._connections:
            connection.forgotten = True

    async def _serve(self, reader: asyncio.StreamReader,
                     writer: asyncio.StreamWriter) -> None:
        self._number += 1
        connection = Connection(self._number, (reader, writer), _now())
        self._connections.add(connection)
        try:
            if self._listener is None:
                # It was on its way in when the others were reset.
                raise ConnectionResetError
            while await self._one(connection):
                connection.used = _now()
        except exchange.Closed:
            pass
        except (OSError, asyncio.IncompleteReadError):
            connection.reset()
        finally:
            connection.close()
            self._connections.discard(connection)

    async def _one(self, connection: Connection) -> bool:
        """Pass one request on; say whether another may follow."""
        head = await messages.read_head(connection.client[0])
        if head is None:
            return False
        method, target, _ = head.first.split(' ')
        entry = exchange.Entry(method, target,
                               rules.kind_of(method, target),
                               connection.number)
        entry.note(head)
        self._entries.append(entry)
        if connection.forgotten:
            entry.result = 'forgotten'
            raise ConnectionResetError(entry.result)
        action = self._choose(entry, _now() - connection.used)
        self._running += 1
        try:
            action = await self._at_once(action, connection, entry)
            await exchange.Exchange(
                connection.client, await self._to_swift(connection, entry),
                head, entry, action, self._first_listings).run()
        finally:
            self._running -= 1
        return not head.ends_connection

    def _choose(self, entry: exchange.Entry, idle: float) -> rules.Action:
        """What to do with a request. All rules count those they are for."""
        action: rules.Action = _PASS
        for number, active in enumerate(self._active):
            if active.takes(entry, idle) and entry.rule is None:
                entry.rule, action = number, active.rule.action
        return action

    async def _at_once(self, action: rules.Action, connection: Connection,
                       entry: exchange.Entry) -> rules.Action:
        """What does not only touch the request itself.

        :returns: what is left to do
        """
        if isinstance(action, rules.Pass):
            entry.hit = True
        elif isinstance(action, rules.Forget):
            entry.hit = True
            await self.forget()
        elif isinstance(action, rules.Refuse):
            entry.mark('Refuse')
            await self.refuse()
            task = asyncio.create_task(self._accept_in(action.seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            raise ConnectionResetError(entry.result)
        elif isinstance(action, rules.Limit):
            entry.hit = True
            return (rules.Answer(action.status)
                    if self._running > action.count else _PASS)
        elif isinstance(action, rules.Alone):
            entry.hit = True
            await self._be_alone(connection)
        return action

    async def _be_alone(self, connection: Connection) -> None:
        """Wait until no other connection is the only one."""
        while (self._alone in self._connections
               and self._alone is not connection):
            await asyncio.sleep(0.02)
            if connection.is_gone:
                raise exchange.Closed
        self._alone = connection

    async def _accept_in(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.accept()

    def _forget_timers(self) -> None:
        """Have no outage of before end what begins now."""
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    async def _to_swift(self, connection: Connection,
                        entry: exchange.Entry) -> exchange.Streams:
        """The connection to Swift: a new one if Swift has ended the last."""
        found = connection.swift
        if found is not None and not (found[0].at_eof()
                                      or found[1].is_closing()):
            return found
        if found is not None:
            found[1].close()
        try:
            connection.swift = await asyncio.open_connection(
                *self._swift, limit=messages.LIMIT)
        except OSError:
            entry.result = 'Swift refused'
            raise
        return connection.swift


def _now() -> float:
    return asyncio.get_running_loop().time()


class Control:
    """Takes orders."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def serve(self, reader: asyncio.StreamReader,
                    writer: asyncio.StreamWriter) -> None:
        """Obey the orders of one connection."""
        while line := await reader.readline():
            name, *arguments = json.loads(line)
            answer = await getattr(self._server, name)(*arguments)
            writer.write(json.dumps(answer).encode() + b'\n')
            await writer.drain()
        writer.close()


async def _run(port: int, control: int, swift: tuple[str, int],
               tls: ssl.SSLContext | None) -> None:
    server = Server(port, swift, tls)
    await server.accept()
    orders = await asyncio.start_server(
        Control(server).serve, HOST, control, limit=messages.LIMIT)
    await orders.serve_forever()


def main() -> None:
    """Do as the command line says."""
    port, control, host, swift, *certificate = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(int(port), int(control), (host, int(swift)),
                         _tls(*certificate)))


def _tls(certificate: str | None = None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


if __name__ == '__main__':
    main()
