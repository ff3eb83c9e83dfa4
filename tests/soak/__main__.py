# SPDX-License-Identifier: Apache-2.0

"""``python -m tests.soak``: 200 rounds of everything, in one process.

Fails if a restore differs, if an object is left, or if memory, threads,
descriptors or connections grow. Needs a cloud: ``python -m tests.cloud run``.
"""

# Chooses green or native threads, so it comes before everything else.
# isort: off
import tests.functional  # noqa: F401
# isort: on

import argparse
import contextlib
import pathlib
import sys
import tempfile
import uuid

from cinder_swift_backup.driver import concurrency
from tests.soak import judgement
from tests.soak import rounds
from tests.soak import service

# Rounds for one crowd.
_CROWD = 20


def main() -> None:
    """Do as the command line says."""
    arguments = _parser().parse_args()
    if arguments.rounds < judgement.FEWEST:
        sys.exit(f'error: {judgement.FEWEST} rounds are needed to tell')
    container = f'soak-{uuid.uuid4().hex[:8]}'
    print(f'{arguments.rounds} rounds, volumes of {arguments.size} MiB, '
          f'{"green" if concurrency.green() else "native"} threads')
    with (tempfile.TemporaryDirectory(prefix='csb-soak-') as directory,
          contextlib.closing(service.Service(pathlib.Path(directory),
                                             container)) as working):
        found = rounds.Soak(working, arguments.size).run(
            arguments.rounds, -(-arguments.rounds // _CROWD))
    if found:
        sys.exit('\n'.join(f'error: {each}' for each in found))
    print('Nothing has grown.')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m tests.soak', description='Backups, restores and '
        'deletes in one process, and whether it grows.')
    parser.add_argument('--rounds', metavar='N', type=int, default=200,
                        help='how many (default: %(default)s)')
    parser.add_argument('--size', metavar='MIB', type=int, default=32,
                        help='of the volumes, in MiB (default: %(default)s)')
    return parser


if __name__ == '__main__':
    main()
