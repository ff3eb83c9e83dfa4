# SPDX-License-Identifier: Apache-2.0

"""What the command takes where backups are in very many containers.

``python -m tests.cloud run -- python -m tests.bench.containers`` makes 500
containers with a small backup in each, and runs some commands on all of them.
It prints how many requests each sends, and how long it takes. With ``--before
DIR``, another checkout does the same in turn, and ratios are printed.

1. Make the containers, and a backup in each, with the engine.
2. Run each command in a process of its own, some times, behind a proxy that
   delivers late.
3. Print the medians.
"""

import argparse
from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import urllib.parse
import uuid

from cinder_swift_backup import engine
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import swift
from tests.cloud import processes
from tests.fakes import observers
from tests.fakes import volumes
from tests.functional import base

_COUNTED = pathlib.Path(__file__).with_name('counted.py')
_COMMANDS = ('list', 'verify --all', 'orphans')
_SIZE = 1 << 16


def main() -> None:
    """Do as the command line says."""
    arguments = _parser().parse_args()
    trees = {'after': processes.ROOT}
    if arguments.before:
        trees = {'before': arguments.before.absolute(), **trees}
    cloud = base.cloud_info()
    with contextlib.closing(base.swift_store()) as store:
        _make(store, arguments.containers)
        account = store.account()
    with _late(cloud.swift_url, arguments.delay / 1000) as url:
        environment = {
            **os.environ, **cloud.os_environment(cloud.demo),
            'OS_OBJECT_STORE_ENDPOINT_OVERRIDE': f'{url}/v1/{account}',
            # So that no Cinder is found.
            'OS_BLOCK_STORAGE_REGION_NAME': 'none'}
        for command in _COMMANDS:
            _print(command, [
                {name: _measured(command, tree, environment)
                 for name, tree in trees.items()}
                for _ in range(arguments.repeat)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m tests.bench.containers',
        description='Commands on very many containers.')
    parser.add_argument('--containers', metavar='N', type=int, default=500,
                        help='how many (default: %(default)s)')
    parser.add_argument('--repeat', metavar='N', type=int, default=3,
                        help='runs of each command (default: %(default)s)')
    parser.add_argument('--delay', metavar='MS', type=float, default=10,
                        help='how late Swift gets what is sent, and its '
                             'answers arrive (default: %(default)s)')
    parser.add_argument('--before', metavar='DIR', type=pathlib.Path,
                        help='another checkout, to compare with')
    return parser


def _make(store: swift.SwiftStore, count: int) -> None:
    parts = engine.Engine(store, pipelines.Runtime(), 4)
    for number in range(count):
        container = f'freezer-{number:05d}'
        volume, backup = str(uuid.uuid4()), str(uuid.uuid4())
        store.ensure_container(container, create=True)
        parts.archiver.archive(
            jobs.ArchiveJob(
                ref=types.BackupRef(
                    backup, volume, container,
                    f'volume_{volume}/20260801120000/'
                    f'az_nova_backup_{backup}'),
                header=types.BackupHeader(backup, volume, 'small', None,
                                          '2026-08-01 12:00:00+00:00'),
                geometry=types.Geometry(_SIZE, _SIZE // 2),
                compression='zlib'),
            volumes.RamVolume(os.urandom(_SIZE)), observers.Recorder())


@contextlib.contextmanager
def _late(url: str, seconds: float) -> Iterator[str]:
    """Another URL for a server, by which all comes late."""
    there = urllib.parse.urlsplit(url)
    with subprocess.Popen(
            [sys.executable, '-m', 'tests.bench.delay', there.hostname,
             str(there.port), str(seconds)], cwd=processes.ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True) as proxy:
        yield f'http://{processes.HOST}:{int(proxy.stdout.readline())}'


def _measured(command: str, tree: pathlib.Path,
              environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, _COUNTED, *command.split()],
        env={**environment, 'PYTHONPATH': str(tree)}, check=True,
        stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _print(command: str, runs: list[dict[str, dict[str, float]]]) -> None:
    print(command)
    seconds = {name: statistics.median(run[name]['seconds'] for run in runs)
               for name in runs[0]}
    for name, found in runs[0].items():
        print(f'  {name}: {found["rows"]} rows, {found["requests"]} requests, '
              f'{seconds[name]:.1f} s', flush=True)
    if 'before' in seconds:
        print(f'  {seconds["before"] / seconds["after"]:.1f} times as fast')


if __name__ == '__main__':
    main()
