# SPDX-License-Identifier: Apache-2.0

"""``metrics``: figures of each volume, for Prometheus.

node_exporter's textfile collector reads the file. It has times instead of
ages, because an age would stop growing if nobody wrote the file any more.
"""

import argparse
from collections.abc import Mapping
import os

import prometheus_client
from prometheus_client import registry as registries

from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import output_files
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import figures
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import verified

_PREFIX = 'cinder_swift_backup'
_SUFFIX = '.prom'
_VOLUME = ('volume_id', 'volume_name', 'project_id')
_Volumes = Mapping[str, cinder_api.Volume]


class Metrics(output_files.FileCommand):
    """Write metrics of volumes and their backups for Prometheus.

    node_exporter's textfile collector reads FILE, if its name ends with
    ".prom". The command replaces FILE in one step, so nobody reads half of
    it. If something fails, FILE stays as it was.

    A volume counts as unprotected since its newest complete backup was
    started or, if it has none, since it was created. If the login's catalog
    has Cinder, only volumes that Cinder lists have this metric.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """See cliff."""
        options = self.login
        with self.opened(parsed_args) as survey:
            with self.looking() as observer:
                lineage = survey.everything(observer)
            times = verified.Verified(survey.repository, lineage,
                                      lineage.backups)
            volumes = cinder_api.volumes(options, os.environ,
                                         parsed_args.patience)
            registry = registries.CollectorRegistry()
            _Gauges(registry, survey.repository.store.account()).set(
                lineage, volumes, times)
        file = parsed_args.file
        if file.suffix != _SUFFIX and str(file) != '-':
            self.closing = [f'node_exporter only reads files whose names end '
                            f'with "{_SUFFIX}".']
        self.write(file, prometheus_client.generate_latest(registry).decode())


class _Gauges:
    """All that is told, each with its name and what it means."""

    def __init__(self, registry: registries.CollectorRegistry,
                 account: str) -> None:
        """Prepare.

        :param account: whose backups these are; node_exporter may read files
            of several accounts, in which no series may be the same
        """
        self._registry = registry
        self._account = account
        volume = self._of_volume
        self._newest = volume(
            'last_complete_timestamp_seconds',
            'When the newest complete backup was started.')
        self._unprotected = volume(
            'unprotected_since_timestamp_seconds',
            'When the newest complete backup was started or, if there is '
            'none, the volume was created; 0 if that is unknown.')
        self._verified = volume(
            'last_verified_timestamp_seconds',
            'When everything that the newest complete backup needs was last '
            'verified; 0 if it never was.')
        self._size = volume(
            'volume_bytes', 'The size of the volume in its newest complete '
                            'backup.')
        self._stored = volume(
            'stored_bytes',
            'Bytes that all backups of the volume take in Swift.')
        self._objects = volume(
            'objects', 'How many objects all backups of the volume have.')
        self._depth = volume(
            'chain_length', 'How many backups the newest complete one builds '
                            'on.')
        self._backups = volume(
            'backups', 'How many backups of the volume there are, by state.',
            'state')
        self._lag = self._of_account(
            'copy_lag_seconds',
            'Lag of the volume that is furthest behind, in a container that '
            'is a copy.', 'container')
        self._all = self._of_account(
            'account_backups', 'How many backups there are, by state.',
            'state')
        self._all_stored = self._of_account(
            'account_stored_bytes', 'Bytes that all backups take in Swift.')
        self._all_objects = self._of_account(
            'account_objects', 'How many objects all backups have.')
        self._volumes = self._of_account(
            'account_volumes', 'How many volumes have backups.')
        self._now = self._of_account(
            'metrics_timestamp_seconds', 'When these figures were collected.')

    def _of_volume(self, name: str, what: str,
                   *more: str) -> prometheus_client.Gauge:
        return self._gauge(name, what, *_VOLUME, *more)

    def _of_account(self, name: str, what: str,
                    *more: str) -> prometheus_client.Gauge:
        return self._gauge(name, what, 'account', *more)

    def _gauge(self, name: str, what: str,
               *labels: str) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(f'{_PREFIX}_{name}', what, labels,
                                       registry=self._registry)

    def set(self, lineage: lineages.Lineage, volumes: _Volumes | None,
            times: verified.Verified) -> None:
        """Tell it.

        :param volumes: those of Cinder; None if there is none
        """
        known = figures.by_volume(lineage, lineage.backups)
        for found in known.values():
            self._set(found, _labels(found, volumes or {}), times)
        protected = known.keys() if volumes is None else volumes.keys()
        for volume_id in sorted(protected):
            self._set_protection(
                known.get(volume_id) or figures.Figures(volume_id),
                volumes or {})
        for container in sorted(lineage.copies):
            self._lag.labels(self._account, container).set(max(
                (lag.total_seconds() for lag in lineage.lags(container)
                 if lag is not None), default=0))
        for state in backups.State:
            self._all.labels(self._account, state.value).set(sum(
                found.by_state[state] for found in known.values()))
        for gauge, value in (
                (self._all_stored, sum(found.stored_bytes
                                       for found in known.values())),
                (self._all_objects, sum(found.objects
                                        for found in known.values())),
                (self._volumes, len(known)),
                (self._now, lineage.now.timestamp())):
            gauge.labels(self._account).set(value)

    def _set(self, found: figures.Figures, labels: tuple[str, ...],
             times: verified.Verified) -> None:
        for state in backups.State:
            self._backups.labels(*labels, state.value).set(
                found.by_state[state])
        self._stored.labels(*labels).set(found.stored_bytes)
        self._objects.labels(*labels).set(found.objects)
        if found.newest is None:
            return
        self._newest.labels(*labels).set(
            found.newest.listed.dated.timestamp())
        when = times.when(found.newest)
        self._verified.labels(*labels).set(
            0 if when is None else when.timestamp())
        self._depth.labels(*labels).set(found.depth)
        if found.size is not None:
            self._size.labels(*labels).set(found.size)

    def _set_protection(self, found: figures.Figures,
                        volumes: _Volumes) -> None:
        since = None
        if found.newest is not None:
            since = found.newest.listed.dated
        elif found.volume_id in volumes:
            since = volumes[found.volume_id].created
        self._unprotected.labels(*_labels(found, volumes)).set(
            0 if since is None else since.timestamp())


def _labels(found: figures.Figures, volumes: _Volumes) -> tuple[str, ...]:
    """What a volume is called, by Cinder, or else by its newest backup."""
    volume = volumes.get(found.volume_id)
    if volume is not None:
        return found.volume_id, volume.name, volume.project_id
    return (found.volume_id, found.noted.name or '',
            found.noted.project_id or '')
