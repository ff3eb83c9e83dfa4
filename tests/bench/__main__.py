# SPDX-License-Identifier: Apache-2.0

"""``python -m tests.bench``: both drivers, measured side by side.

1. Start Keystone and Swift, once for everything.
2. For each kind of data and each round, back up and restore it with the
   stock driver and then with ours, each in a process of its own, so that
   what the machine does meanwhile falls upon both.
3. Compare every restored byte. A difference ends it all.
4. Print medians, spreads and ratios.

Both use the default settings and zlib, the stock driver's default.
"""

import argparse
import json
import pathlib
import subprocess
import sys
from typing import Any

from tests.bench import codec_table
from tests.bench import images
from tests.bench import table
from tests.cloud import processes
from tests.cloud.cinder import CONCURRENCY_MODES
from tests.cloud.cloud import Cloud
from tests.cloud.info import VARIABLE

MIB = 1 << 20
GIB = 1 << 30
_DRIVERS = ('stock', 'ours')


class Bench:
    """The measurements in one of Cinder's concurrency modes."""

    def __init__(self, cloud: Cloud, concurrency: str, size: int) -> None:
        """Prepare.

        :param size: of the volumes, in bytes, at most 1 GiB
        """
        assert cloud.info.directory is not None
        self._directory = cloud.info.directory / concurrency
        self._directory.mkdir()
        self._size = size
        native = int(concurrency == 'threading')
        self._environment = processes.environment({
            VARIABLE: str(cloud.info_file),
            'OS_CINDER_DISABLE_EVENTLET_PATCHING': str(native)})
        self._table = table.Table(
            f'Volumes of {size // MIB} MiB, {concurrency}, zlib')

    def run(self, image: pathlib.Path, rounds: int) -> None:
        """Measure both drivers on one image, in turn."""
        for number in range(rounds):
            for driver in _DRIVERS:
                print(f'{image.name}, round {number + 1} of {rounds}: '
                      f'{driver}', file=sys.stderr, flush=True)
                self._round_trip(driver, image)

    def print(self) -> None:
        """Print the results."""
        self._table.print()

    def _round_trip(self, driver: str, image: pathlib.Path) -> None:
        restored = self._directory / 'restored'
        made = self._measure('backup', driver, image, image)
        for figure, value in (
                (table.OBJECTS, made['objects']),
                (table.STORED, made['stored_bytes'] / self._size)):
            self._table.add(f'backup {image.name}', figure, driver, value)
        self._measure('restore', driver, image, restored, made['backup_id'])
        self._compare(image, restored)
        restored.unlink()

    def _measure(self, operation: str, driver: str, image: pathlib.Path,
                 path: pathlib.Path, *more: str) -> dict[str, Any]:
        answer = subprocess.run(
            [sys.executable, '-W', 'ignore', '-m', 'tests.bench.measured',
             operation, driver, str(self._directory), str(path), *more],
            env=self._environment, stdout=subprocess.PIPE, text=True,
            check=True, preexec_fn=processes.die_with_parent())
        result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        what = f'{operation} {image.name}'
        for figure, value in (
                (table.MB_S, self._size / 1e6 / result['seconds']),
                (table.CPU, result['cpu_seconds'] / self._size * GIB),
                (table.RESIDENT, result['resident'] / MIB)):
            self._table.add(what, figure, driver, value)
        return result

    @staticmethod
    def _compare(image: pathlib.Path, restored: pathlib.Path) -> None:
        """Every byte; what is longer, as of a volume of 1 GiB, is zero."""
        with open(image, 'rb') as one, open(restored, 'rb') as other:
            while piece := one.read(MIB):
                if other.read(len(piece)) != piece:
                    raise SystemExit(
                        f'{restored} differs from {image} before offset '
                        f'{one.tell()}: the restore is wrong.')
            while piece := other.read(MIB):
                if piece.count(0) != len(piece):
                    raise SystemExit(
                        f'{restored} has data behind the end of {image}: '
                        f'the restore is wrong.')


def main() -> None:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench', description=__doc__.splitlines()[0])
    parser.add_argument(
        '--quick', action='store_true',
        help='512 MiB and one mode: for steering by, in a few minutes')
    parser.add_argument(
        '--concurrency', choices=CONCURRENCY_MODES, action='append',
        help='of Cinder; twice for both (default: both, native threads if '
             'quick)')
    parser.add_argument(
        '--data', choices=images.KINDS, action='append',
        help='what is on the volumes (default: all)')
    parser.add_argument(
        '--codecs', action='store_true',
        help='only measure what codecs store, and how fast; no cloud')
    arguments = parser.parse_args()
    if arguments.codecs:
        codec_table.show()
        return
    size = 512 * MIB if arguments.quick else GIB
    modes = arguments.concurrency or (
        ['threading'] if arguments.quick else CONCURRENCY_MODES)
    with Cloud(with_cinder=False) as cloud:
        assert cloud.info.directory is not None
        made = []
        for kind in arguments.data or images.KINDS:
            made.append(cloud.info.directory / kind)
            images.write(kind, made[-1], size)
        for mode in modes:
            bench = Bench(cloud, mode, size)
            for image in made:
                bench.run(image, rounds=3)
            bench.print()


if __name__ == '__main__':
    main()
