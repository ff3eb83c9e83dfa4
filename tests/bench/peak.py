# SPDX-License-Identifier: Apache-2.0

"""``python -m tests.bench.peak FILE COMMAND ...``: a command's peak of memory.

It is written to FILE, in bytes. The kernel counts that of a parent in before
the command takes its place: so this is a process that has little itself.
"""

import os
import pathlib
import subprocess
import sys

from tests.cloud import processes


def main(file: str, *command: str) -> int:
    """Run a command; returns its exit code."""
    child = subprocess.Popen(
        command,
        preexec_fn=processes.die_with_parent())  # noqa: PLW1509
    _, status, usage = os.wait4(child.pid, 0)
    pathlib.Path(file).write_text(str(usage.ru_maxrss << 10))
    return os.waitstatus_to_exitcode(status)


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
