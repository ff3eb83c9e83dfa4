# SPDX-License-Identifier: Apache-2.0

"""How much memory this process has, and had at most, as the kernel tells.

Not by ``getrusage``, whose peak begins with that of the parent.
"""

import pathlib
import subprocess
import sys

_STATUS = pathlib.Path('/proc/self/status')
_CLEAR = pathlib.Path('/proc/self/clear_refs')


def printed(script: str, *arguments: object) -> list[str]:
    """The words that a script prints, in a process where nothing else peaks.

    :param script: in Python; it fails the test if it fails
    """
    answer = subprocess.run(
        [sys.executable, '-c', script, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=True)
    return answer.stdout.split()


def resident() -> int:
    """What is resident now, in bytes."""
    return _field('VmRSS')


def peak() -> int:
    """The most that was resident since the start or the last reset."""
    return _field('VmHWM')


def reset_peak() -> None:
    """Have the peak count from now."""
    _CLEAR.write_text('5')


def _field(name: str) -> int:
    value = _STATUS.read_text().partition(f'{name}:')[2].split()[0]
    return int(value) << 10
