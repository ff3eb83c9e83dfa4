# SPDX-License-Identifier: Apache-2.0

"""Configure and start RabbitMQ, for services that are not in one process.

Erlang's programs find each other through a port mapper that outlives them
if they have to start it. So ours is started first, on a port of its own.
"""

import pathlib
import secrets
import shutil
import socket

from tests.cloud import errors
from tests.cloud import processes

START_TIMEOUT = 120.0
_USER = 'cinder'
# Debian's program of this name in the usual places wants to be root.
_PROGRAMS = '/usr/lib/rabbitmq/bin'


class Rabbit:
    """A message broker."""

    def __init__(self, directory: pathlib.Path) -> None:
        """Prepare; nothing is written yet.

        :param directory: a directory for this broker alone
        """
        self._directory = directory
        self._password = secrets.token_hex(8)
        self._port, self._mapper, self._node = processes.free_ports(3)
        self._children: list[processes.Child] = []

    @property
    def url(self) -> str:
        """What Cinder calls its transport."""
        login = f'{_USER}:{self._password}'
        return f'rabbit://{login}@{processes.HOST}:{self._port}/'

    def start(self) -> None:
        """Write the configuration and start the processes.

        :raises RabbitMissing: if it is not installed
        """
        mapper, server = _find('epmd'), _find('rabbitmq-server')
        self._directory.mkdir(parents=True)
        self._write_config()
        self._start(
            "Erlang's port mapper",
            [mapper, '-address', processes.HOST, '-port', str(self._mapper)],
        )
        self._children[0].wait_until(
            lambda: _accepts(self._mapper), START_TIMEOUT
        )
        self._start('RabbitMQ', [server])

    def wait(self) -> None:
        """Wait until it takes connections."""
        self._children[-1].wait_until(
            lambda: _accepts(self._port), START_TIMEOUT
        )

    def children(self) -> list[processes.Child]:
        """Return the processes started so far; they end in this order."""
        return list(self._children)

    def _start(self, name: str, command: list[str]) -> None:
        log = self._directory / f'{pathlib.Path(command[0]).name}.log'
        self._children.append(
            processes.Child(name, command, log, self._variables())
        )

    def _write_config(self) -> None:
        lines = {
            'listeners.tcp.1': f'{processes.HOST}:{self._port}',
            'default_user': _USER,
            'default_pass': self._password,
        }
        self._conf.write_text(
            ''.join(f'{name} = {value}\n' for name, value in lines.items())
        )

    @property
    def _conf(self) -> pathlib.Path:
        return self._directory / 'rabbitmq.conf'

    def _variables(self) -> dict[str, str]:
        """Return what keeps it out of the system's directories and ports."""
        directory = str(self._directory)
        return {
            'HOME': directory,
            'ERL_EPMD_ADDRESS': processes.HOST,
            'ERL_EPMD_PORT': str(self._mapper),
            'RABBITMQ_NODENAME': 'cloud@localhost',
            'RABBITMQ_DIST_PORT': str(self._node),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': (
                '-kernel inet_dist_use_interface {127,0,0,1}'
            ),
            'RABBITMQ_CONFIG_FILE': str(self._conf),
            'RABBITMQ_CONF_ENV_FILE': f'{directory}/none.conf',
            'RABBITMQ_ENABLED_PLUGINS_FILE': f'{directory}/plugins',
            'RABBITMQ_PID_FILE': f'{directory}/pid',
            'RABBITMQ_MNESIA_BASE': directory,
            'RABBITMQ_LOG_BASE': directory,
        }


def _accepts(port: int) -> bool:
    """Say whether a server takes connections there."""
    try:
        socket.create_connection((processes.HOST, port), timeout=5).close()
    except OSError:
        return False
    return True


def _find(program: str) -> str:
    """Return the path of a program.

    :raises RabbitMissing: if it is not installed
    """
    found = shutil.which(program, path=f'{_PROGRAMS}:/usr/bin:/usr/sbin')
    if found is None:
        raise errors.RabbitMissing(program)
    return found
