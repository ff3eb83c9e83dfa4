# SPDX-License-Identifier: Apache-2.0

"""Child processes: start, wait until they answer, stop without a trace.

Every child

1. leads a session of its own, so that a Ctrl-C in the terminal reaches only
   the parent, which stops its children in order, and so that whatever a
   child starts can be killed with it;
2. is killed by the kernel when its parent dies, however that happens;
3. writes both its outputs to one log file, the end of which goes into the
   error message when the child fails.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import ctypes
import http.client
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time

from tests.cloud import errors

HOST = '127.0.0.1'
ROOT = pathlib.Path(__file__).resolve().parents[2]

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# What says to all processes of this machine that a port is spoken for. The
# kernel forgets it when this process ends.
_claims: list[socket.socket] = []


def die_with_parent() -> Callable[[], None]:
    """Make the function that ties a child's life to that of this process.

    It is meant for ``preexec_fn`` of :class:`subprocess.Popen`. The kernel
    ties the child to the *thread* that created it, so that thread has to
    live as long as the child shall.
    """
    parent = os.getpid()

    def tie() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the call above: then no signal
        # will ever come.
        if os.getppid() != parent:
            os._exit(1)

    return tie


def take_interrupts() -> None:
    """Have a child be interrupted, also where this process cannot be.

    It is meant for ``preexec_fn`` of :class:`subprocess.Popen`: what a shell
    runs in the background ignores interrupts, and so do its children.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for children and for command line clients.

    Settings for another cloud are taken out of it, the checkout is put on
    the module path and the loopback address is exempted from proxies.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith('OS_')}
    paths = [str(ROOT), *filter(None, [kept.get('PYTHONPATH')])]
    scripts = [sysconfig.get_path('scripts'), kept.get('PATH', os.defpath)]
    return {
        **kept,
        'PYTHONPATH': os.pathsep.join(paths),
        'PATH': os.pathsep.join(scripts),
        'no_proxy': HOST,
        'NO_PROXY': HOST,
        **(extra or {}),
    }


def find_command(program: str, package: str) -> str:
    """Return the path of a program, preferring the one beside our Python."""
    found = shutil.which(program, path=environment()['PATH'])
    if found is None:
        raise errors.CommandMissing(program, package)
    return found


def run(*command: str) -> str:
    """Run a program to its end; return its output.

    :raises ChildDied: when it fails
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise errors.ChildDied(command[0], done.returncode, done.stderr)
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Return different ports of the loopback address that nobody uses.

    They are taken from below the kernel's ephemeral range. A port from
    inside it could become the local port of some outgoing connection before
    the server that it is meant for has bound it. As long as this process
    lives, no other call returns them, in whichever process.
    """
    limits = pathlib.Path('/proc/sys/net/ipv4/ip_local_port_range')
    below = int(limits.read_text().split()[0]) if limits.exists() else 32768
    candidates = random.sample(range(10000, max(below, 12000)), 1000)
    ports: list[int] = []
    for port in candidates:
        if _claim(port):
            ports.append(port)
        if len(ports) == count:
            break
    return ports


def _claim(port: int) -> bool:
    """Claim a port; say whether nobody else has it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        # The kernel's own names for sockets, which are no files.
        claim.bind(f'\0cinder-swift-backup-tests-{port}')
        with socket.socket() as probe:
            probe.bind((HOST, port))
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def answers(port: int, path: str = '/') -> bool:
    """Say whether a web server answers there with anything but an error."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request('GET', path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Child:
    """A running child process and its log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: pathlib.Path,
        extra_environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the process; it may take its time to become ready.

        :param name: what messages call it
        :param command: program and arguments
        :param log: file that both outputs are appended to
        :param extra_environment: variables on top of :func:`environment`
        """
        self.name = name
        self.log = log
        # Else entry points would be cached below the home directory.
        own = {'XDG_CACHE_HOME': str(log.parent / 'cache')}
        with open(log, 'ab') as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment({**own, **(extra_environment or {})}),
                start_new_session=True,
                # Safe: it calls one function of libc, which takes no lock.
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of the log."""
        text = self.log.read_text(errors='replace').splitlines()
        return '\n'.join(f'    {line}' for line in text[-lines:])

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until the condition holds.

        :raises ChildDied: when the process ends first
        :raises NotReadyInTime: when neither happens in time
        """
        deadline = time.monotonic() + timeout
        while not ready():
            status = self._process.poll()
            if status is not None:
                # It may have become ready since, by ending.
                if ready():
                    return
                raise errors.ChildDied(self.name, status, self.tail())
            if time.monotonic() > deadline:
                raise errors.NotReadyInTime(self.name, timeout, self.tail())
            time.sleep(0.05)

    def wait_for_end(self, timeout: float) -> None:
        """Wait until the process has done its work and ended well."""
        self.wait_until(lambda: self._process.poll() == 0, timeout)

    def terminate(self) -> None:
        """Ask the process to end; does not wait."""
        self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a crash would, and all that it started."""
        self.reap(0)

    def freeze(self) -> None:
        """Have it do nothing, as a machine that swaps or hangs."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on after :meth:`freeze`."""
        self._signal_group(signal.SIGCONT)

    def reap(self, deadline: float) -> None:
        """Wait for the process until the deadline, then kill its group."""
        remaining = max(0.0, deadline - time.monotonic())
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(remaining)
        self._signal_group(signal.SIGKILL)
        self._process.wait()

    def _signal_group(self, number: int) -> None:
        # The group outlives its leader if the leader leaves children.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this package."""
    return [sys.executable, '-m', f'tests.cloud.{module}', *arguments]


def stop_all(children: Iterable[Child], grace: float = 3.0) -> None:
    """Stop children together: ask all, wait for each, kill what is left."""
    children = list(children)
    for child in children:
        child.terminate()
    deadline = time.monotonic() + grace
    for child in children:
        child.reap(deadline)
