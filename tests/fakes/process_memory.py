# SPDX-License-Identifier: Apache-2.0

"""How much memory a process has, and had at most, as the kernel tells.

Not by ``getrusage``, whose peak begins with that of the parent.
"""

import pathlib
import subprocess
import sys

_PROCESSES = pathlib.Path('/proc')


def printed(script: str, *arguments: object) -> list[str]:
    """The words that a script prints, in a process where nothing else peaks.

    :param script: in Python; it fails the test if it fails
    """
    answer = subprocess.run(
        [sys.executable, '-c', script, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=True)
    return answer.stdout.split()


def resident(process: int | str = 'self') -> int:
    """What is resident now, in bytes.

    :param process: its number; this one by default
    """
    return _field(process, 'VmRSS')


def peak(process: int | str = 'self') -> int:
    """The most that was resident since the start or the last reset."""
    return _field(process, 'VmHWM')


def reset_peak(process: int | str = 'self') -> None:
    """Have the peak count from now."""
    (_PROCESSES / str(process) / 'clear_refs').write_text('5')


def _field(process: int | str, name: str) -> int:
    status = (_PROCESSES / str(process) / 'status').read_text()
    return int(status.partition(f'{name}:')[2].split()[0]) << 10
