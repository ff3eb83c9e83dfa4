# SPDX-License-Identifier: Apache-2.0

"""``python -m tests.faults``: the whole table of faults, in both modes.

1. For each mode run the tests of the table. Each process of them starts a
   cloud of its own, and mostly waits, so several run at once.
2. Print what came of each fault, and write it to a file if that is asked for.
3. The status is that of the tests: 0 if all is as it has to be.
"""

import argparse
from collections.abc import Sequence
import pathlib
import subprocess
import sys
import tempfile

from tests.cloud import processes
from tests.cloud.cinder import CONCURRENCY_MODES
from tests.cloud.info import VARIABLE
from tests.faults import rows
from tests.faults import table


def main() -> int:
    """Do as the command line says."""
    arguments = _parser().parse_args()
    found = {}
    status = 0
    with tempfile.TemporaryDirectory(prefix='csb-faults-') as directory:
        for mode in arguments.concurrency or CONCURRENCY_MODES:
            path = pathlib.Path(directory, mode)
            path.touch()
            status |= _run(mode, path, arguments.cases, arguments.jobs)
            found[mode] = rows.read(path)
    text = table.render(found)
    print(text)
    if arguments.output:
        arguments.output.write_text(text)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m tests.faults', description='What the driver does '
        'while Swift and its neighbours do not work.')
    parser.add_argument(
        '--cases', metavar='REGEX', default='',
        help='only those whose name matches, such as "^restore, .*404" or '
        '"killed"; a death is OPERATION, SERVER killed (or frozen) for '
        'SECONDS s')
    parser.add_argument(
        '--concurrency', choices=CONCURRENCY_MODES, action='append',
        help='only this mode; may be repeated')
    parser.add_argument(
        '--jobs', metavar='N', type=int, default=4,
        help='how many processes run tests at once, each with a cloud of '
        'about 1 GiB (default: %(default)s)')
    parser.add_argument('--output', metavar='FILE', type=pathlib.Path,
                        help='write the table to this file, too')
    return parser


def _run(mode: str, path: pathlib.Path, cases: str, jobs: int) -> int:
    """Run the tests in one mode; returns the exit status."""
    native = int(mode == 'threading')
    return _call(
        ['stestr', '--test-path', str(processes.ROOT / 'tests/faults'),
         # Each test by itself, not each class.
         'run', '--group-regex', '.*', '--concurrency', str(jobs)],
        {'OS_CINDER_DISABLE_EVENTLET_PATCHING': str(native),
         'OS_TEST_TIMEOUT': '1800', rows.VARIABLE: str(path),
         rows.CASES: cases})


def _call(command: Sequence[str], variables: dict[str, str]) -> int:
    """Run a program to its end, without what names another cloud."""
    environment = processes.environment(variables)
    environment.pop(VARIABLE, None)
    return subprocess.run(
        [processes.find_command(command[0], command[0]), *command[1:]],
        env=environment, cwd=processes.ROOT, check=False).returncode


if __name__ == '__main__':
    sys.exit(main())
