# SPDX-License-Identifier: Apache-2.0

"""``python -m tests.bench.familiar``: the figures that operators look for.

1. Write a volume of text and noise, and a copy with 5 % of it written anew, in
   stretches of 1 MiB anywhere.
2. Start Keystone and Swift: once on loopback, once with a round trip of 100
   ms, where the bytes on the way are counted.
3. The curve of threads: back up and restore with 1 to 16 workers, and with the
   stock driver.
4. The table: for both drivers and other tools, a full backup, one of the
   changed volume, another one of the same, and a restore of that.
5. Compare every restored byte. A difference ends it all.

Each operation runs in a process of its own, with the default settings, and
with native threads if it is a driver's. The results go to a file, which
``tests.bench.familiar_plot`` draws for the documentation.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import filecmp
from importlib import metadata
import itertools
import json
import os
import pathlib
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Any
import urllib.parse

from tests.bench import familiar_figures as figures
from tests.bench import images
from tests.bench import matrix
from tests.bench import tools
from tests.cloud import processes
from tests.cloud.cloud import Cloud
from tests.cloud.info import CloudInfo
from tests.cloud.info import VARIABLE
from tests.cloud.swift import has_memcached

_MIB = 1 << 20
_KIND = 'mix'
_CHANGED = 0.05
_STRETCH = _MIB
# What tests.bench.measured calls them.
_DRIVERS = {figures.STOCK: 'stock', figures.CHUNKS: 'ours', 'packs': 'packs'}
_PACKAGES = ('cinder', 'swift', 'python-swiftclient')


class Way:
    """The way to Swift.

    :param url: of Swift, without the project; empty for that of the catalog
    :param proxy: what counts the bytes, if anything does
    """

    def __init__(self, url: str = '',
                 proxy: subprocess.Popen[str] | None = None) -> None:
        self.url = url
        self._proxy = proxy

    def traffic(self) -> dict[str, int]:
        """Bytes ``sent`` and ``received`` so far."""
        if self._proxy is None:
            return {'sent': 0, 'received': 0}
        assert self._proxy.stdin is not None
        assert self._proxy.stdout is not None
        print(file=self._proxy.stdin, flush=True)
        found: dict[str, int] = json.loads(self._proxy.stdout.readline())
        return found


@contextlib.contextmanager
def _way(info: CloudInfo, round_trip: int) -> Iterator[Way]:
    """A way to Swift that takes so many milliseconds there and back."""
    if not round_trip:
        yield Way()
        return
    swift = urllib.parse.urlsplit(info.swift_url or '')
    with subprocess.Popen(
            [sys.executable, '-m', 'tests.bench.delay', str(swift.hostname),
             str(swift.port), str(round_trip / 2000)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=processes.die_with_parent(),  # noqa: PLW1509
            ) as proxy:
        assert proxy.stdout is not None
        port = int(proxy.stdout.readline())
        yield Way(f'http://{processes.HOST}:{port}/v1/AUTH_', proxy)
        proxy.communicate()


class Driver:
    """A driver, as a tool that backs up a file: see :class:`tools.Tool`."""

    incremental = True
    containers = ()

    def __init__(self, name: str, info_file: pathlib.Path, url: str,
                 directory: pathlib.Path, workers: int = 0) -> None:
        """Prepare.

        :param directory: for Cinder's state
        :param workers: the default if 0
        """
        self.name = name
        self._arguments = (_DRIVERS[name], str(directory), 'zlib', url)
        self._environment = processes.environment({
            VARIABLE: str(info_file),
            'OS_CINDER_DISABLE_EVENTLET_PATCHING': '1',
            # This is how oslo.config finds an option in the environment.
            **({'OS_DEFAULT__BACKUP_SWIFT_WORKERS': str(workers)}
               if workers else {})})
        # The last backup, which is the parent of the next.
        self._last: tuple[str, ...] = ()

    def back_up(self, image: pathlib.Path) -> float:
        """An incremental, unless it is the first; returns the seconds."""
        result = self._run('backup', str(image), *self._last)
        self._last = (result['backup_id'],)
        return float(result['seconds'])

    def restore(self, image: pathlib.Path, path: pathlib.Path) -> float:
        """Restore the last backup to ``path``; returns the seconds."""
        result = self._run('restore', str(path), *self._last)
        # Cinder's volumes are of whole GiB, and the stock driver leaves out
        # the zeros at the end of a new file.
        os.truncate(path, image.stat().st_size)
        return float(result['seconds'])

    def _run(self, operation: str, *more: str) -> dict[str, Any]:
        answer = subprocess.run(
            [sys.executable, '-W', 'ignore', '-m', 'tests.bench.measured',
             operation, *self._arguments, *more],
            env=self._environment, stdout=subprocess.PIPE, text=True,
            check=True, preexec_fn=processes.die_with_parent())
        result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        return result


class Bench:
    """The measurements with one way to Swift.

    :param directory: with the volume as ``full/volume``, and changed as
        ``changed/volume``: to some tools, a file of another name is another
    """

    def __init__(self, cloud: Cloud, way: Way, round_trip: int,
                 directory: pathlib.Path, results: figures.Results,
                 output: pathlib.Path) -> None:
        self._cloud = cloud
        self._way = way
        self._round_trip = round_trip
        self._full = directory / 'full' / 'volume'
        self._changed = directory / 'changed' / 'volume'
        self._directory = directory / f'{round_trip}'
        self._directory.mkdir()
        self._results = results
        self._output = output

    def run(self) -> None:
        """The curve, and then the table."""
        # The stock driver comes last: what Swift does for the first time is
        # not to be to our advantage.
        for workers in figures.WORKERS:
            self._measure_there_and_back(figures.CHUNKS, workers)
        self._measure_there_and_back(figures.STOCK)
        account = tools.Account(self._cloud.info, self._way.url)
        for tool in (*map(self._driver, _DRIVERS),
                     *tools.installed(account, self._directory)):
            self._measure_all(tool)

    def _driver(self, name: str, workers: int = 0) -> Driver:
        return Driver(name, self._cloud.info_file, self._way.url,
                      self._directory, workers)

    def _measure_there_and_back(self, name: str, workers: int = 0) -> None:
        driver = self._driver(name, workers)
        full, restore = (
            figures.Case(self._round_trip, name, operation, workers,
                         curve=True) for operation in figures.THERE_AND_BACK)
        self._measure(full, lambda: driver.back_up(self._full))
        self._measure_restore(restore, driver, self._full)

    def _measure_all(self, tool: tools.Tool) -> None:
        full, changed, unchanged, restore = (
            figures.Case(self._round_trip, tool.name, operation)
            for operation in figures.OPERATIONS)
        self._measure(full, lambda: tool.back_up(self._full))
        self._measure(changed, lambda: tool.back_up(self._changed))
        self._measure(unchanged, lambda: tool.back_up(self._changed))
        self._measure_restore(restore, tool, self._changed)

    def _measure_restore(self, case: figures.Case, tool: tools.Tool,
                         image: pathlib.Path) -> None:
        restored = self._directory / 'restored'
        self._measure(case, lambda: tool.restore(image, restored))
        if not filecmp.cmp(image, restored, shallow=False):
            raise SystemExit(f'{tool.name}: {restored} differs from {image}: '
                             f'the restore is wrong.')
        restored.unlink()

    def _measure(self, case: figures.Case,
                 operation: Callable[[], float]) -> None:
        before = self._way.traffic()
        seconds = operation()
        after = self._way.traffic()
        figure = figures.Figure(seconds, **{
            name: after[name] - before[name] for name in after})
        print(f'{case}: {figure}', file=sys.stderr, flush=True)
        self._results.add(case, figure)
        self._results.save(self._output)


def rewrite(kind: str, image: pathlib.Path, path: pathlib.Path,
            part: float) -> None:
    """Make a copy of an image with stretches of 1 MiB written anew.

    :param kind: of the data, one of those of :mod:`tests.bench.images`
    :param part: of the image that is written anew, from 0 to 1; at least one
        stretch, and they are anywhere
    """
    shutil.copyfile(image, path)
    source = random.Random(f'{kind}, written anew')
    data = images.grains(kind, source)
    stretches = image.stat().st_size // _STRETCH
    with open(path, 'r+b') as file:
        for place in sorted(source.sample(
                range(stretches), max(round(stretches * part), 1))):
            file.seek(place * _STRETCH)
            file.writelines(itertools.islice(data, _STRETCH // images.GRAIN))


def _about() -> dict[str, str]:
    """The machine and the versions, by their names."""
    model = re.search(r'model name\s*: (.*)',
                      pathlib.Path('/proc/cpuinfo').read_text())
    # Without what a distribution calls it.
    release = platform.release().partition('-')[0]
    found = {'machine': matrix.machine(),
             'processor': model[1] if model else platform.machine(),
             'kernel': f'{platform.system()} {release}',
             'Python': platform.python_version(),
             **{name: metadata.version(name) for name in _PACKAGES}}
    if restic := shutil.which('restic'):
        found['restic'] = processes.run(restic, 'version').split()[1]
    return found


def main() -> None:
    """Do as the command line says."""
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench.familiar',
        description=__doc__.splitlines()[0])
    parser.add_argument('--mib', type=int, default=1024,
                        help='the size of the volume (default: 1024)')
    parser.add_argument('--output', type=pathlib.Path, metavar='FILE.json',
                        default=pathlib.Path('familiar.json'),
                        help='(default: familiar.json)')
    arguments = parser.parse_args()
    results = figures.Results(arguments.mib, _about())
    with tempfile.TemporaryDirectory(prefix='familiar-') as name:
        directory = pathlib.Path(name)
        for part in ('full', 'changed'):
            (directory / part).mkdir()
        image = directory / 'full' / 'volume'
        images.write(_KIND, image, arguments.mib * _MIB)
        rewrite(_KIND, image, directory / 'changed' / 'volume', _CHANGED)
        for round_trip in figures.ROUND_TRIPS:
            with (Cloud(with_cinder=False,
                        with_cache=has_memcached()) as cloud,
                  _way(cloud.info, round_trip) as way):
                Bench(cloud, way, round_trip, directory, results,
                      arguments.output).run()


if __name__ == '__main__':
    main()
