# SPDX-License-Identifier: Apache-2.0

"""Starts the process of the fault proxy, and tells it what to do."""

import contextlib
import json
import pathlib
import shutil
import socket
import tempfile
from typing import Any
import urllib.parse

from tests.cloud import processes
from tests.cloud.fault_proxy import exchange
from tests.cloud.fault_proxy import rules

_START_TIMEOUT = 60.0
# It answers at once, unless the machine is very busy.
_TIMEOUT = 60.0


class FaultProxy:
    """A proxy before one Swift."""

    def __init__(self, swift_url: str, directory: str | None = None,
                 certificate: pathlib.Path | None = None) -> None:
        """Prepare.

        :param swift_url: without an account, as ``http://HOST:PORT``
        :param directory: where its log is while it runs; the system's for
            temporary files if None
        :param certificate: a file with it and its key. With one, clients have
            to use TLS
        """
        self._swift = urllib.parse.urlsplit(swift_url)
        self._port, self._control = processes.free_ports(2)
        self._directory = directory
        self._certificate = certificate
        self._stack = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """What takes the place of Swift's URL."""
        return self._swift._replace(
            scheme='https' if self._certificate else 'http',
            netloc=f'{processes.HOST}:{self._port}').geturl()

    def start(self) -> None:
        """Start the process, and wait until it listens.

        Call it from a thread that will live as long as the proxy shall.
        """
        directory = pathlib.Path(tempfile.mkdtemp(
            prefix='csb-proxy-', dir=self._directory))
        self._stack.callback(shutil.rmtree, directory)
        child = processes.Child(
            'the fault proxy', processes.python_module(
                'fault_proxy.serve', str(self._port), str(self._control),
                str(self._swift.hostname), str(self._swift.port),
                *([str(self._certificate)] if self._certificate else [])),
            directory / 'proxy.log')
        self._stack.callback(processes.stop_all, [child])
        child.wait_until(self._listens, _START_TIMEOUT)

    def stop(self) -> None:
        """End the process."""
        self._stack.close()

    def apply(self, *faults: rules.Rule) -> None:
        """Break what these rules say, and forget what has been."""
        self._tell('apply', rules.dump(faults))

    def hits(self) -> list[int]:
        """How many requests each rule has touched."""
        found: list[int] = self._tell('hits')
        return found

    def requests(self) -> list[exchange.Entry]:
        """The requests since the rules came, oldest first."""
        return [exchange.Entry(**fields) for fields in self._tell('requests')]

    def connections(self) -> set[int]:
        """The numbers of the connections that clients have open."""
        return set(self._tell('connections'))

    def forget(self) -> None:
        """Reset each connection that is open now when it is used again."""
        self._tell('forget')

    def refuse(self) -> None:
        """Be as if the process were not there."""
        self._tell('refuse')

    def accept(self) -> None:
        """Be there again."""
        self._tell('accept')

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            self.hits()
            return True
        return False

    def _tell(self, *order: object) -> Any:
        with (socket.create_connection(
                (processes.HOST, self._control), _TIMEOUT) as connection,
              connection.makefile('rw') as lines):
            lines.write(json.dumps(order) + '\n')
            lines.flush()
            return json.loads(lines.readline())
