# SPDX-License-Identifier: Apache-2.0

"""Configure and start Ceph: a monitor, a manager and an OSD, one replica.

They are processes of ordinary users, on files in a directory, without keys:
who reaches the loopback address may do anything. The programs and Python's
bindings are those of the distribution.
"""

import functools
import importlib.machinery
import json
import os
import pathlib
import shutil
import uuid

from tests.cloud import config_files
from tests.cloud import errors
from tests.cloud import processes
from tests.cloud.config_files import Section

START_TIMEOUT = 120.0
POOL = 'volumes'
_SYSTEM = pathlib.Path('/usr/lib/python3/dist-packages')
_GIB = 1 << 30


class Ceph:
    """A cluster of the smallest size, with a pool for volumes."""

    def __init__(self, directory: pathlib.Path) -> None:
        """Prepare; nothing is written yet.

        :param directory: a directory for this cluster alone; its path must
            not be long
        """
        self.directory = directory
        self.conf = directory / 'ceph.conf'
        self.bindings = directory / 'bindings'
        self._ports = processes.free_ports(2)
        self._children: list[processes.Child] = []

    def start(self) -> None:
        """Make the cluster; the monitor is up when this returns.

        :raises CephMissing: if it is not installed
        """
        self._link_bindings()
        for name in ('mon', 'mgr', 'osd', 'run', 'log'):
            (self.directory / name).mkdir(parents=True)
        config_files.write(self.conf, self.sections())
        self._make_monitor()
        self._start('mon', 'a')
        self._children[0].wait_until(self._monitor_answers, START_TIMEOUT)
        self._start('mgr', 'x')
        self._make_osd()
        self._start('osd', '0')

    def wait(self) -> None:
        """Make the pool, and wait until it can be used."""
        self.ceph('osd', 'set-require-min-compat-client', 'mimic')
        self.ceph('osd', 'pool', 'create', POOL, '8')
        self.ceph('osd', 'pool', 'application', 'enable', POOL, 'rbd')
        self._children[-1].wait_until(self._is_healthy, START_TIMEOUT)

    def children(self) -> list[processes.Child]:
        """Return the processes started so far."""
        return list(self._children)

    def ceph(self, *arguments: str) -> str:
        """Run the command ``ceph``; return its output."""
        return self._run('ceph', '--connect-timeout', '20', *arguments)

    def _run(self, program: str, *arguments: str) -> str:
        return processes.run(
            find(program), '--conf', str(self.conf), *arguments
        )

    def _start(self, daemon: str, name: str) -> None:
        self._children.append(
            processes.Child(
                f'ceph-{daemon}',
                [
                    find(f'ceph-{daemon}'),
                    '--conf',
                    str(self.conf),
                    '-f',
                    '-i',
                    name,
                ],
                self.directory / 'log' / f'{daemon}.log',
            )
        )

    def _make_monitor(self) -> None:
        mons = self.directory / 'monmap'
        processes.run(
            find('monmaptool'),
            '--create',
            '--fsid',
            self._fsid,
            '--addv',
            'a',
            self._addresses(),
            str(mons),
        )
        self._run('ceph-mon', '-i', 'a', '--mkfs', '--monmap', str(mons))

    def _make_osd(self) -> None:
        id_ = str(uuid.uuid4())
        self.ceph('osd', 'new', id_, '0')
        self._run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', id_)

    def _monitor_answers(self) -> bool:
        try:
            self._run('ceph', '--connect-timeout', '2', 'mon', 'stat')
        except errors.ChildDied:
            return False
        return True

    def _is_healthy(self) -> bool:
        found = json.loads(self.ceph('-s', '-f', 'json'))
        groups = found['pgmap'].get('pgs_by_state', [])
        return found['pgmap'].get('num_pgs', 0) > 0 and [
            each['state_name'] for each in groups
        ] == ['active+clean']

    def _addresses(self) -> str:
        """Return where the monitor is, for both versions of the protocol."""
        second, first = self._ports
        return f'[v2:{processes.HOST}:{second},v1:{processes.HOST}:{first}]'

    @functools.cached_property
    def _fsid(self) -> str:
        return str(uuid.uuid4())

    def sections(self) -> dict[str, Section]:
        """Return the configuration."""
        return {
            'global': {
                'fsid': self._fsid,
                'mon_host': self._addresses(),
                'public_addr': processes.HOST,
                'cluster_addr': processes.HOST,
                'ms_bind_ipv6': 'false',
                'auth_cluster_required': 'none',
                'auth_service_required': 'none',
                'auth_client_required': 'none',
                'run_dir': self.directory / 'run',
                # Else everything would be logged, at length.
                'log_file': '/dev/null',
                'err_to_stderr': 'true',
                'osd_crush_chooseleaf_type': 0,
                'osd_pool_default_size': 1,
                'osd_pool_default_min_size': 1,
                'osd_pool_default_pg_autoscale_mode': 'off',
                'osd_pool_default_pg_num': 8,
            },
            # Many clients come and go.
            'client': {'admin_socket': ''},
            'mon': {
                'mon_data': self.directory / 'mon',
                'mon_allow_pool_size_one': 'true',
                'mon_warn_on_pool_no_redundancy': 'false',
                'mon_data_avail_warn': 1,
                'mon_data_avail_crit': 1,
            },
            'mgr': {
                'mgr_data': self.directory / 'mgr',
                'mgr_initial_modules': '',
                'mgr_stats_period': 1,
                'mgr_tick_period': 1,
            },
            'osd': {
                'osd_data': self.directory / 'osd',
                'osd_objectstore': 'bluestore',
                # A sparse file.
                'bluestore_block_size': 50 * _GIB,
                'osd_memory_target': 1 * _GIB,
            },
        }

    def _link_bindings(self) -> None:
        """Put the distribution's bindings, and nothing else, into a place.

        :raises CephMissing: if they are not there, or not for this Python
        """
        self.bindings.mkdir(parents=True)
        for module in ('rados', 'rbd'):
            found = [
                path
                for suffix in importlib.machinery.EXTENSION_SUFFIXES
                if (path := _SYSTEM / f'{module}{suffix}').exists()
            ]
            if not found:
                raise errors.CephMissing(f"Python's binding {module}")
            os.symlink(found[0], self.bindings / found[0].name)


def find(program: str) -> str:
    """Return the path of a program of Ceph's.

    :raises CephMissing: if it is not installed
    """
    found = shutil.which(program, path='/usr/bin:/usr/sbin:/bin')
    if found is None:
        raise errors.CephMissing(program)
    return found
