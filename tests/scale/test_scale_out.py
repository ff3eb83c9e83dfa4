# SPDX-License-Identifier: Apache-2.0

"""Two backup services, and a Swift of four object servers, three of which
have each object: some of them die while backups are made.
"""

import collections
import contextlib
import datetime
import os
import random
import sqlite3
import time
from typing import ClassVar

from cinder_swift_backup import engine as engines
from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import concurrency
from cinder_swift_backup.engine import sweeping
from tests.functional import api
from tests.functional.api import MIB

_PATIENCE = 300
_GRACE = datetime.timedelta(seconds=2)
# So many that one host hardly ever gets all of them.
_INCREMENTALS = 8


class LargeCloudTestCase(api.ApiTestCase):
    """A test with a cloud of its own, of more servers than others."""

    cloud_stays = False
    hosts = 0
    options: ClassVar[dict] = {}
    # What a volume has, in MiB.
    mib = 150

    def find_cloud(self):
        # What Cinder goes by, here as everywhere.
        native = os.environ.get('OS_CINDER_DISABLE_EVENTLET_PATCHING') == '1'
        self.running = self.start_cloud(
            concurrency='threading' if native else 'eventlet',
            object_servers=4, backup_hosts=self.hosts,
            extra_options=self.options)
        return self.running.info

    def make_volume_of(self, seed):
        """A volume with data of its own: its id, and what it is."""
        volume = self.make_volume(self.mib, seed)
        return volume.id, self.sha256(volume)

    def wait_until(self, holds, *arguments, patience=_PATIENCE):
        """As anywhere; many things are done at once here."""
        super().wait_until(holds, *arguments, patience=patience)

    def all_have_objects(self, backups):
        """Whether each of the backups has begun to store its data."""
        with contextlib.suppress(exceptions.ContainerNotFound):
            found = self.objects_of(backups)
            return len(found) == len(backups)
        return False

    def objects_of(self, backups):
        """Those of the backups that have objects, with their names."""
        names = self.object_names(self.container)
        found = {backup.id: [name for name in names if backup.id in name]
                 for backup in backups}
        return {id_: names for id_, names in found.items() if names}

    def status(self, backup):
        """What Cinder says of a backup."""
        return self.cinder.backups.get(backup.id).status


class ObjectServersTestCase(LargeCloudTestCase):
    """Half of the object servers are lost, one after the other."""

    def test_two_die(self):
        id_, first = self.make_volume_of(1)
        volume = self.cinder.volumes.get(id_)
        full = self.start_backup(volume)
        self.wait_until(self.all_have_objects, [full])
        self.assertEqual('creating', self.status(full))
        self.running.swift.stop_server('object.1')
        self.wait(self.cinder.backups, full, 'available')
        self.write(volume, 50 * MIB, b'changed')
        second = self.sha256(volume)
        incremental = self.back_up(volume, incremental=True)
        self.running.swift.stop_server('object.2')
        for backup, expected in ((full, first), (incremental, second)):
            self.assertEqual(expected, self.sha256(self.restore(backup)))


