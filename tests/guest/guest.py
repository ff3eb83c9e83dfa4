# SPDX-License-Identifier: Apache-2.0

"""Runs a command where the kernel has the device mapper.

That is here, if this machine's kernel has it. Else it is in User-Mode Linux, a
kernel that is a process, on this machine's own files:

1. Make a directory in memory that both share, and a disk in it.
2. Start the kernel. ``init.sh`` is its first process, and runs the command in
   this directory with this environment. What it writes stays in the guest.
3. Pass on what it prints, and its status.

The guest has one processor and its own loopback network.
"""

import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
MEMORY = '3G'
DISK = 10 << 30
# Seconds.
PATIENCE = 3600
STATUS_TIMEOUT = 124
STATUS_FAILED = 125
_KERNEL = 'linux.uml'
_MODULES = pathlib.Path('/usr/lib/uml/modules')
# A processor has more registers than the guest's kernel keeps.
_ENVIRONMENT = {
    'TMPDIR': '/srv/scratch',
    'LVM_SYSTEM_DIR': str(HERE),
    'GLIBC_TUNABLES': 'glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,'
    '-AVX512DQ,-AVX512CD',
    'OPENSSL_ia32cap': ':~0xd0230000',
}
_PACKAGES = 'user-mode-linux lvm2 thin-provisioning-tools kmod gcc libc6-dev'


def is_needed() -> bool:
    """Whether this machine's kernel has no device mapper."""
    return not os.path.exists('/dev/mapper/control')


def run(command: list[str]) -> int:
    """Run a command; returns its status, 0 if there can be no guest."""
    if not is_needed():
        return subprocess.run(command, check=False).returncode
    missing = _missing()
    if missing:
        print(
            f'SKIPPED: neither the device mapper of this kernel nor '
            f'User-Mode Linux can be had without {missing}. Run this as '
            f'root, after: apt-get install --no-install-recommends '
            f'{_PACKAGES}',
            file=sys.stderr,
        )
        return 0
    with tempfile.TemporaryDirectory(dir='/dev/shm', prefix='guest-') as name:
        return _boot(pathlib.Path(name), command)


def _missing() -> str | None:
    if os.getuid():
        return 'root'
    programs = (_KERNEL, 'gcc', 'lvs', 'thin_check', 'insmod', 'mkfs.ext4')
    return next(
        (each for each in programs if shutil.which(each) is None), None
    )


def _boot(run: pathlib.Path, command: list[str]) -> int:
    """Start the guest, and wait for its command."""
    disk = run / 'disk'
    with open(disk, 'wb') as file:
        file.truncate(DISK)
    shim = run / 'xstate.so'
    for preparation in (
        ['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=1', disk],
        ['gcc', '-O2', '-shared', '-fPIC', '-o', shim, HERE / 'xstate.c',
         '-ldl'],
    ):
        subprocess.run(preparation, check=True)
    (run / 'command').write_text(_script(command))
    for name in ('out', 'err'):
        (run / name).touch()
    (modules,) = _MODULES.iterdir()
    with open(run / 'console', 'wb') as console:
        guest = subprocess.Popen(
            [
                _KERNEL,
                f'mem={MEMORY}',
                'root=/dev/root',
                'rootfstype=hostfs',
                'ro',
                'quiet',
                'con=null',
                'con0=null,fd:1',
                f'uml_dir={run}/uml',
                f'ubd0={disk}',
                f'init={HERE / "init.sh"}',
                f'RUN={run}',
                f'MODULES={modules}',
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env={**os.environ, 'LD_PRELOAD': str(shim)},
            start_new_session=True,
            # Its kernel and its processes hand over to each other all the
            # time, which is slow from one processor to another.
            preexec_fn=_pin,  # noqa: PLW1509
        )
    try:
        return _wait(run, guest)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(guest.pid, signal.SIGKILL)
        guest.wait()


def _pin() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _script(command: list[str]) -> str:
    variables = {**os.environ, **_ENVIRONMENT}
    lines = [
        f'export {name}={shlex.quote(value)}'
        for name, value in variables.items()
        if name.isidentifier()
    ]
    return '\n'.join(
        [*lines, f'cd {shlex.quote(os.getcwd())}', shlex.join(command), '']
    )


def _wait(run: pathlib.Path, guest: 'subprocess.Popen[bytes]') -> int:
    """Pass on what the command prints, until it ends."""
    deadline = time.monotonic() + PATIENCE
    status = run / 'status'
    with open(run / 'out', 'rb') as out, open(run / 'err', 'rb') as err:
        while True:
            ended = status.exists() and status.read_text().strip()
            over = guest.poll() is not None
            for source, target in ((out, sys.stdout), (err, sys.stderr)):
                target.buffer.write(source.read())
                target.flush()
            if ended:
                return int(ended)
            if over or time.monotonic() > deadline:
                break
            time.sleep(0.2)
    print((run / 'console').read_text(errors='replace')[-3000:])
    if (run / 'boot').exists():
        print((run / 'boot').read_text()[-3000:])
    return STATUS_FAILED if over else STATUS_TIMEOUT
