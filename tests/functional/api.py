# SPDX-License-Identifier: Apache-2.0

"""Using Cinder as its users do: through its API, waiting for statuses."""

import contextlib
import dataclasses
import hashlib
import http
import random
import time

from cinderclient import client as cinder_client
from cinderclient import exceptions as client_exceptions

from tests.cloud import volumes
from tests.fakes import blobs
from tests.functional import base

MIB = 1 << 20
_PATIENCE = 120


class ApiTestCase(base.FunctionalTestCase):
    """A test through a Cinder API; the volumes are files it can see."""

    microversion = '3.60'
    endpoint = None
    # Whether volumes and backups are to be deleted when the test ends.
    cloud_stays = True

    def setUp(self):
        super().setUp()
        self.need('admin', 'volumes_directory')
        self.use(self.cloud)

    def use(self, cloud):
        """Be users of a cloud from now on."""
        self.cloud = cloud
        self.cinder = self.client(self.cloud.demo)
        self.volumes = volumes.of_cloud(cloud)
        self.addCleanup(self.volumes.close)
        # An administrator, in the project that owns volumes and backups.
        self.demo_admin = dataclasses.replace(
            cloud.admin, project_name=cloud.demo.project_name)

    def client(self, user):
        """A client of Cinder for one of the cloud's users."""
        session = base.keystone_session(user, self.cloud.auth_url)
        endpoint = self.endpoint
        if endpoint is not None:
            endpoint = f'{endpoint}/{session.get_project_id()}'
        return cinder_client.Client(
            self.microversion, session=session, region_name=self.cloud.region,
            endpoint_override=endpoint)

    def wait(self, manager, thing, status, patience=_PATIENCE):
        """Wait for a status; errors end the wait at once."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            thing = manager.get(thing.id)
            if thing.status == status:
                return thing
            if thing.status.startswith('error'):
                self.fail(f'{thing} is {thing.status}: '
                          f'{getattr(thing, "fail_reason", "")}')
            time.sleep(0.2)
        return self.fail(f'{thing} is {thing.status}, not {status}')

    def wait_gone(self, manager, thing, patience=_PATIENCE):
        """Wait until the API does not know something any more."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                thing = manager.get(thing.id)
            except client_exceptions.NotFound:
                return
            if thing.status.startswith('error'):
                self.fail(f'{thing} is {thing.status}: '
                          f'{getattr(thing, "fail_reason", "")}')
            time.sleep(0.2)
        self.fail(f'{thing} is still {thing.status}')

    def wait_until(self, holds, *arguments, patience=_PATIENCE):
        """Wait until something holds, for so many seconds at most."""
        deadline = time.monotonic() + patience
        while not holds(*arguments):
            self.assertLess(time.monotonic(), deadline, holds.__name__)
            time.sleep(0.05)

    def make_volume(self, mib=0, seed=0):
        """A volume of 1 GiB that starts with random data, then text."""
        volume = self.cinder.volumes.create(1, name=f'test {self.id()}')
        volume = self.wait(self.cinder.volumes, volume, 'available')
        self.forget_later(self.forget_volume, volume)
        if mib:
            noise = random.Random(seed).randbytes(mib * MIB)
            self.write(volume, 0, noise)
            self.write(volume, 700 * MIB, b'text and more text ' * MIB)
        return volume

    def forget_later(self, forget, thing):
        """Delete something when the test ends, if need be."""
        if self.cloud_stays:
            self.addCleanup(forget, thing)

    def forget_volume(self, volume):
        """Delete a volume whatever its state is, unless the test has."""
        admin = self.client(self.cloud.admin)

        def is_forgotten():
            try:
                with contextlib.suppress(client_exceptions.NotFound):
                    admin.volumes.reset_state(volume, 'error', 'detached')
                    admin.volumes.force_delete(volume)
            except client_exceptions.ClientException as err:
                # On a busy machine, sqlite may be locked for too long.
                if err.code != http.HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                return False
            return True

        self.wait_until(is_forgotten)

    def volume_path(self, volume):
        """The file behind a volume."""
        if self.cloud.ceph_directory or self.cloud.volume_group:
            self.skipTest('its volumes have to be files')
        return self.volumes.path(volume.id)

    def write(self, volume, offset, data):
        """Write to a volume as a guest would."""
        self.volumes.write(volume.id, offset, data)

    def sha256(self, volume):
        """The SHA-256 of all of a volume, and that it has its full size."""
        self.assertEqual(volume.size << 30, self.volumes.size(volume.id))
        return self.volumes.sha256(volume.id)

    def back_up(self, volume, **options):
        """Make a backup and wait for it."""
        backup = self.start_backup(volume, **options)
        return self.wait(self.cinder.backups, backup, 'available')

    def start_backup(self, volume, **options):
        """Begin a backup; it is deleted when the test ends."""
        backup = self.cinder.backups.create(
            volume.id, container=self.container, **options)
        self.forget_later(self.forget_backup, backup)
        return backup

    def forget_backup(self, backup):
        """Delete a backup unless the test has."""
        with contextlib.suppress(client_exceptions.NotFound):
            self.delete_backup(backup)

    def delete_backup(self, backup):
        """Delete a backup and wait until it is gone."""
        self.cinder.backups.delete(backup)
        self.wait_gone(self.cinder.backups, backup)

    def restore(self, backup, volume=None):
        """Restore to a volume, a new one by default, and wait for it."""
        answer = self.cinder.restores.restore(
            backup.id, volume.id if volume else None)
        target = self.cinder.volumes.get(answer.volume_id)
        if volume is None:
            self.forget_later(self.forget_volume, target)
        self.wait(self.cinder.backups, backup, 'available')
        return self.wait(self.cinder.volumes, target, 'available')

    def import_records(self, records):
        """Give backups to the demo user's project, and wait for them.

        :param records: services and URLs, as Cinder exports them
        """
        importer = self.client(self.demo_admin)
        for service, url in records:
            answer = importer.backups.import_record(service, url)
            self.wait(self.cinder.backups, self.cinder.backups.get(
                answer['id']), 'available')

    def fill(self, volume):
        """Put something else on all of a volume's first MiB."""
        for offset in range(0, self.volumes.size(volume.id), 64 * MIB):
            self.write(volume, offset, b'\x5a' * MIB)

    @property
    def container(self):
        """A container of the test's own."""
        return 'api-' + hashlib.sha256(self.id().encode()).hexdigest()[:8]

    def lose_record(self, backup, names):
        """Delete the record only: put the objects back afterwards."""
        saved = {name: blobs.get(self.store, self.container, name)
                 for name in names}
        self.delete_backup(backup)
        for name, data in saved.items():
            blobs.put(self.store, self.container, name, data)