class ScaleOutTestCase(LargeCloudTestCase):
    """What is lost of many backups when one host is."""

    hosts = 2
    options: ClassVar[dict] = {
        # So slow that no backup is complete when the host dies.
        'backup_swift_workers': 1,
        'backup_swift_object_size': 4 * MIB,
        # Seconds after which Cinder notices that it did.
        'service_down_time': 40}

    def test_a_host_and_an_object_server_die(self):
        expected = dict(self.make_volume_of(seed) for seed in range(8))
        backups = [self.start_backup(self.cinder.volumes.get(id_))
                   for id_ in expected]
        # Cinder takes a host at random: now and then always the same.
        while len(self.hosts_of(backups)) < 2 and len(backups) < 16:
            id_, expected[id_] = self.make_volume_of(len(expected))
            backups.append(self.start_backup(self.cinder.volumes.get(id_)))
        host, lost, others = self.lose_a_host(backups)
        self.delete_without(host, lost[0])
        host.start()
        host.wait()
        for backup in lost[1:]:
            self.check_lost(backup)
        self.assertEqual({backup.id for backup in others},
                         set(self.objects_of(backups)))
        for backup in others:
            self.assertEqual(expected[backup.volume_id],
                             self.sha256(self.restore(backup)))

    def lose_a_host(self, backups):
        """Kill one while all are made, and an object server.

        :returns: the service, what it was making, and the others, which are
            complete
        """
        self.wait_until(self.all_have_objects, backups)
        host = self.busiest(backups)
        self.running.swift.stop_server('object.2')
        host.kill()
        self.assertEqual({'creating'}, set(map(self.status, backups)))
        lost = [backup for backup in backups if self.host(backup) == host.host]
        others = [backup for backup in backups if backup not in lost]
        self.assertNotEqual([], others)
        for backup in others:
            self.wait(self.cinder.backups, backup, 'available', _PATIENCE)
        for backup in lost:
            self.assertEqual('creating', self.status(backup))
        return host, lost, others

    def hosts_of(self, backups):
        """The hosts that Cinder chose, once it has for all backups."""
        self.wait_until(lambda: all(map(self.host, backups)))
        return set(map(self.host, backups))

    def busiest(self, backups):
        """The service that makes most of the backups."""
        chosen = collections.Counter(map(self.host, backups))
        return max(self.running.backup_services,
                   key=lambda service: chosen[service.host])

    def host(self, backup):
        """The host that Cinder chose for a backup."""
        with contextlib.closing(
                sqlite3.connect(self.running.cinder.database)) as database:
            (host,), = database.execute(
                'SELECT host FROM backups WHERE id = ?', (backup.id,))
        return host

    def delete_without(self, host, backup):
        """What an administrator does whose host does not come back."""
        admin = self.client(self.demo_admin)
        self.wait_until(lambda: 'down' in [
            service.state for service in admin.services.list(host.host)])
        admin.backups.reset_state(backup.id, 'error')
        self.wait_until(lambda: self.status(backup) == 'error')
        volume = self.cinder.volumes.get(backup.volume_id)
        self.check_deletion(backup)
        admin.volumes.reset_state(volume, 'available')
        # It is not in use by anybody.
        self.cinder.volumes.delete(volume)
        self.wait_gone(self.cinder.volumes, volume)

    def check_lost(self, backup):
        """It ends in an error, and deleting it leaves nothing."""
        self.check_error(backup)
        self.check_deletion(backup)

    def check_error(self, backup):
        """It ends in one, and its volume can be used again."""
        self.wait_until(lambda: self.status(backup) == 'error')
        self.wait(self.cinder.volumes, self.cinder.volumes.get(
            backup.volume_id), 'available')

    def check_deletion(self, backup):
        """It has stored something, and deleting it leaves nothing."""
        self.assertIn(backup.id, self.objects_of([backup]))
        self.delete_backup(backup)
        self.assertEqual({}, self.objects_of([backup]))


class PackedScaleOutTestCase(ScaleOutTestCase):
    """The same in packs, of which one has what some objects have else."""

    options: ClassVar[dict] = {
        **ScaleOutTestCase.options, 'backup_swift_form': 'packs'}
    mib = 250

    def test_a_host_dies_in_incrementals(self):
        ids, parents, before = [], {}, {}
        for seed in range(_INCREMENTALS):
            id_, sha256 = self.make_volume_of(seed)
            ids.append(id_)
            before[id_] = sha256
            parents[id_] = self.back_up(self.cinder.volumes.get(id_))
        after = {id_: self.rewrite(id_) for id_ in ids}
        backups = [self.start_backup(self.cinder.volumes.get(id_),
                                     incremental=True) for id_ in ids]
        host, lost, others = self.lose_a_host(backups)
        host.start()
        host.wait()
        for backup in lost:
            self.check_error(backup)
            self.delete_backup(backup)
        for _ in range(2):
            time.sleep(_GRACE.total_seconds() + 1)
            for backup in lost:
                self.sweep(backup)
        self.assertEqual({}, self.objects_of(lost))
        # What they built on has lost nothing, and is built on again.
        for id_, parent in parents.items():
            self.assertEqual(before[id_], self.sha256(self.restore(parent)))
        others += [self.back_up(self.cinder.volumes.get(backup.volume_id),
                                incremental=True) for backup in lost]
        for backup in others:
            self.assertEqual(after[backup.volume_id],
                             self.sha256(self.restore(backup)))

    def sweep(self, backup):
        """Delete packs of its volume as a later backup does."""
        engine = engines.Engine(self.store, concurrency.runtime(), 2)
        swept = sweeping.Sweeper(engine.repository, _GRACE).sweep(
            sweeping.Volume(self.container, f'volume_{backup.volume_id}/'))
        self.assertEqual('', swept.why)

    def rewrite(self, id_):
        """Write all data of a volume anew: what the volume is then."""
        volume = self.cinder.volumes.get(id_)
        self.write(volume, 0, random.Random(id_).randbytes(self.mib * MIB))
        return self.sha256(volume)
