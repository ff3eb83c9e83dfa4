# SPDX-License-Identifier: Apache-2.0

"""Ends the program on Ctrl-C, at any moment, with one line and exit code 130.

1. Until a command runs, while Python is still loading modules, end at once.
2. While it runs, have it stop by itself, for it may have to clean up, and
   knows what is left.
3. When it has ended well, and all is said, it is too late.

If the program starts with the signal ignored, as a shell's jobs in the
background do, it goes on ignoring it.

Loads nothing that takes time, since it works from where it is loaded.
"""

from collections.abc import Iterator
import contextlib
import os
import signal
from typing import NoReturn

_CODE = 130


def end_at_once() -> None:
    """From now on Ctrl-C ends the process, which has changed nothing yet."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    signal.signal(signal.SIGINT, _end)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Until the end of a block Ctrl-C raises KeyboardInterrupt.

    It does nothing in a process that has not called :func:`end_at_once`, or
    that ignores the signal.
    """
    if signal.getsignal(signal.SIGINT) is not _end:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(*_: object) -> NoReturn:
    os.write(2, b'Interrupted. Nothing was changed.\n')
    os._exit(_CODE)
