# SPDX-License-Identifier: Apache-2.0

"""``python -m tests.bench``: both drivers, measured side by side.

1. Start Keystone and Swift, once for everything.
2. For each kind of data and each round, back up and restore it with the
   stock driver and then with ours, each in a process of its own, so that
   what the machine does meanwhile falls upon both. If asked for, do the same
   with an incremental of the same volume, unchanged or with some of its pages
   written anew.
3. Compare every restored byte. A difference ends it all.
4. Print medians, spreads and ratios.

Both use the default settings, unless a codec is given.
"""

import argparse
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any
import urllib.parse

from cinder_swift_backup.format import chains
from tests.bench import codec_table
from tests.bench import gauge
from tests.bench import images
from tests.bench import matrix
from tests.bench import scattered
from tests.bench import synthetic
from tests.bench import table
from tests.bench import tools
from tests.cloud import processes
from tests.cloud.cinder import CONCURRENCY_MODES
from tests.cloud.cloud import Cloud
from tests.cloud.info import VARIABLE
from tests.cloud.swift import has_memcached

MIB = 1 << 20
GIB = 1 << 30
# Which part of the pages is written anew.
_CHANGES = {'unchanged': 0, 'dirty': 0.01}


class Bench:
    """The measurements in one of Cinder's concurrency modes."""

    def __init__(self, cloud: Cloud, concurrency: str, size: int, codec: str,
                 delay: float) -> None:
        """Prepare.

        :param size: of the volumes, in bytes
        :param codec: its word
        :param delay: of every packet to and from Swift, in seconds
        """
        assert cloud.info.directory is not None
        self._directory = pathlib.Path(tempfile.mkdtemp(
            prefix=f'{concurrency}-', dir=cloud.info.directory))
        self._size = size
        self._codec = codec
        self._cloud = cloud
        self._delay = delay
        self._url = ''
        native = int(concurrency == 'threading')
        self._environment = processes.environment({
            VARIABLE: str(cloud.info_file),
            'OS_CINDER_DISABLE_EVENTLET_PATCHING': str(native)})
        where = (f'{delay * 2000:.0f} ms round trip' if delay
                 else 'loopback')
        self._table = table.Table(
            f'Volumes of {size // MIB} MiB, {concurrency}, {codec}, {where}')

    @contextlib.contextmanager
    def far_away(self) -> Iterator[None]:
        """Have Swift as far away as the delay says."""
        if not self._delay:
            yield
            return
        swift = urllib.parse.urlsplit(self._cloud.info.swift_url or '')
        with subprocess.Popen(
                [sys.executable, '-m', 'tests.bench.delay',
                 str(swift.hostname), str(swift.port), str(self._delay)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                preexec_fn=processes.die_with_parent(),  # noqa: PLW1509
                ) as proxy:
            assert proxy.stdout is not None
            port = int(proxy.stdout.readline())
            self._url = f'http://{processes.HOST}:{port}/v1/AUTH_'
            yield
            proxy.communicate()

    def run(self, image: pathlib.Path, rounds: int,
            changes: Mapping[str, pathlib.Path],
            drivers: Sequence[str] = table.DRIVERS) -> None:
        """Measure both drivers on one image, in turn.

        :param changes: names and images of incrementals on it
        """
        for number in range(rounds):
            for driver in drivers:
                print(f'{image.name}, round {number + 1} of {rounds}: '
                      f'{driver}', file=sys.stderr, flush=True)
                self._round_trip(driver, image, changes)

    def run_tools(self, image: pathlib.Path,
                  changes: Mapping[str, pathlib.Path]) -> None:
        """Measure other tools on the same, where they are installed."""
        account = tools.Account(self._cloud.info, self._url)
        for tool in tools.installed(account, self._directory):
            print(f'{image.name}: {tool.name}', file=sys.stderr, flush=True)
            made = {image.name: image}
            if tool.incremental:
                made |= {f'{image.name} {name}': changed
                         for name, changed in changes.items()}
            stored = objects = 0
            for what, each in made.items():
                self._add_speed(f'backup {what}', tool.name,
                                tool.back_up(each))
                before = objects, stored
                objects, stored = account.stored(*tool.containers)
                self._table.add(f'backup {what}', table.OBJECTS, tool.name,
                                objects - before[0])
                self._table.add(f'backup {what}', table.STORED, tool.name,
                                (stored - before[1]) / self._size)
                restored = self._directory / 'restored'
                self._add_speed(f'restore {what}', tool.name,
                                tool.restore(each, restored))
                self._compare(each, restored)
                restored.unlink()

    def rows(self) -> list[table.Row]:
        """The results so far."""
        return self._table.rows()

    def print(self) -> None:
        """Print the results."""
        self._table.print()

    def _round_trip(self, driver: str, image: pathlib.Path,
                    changes: Mapping[str, pathlib.Path]) -> None:
        base = self._back_up_and_restore(driver, image.name, image)
        for name, changed in changes.items():
            found = self._back_up_and_restore(
                driver, f'{image.name} {name}', changed, base)
            self._measure('', 'delete', driver, found)
        self._measure('', 'delete', driver, base)

    def _back_up_and_restore(self, driver: str, what: str,
                             image: pathlib.Path, *parent: str) -> str:
        """Returns the id of the backup."""
        restored = self._directory / 'restored'
        made = self._measure(f'backup {what}', 'backup', driver, str(image),
                             *parent)
        for figure, value in (
                (table.OBJECTS, made['objects']),
                (table.STORED, made['stored_bytes'] / self._size)):
            self._table.add(f'backup {what}', figure, driver, value)
        backup_id: str = made['backup_id']
        self._measure(f'restore {what}', 'restore', driver, str(restored),
                      backup_id)
        if driver == 'stock':
            # It leaves out the zeros at the end of a new file.
            os.truncate(restored, max(os.path.getsize(restored), self._size))
        self._compare(image, restored)
        restored.unlink()
        return backup_id

    def _measure(self, what: str, operation: str, driver: str,
                 *more: str) -> dict[str, Any]:
        """Run an operation; note its figures, unless it has no name."""
        answer = subprocess.run(
            [sys.executable, '-W', 'ignore', '-m', 'tests.bench.measured',
             operation, driver, str(self._directory), self._codec, self._url,
             *more],
            env=self._environment, stdout=subprocess.PIPE, text=True,
            check=True, preexec_fn=processes.die_with_parent())
        result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        if not what:
            return result
        self._add_speed(what, driver, result['seconds'])
        for figure, value in (
                (table.CPU, result['cpu_seconds'] / self._size * GIB),
                (table.RESIDENT, result['resident'] / MIB)):
            self._table.add(what, figure, driver, value)
        return result

    def _add_speed(self, what: str, driver: str, seconds: float) -> None:
        self._table.add(what, table.MB_S, driver, self._size / 1e6 / seconds)

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
    arguments = _parse()
    if _measured_without_cloud(arguments):
        return
    size = 512 * MIB if arguments.quick else GIB
    if arguments.gib:
        size = arguments.gib * GIB
    if arguments.matrix:
        _measure_matrix(matrix.Results(arguments.matrix), size // MIB)
        return
    _measure(arguments, size)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench', description=__doc__.splitlines()[0])
    parser.add_argument(
        '--quick', action='store_true',
        help='512 MiB and one mode, with incrementals, once: for steering '
             'by; also without limits of memory and bandwidth, and with such '
             'that nobody has to wait for')
    parser.add_argument(
        '--concurrency', choices=CONCURRENCY_MODES, action='append',
        help='of Cinder; twice for both (default: both, native threads if '
             'quick)')
    parser.add_argument(
        '--data', choices=images.ALL, action='append',
        help='what is on the volumes (default: mix and noise; mix and pieces '
             'if quick)')
    parser.add_argument(
        '--incremental', choices=_CHANGES, action='append',
        help='also measure incrementals: after no change, or after 1 %% of '
             'all pages of 4 KiB were written, anywhere (default: none; both '
             'if quick)')
    parser.add_argument(
        '--gib', type=int, help='the size of the volumes')
    parser.add_argument(
        '--rounds', type=int, help='default: 3; 1 if quick')
    parser.add_argument(
        '--codec', default='zlib', choices=('zlib', 'zstd', 'bz2', 'none'))
    parser.add_argument(
        '--encrypted', action='store_true',
        help='also measure encrypted backups')
    parser.add_argument(
        '--round-trip', type=float, default=0, metavar='MS',
        help='how far away Swift is, in milliseconds')
    parser.add_argument(
        '--synthetic', type=float, metavar='TIB',
        help='only measure a volume that is made up, of any size; no cloud')
    parser.add_argument(
        '--scattered', type=float, metavar='TIB',
        help='only measure a recovery point in packs that is made up, of any '
             'size, in which each block is a chunk; no cloud')
    parser.add_argument(
        '--matrix', type=pathlib.Path, metavar='FILE',
        help='measure everything that is not in the file yet, and put it '
             'there, with native threads; an hour or two')
    parser.add_argument(
        '--plot', type=pathlib.Path, metavar='FILE',
        help='only draw what is in such a file, for the documentation')
    parser.add_argument(
        '--codecs', action='store_true',
        help='only measure what codecs store, and how fast; no cloud')
    return parser.parse_args()


def _measured_without_cloud(arguments: argparse.Namespace) -> bool:
    """Do what needs no cloud, if that was asked for."""
    if arguments.codecs:
        codec_table.show()
    elif arguments.synthetic:
        for form in chains.Form:
            synthetic.Synthetic(round(arguments.synthetic * gauge.TIB),
                                form).run()
    elif arguments.scattered:
        scattered.Scattered(round(arguments.scattered * gauge.TIB)).run()
    elif arguments.plot:
        # Its library is not there when other things are measured.
        from tests.bench import plots  # noqa: PLC0415
        plots.write(matrix.Results(arguments.plot))
    else:
        return False
    return True


def _measure(arguments: argparse.Namespace, size: int) -> None:
    """Measure volumes of so many bytes."""
    modes = arguments.concurrency or (
        ['threading'] if arguments.quick else CONCURRENCY_MODES)
    with Cloud(with_cinder=False, with_cache=has_memcached()) as cloud:
        assert cloud.info.directory is not None
        made = []
        for kind in arguments.data or (
                ('mix', 'pieces') if arguments.quick else ('mix', 'noise')):
            image = cloud.info.directory / kind
            images.write(kind, image, size)
            made.append((image, _changed(image, arguments.incremental or (
                tuple(_CHANGES) if arguments.quick else ()))))
        rounds = arguments.rounds or (1 if arguments.quick else 3)
        drivers = table.DRIVERS + (
            (table.ENCRYPTED,) if arguments.encrypted else ()) + (
            table.LIMITS if arguments.quick else ())
        for mode in modes:
            bench = Bench(cloud, mode, size, arguments.codec,
                          arguments.round_trip / 2000)
            with bench.far_away():
                for image, changes in made:
                    bench.run(image, rounds, changes, drivers)
            bench.print()


def _measure_matrix(results: matrix.Results, mib: int) -> None:
    for cell in matrix.cells(mib):
        if cell in results:
            continue
        # A new cloud each time: a container database grows with its objects.
        with Cloud(with_cinder=False, with_cache=has_memcached()) as cloud:
            assert cloud.info.directory is not None
            image = cloud.info.directory / cell.kind
            images.write(cell.kind, image, cell.mib * MIB)
            changes = _changed(image, cell.changes)
            bench = Bench(cloud, 'threading', cell.mib * MIB, cell.codec,
                          cell.round_trip / 2000)
            with bench.far_away():
                bench.run(image, 1, changes)
                if cell.tools:
                    bench.run_tools(image, changes)
            bench.print()
            results.add(cell, bench.rows())


def _changed(image: pathlib.Path,
             names: Sequence[str]) -> dict[str, pathlib.Path]:
    """What incrementals are made of, by their names."""
    found = {}
    for name in names:
        found[name] = image.with_name(f'{image.name}-{name}')
        images.change(image, found[name], _CHANGES[name])
    return found


if __name__ == '__main__':
    main()
