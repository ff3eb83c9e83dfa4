# SPDX-License-Identifier: Apache-2.0

"""A store that is far away: a TCP proxy that delivers late.

It delays what it passes on, in both directions, and does not slow it down.
``python -m tests.bench.delay HOST PORT SECONDS`` prints the port it listens
at. For each line of its input, it prints how many bytes have come so far, as
JSON: ``sent`` to HOST and ``received`` from it. It ends when its input does.
"""

import asyncio
from collections.abc import Callable
import contextlib
import functools
import json
import sys

from tests.cloud.processes import HOST

_PIECE = 1 << 18
# What may be on its way in one direction, as in the windows of TCP.
_MOST = 16 << 20


async def _pass_on(reader: asyncio.StreamReader,
                   writer: asyncio.StreamWriter, delay: float,
                   count: Callable[[int], None]) -> None:
    loop = asyncio.get_running_loop()
    on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(
        _MOST // _PIECE)

    async def deliver() -> None:
        while True:
            due, piece = await on_its_way.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    with contextlib.suppress(ConnectionError):
        while True:
            piece = await reader.read(_PIECE)
            count(len(piece))
            await on_its_way.put((loop.time() + delay, piece))
            if not piece:
                break
    with contextlib.suppress(ConnectionError):
        await delivery


async def _serve(host: str, port: int, delay: float) -> None:
    counted = {'sent': 0, 'received': 0}

    def count(direction: str, size: int) -> None:
        counted[direction] += size

    async def accept(reader: asyncio.StreamReader,
                     writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(host, port)
        # At the end, asyncio would complain of it.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(
                _pass_on(reader, other_writer, delay,
                         functools.partial(count, 'sent')),
                _pass_on(other_reader, writer, delay,
                         functools.partial(count, 'received')))
        for each in (writer, other_writer):
            each.close()

    server = await asyncio.start_server(accept, HOST, 0, limit=_PIECE)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(counted), flush=True)
    server.close()


def main() -> None:
    """Do as the command line says."""
    host, port, delay = sys.argv[1:]
    asyncio.run(_serve(host, int(port), float(delay)))


if __name__ == '__main__':
    main()
