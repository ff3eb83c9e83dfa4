# SPDX-License-Identifier: Apache-2.0

"""A volume in Ceph whose incrementals read only what was written."""

import json
import pathlib
import random
import uuid

from cinder_swift_backup.format import naming
from tests.ceph import lies
from tests.ceph import osd
from tests.fakes import blobs
from tests.functional import api
from tests.functional.api import MIB

_READ_ALL = 'reads the whole volume'


class TrackedTestCase(api.ApiTestCase):
    """A volume of 1 GiB with 100 MiB of data, and its backups."""

    def setUp(self):
        super().setUp()
        self.need('ceph_directory')
        self.log_file = self.find_log()
        lies.expect_none(self, self.log_file)
        self.volume = self.make_volume()
        for number in range(10):
            self.write(self.volume, number * 100 * MIB,
                       random.Random(number).randbytes(10 * MIB))

    def find_log(self):
        """The path of the log of the Cinder that is used."""
        return pathlib.Path(self.cloud.directory, 'cinder', 'cinder.log')

    def marks(self):
        """The names of the marks on the volume."""
        with self.volumes.image(self.volume.id) as image:
            return [each['name'] for each in image.list_snaps()
                    if each['name'].endswith('.snap.csb')]

    def remove_marks(self):
        """Remove all marks from the volume."""
        with self.volumes.image(self.volume.id) as image:
            for name in self.marks():
                image.remove_snap(name)

    def log(self):
        """What the log says so far."""
        return self.log_file.read_text()

    def reads_all(self, backup_id):
        """Whether the log says that a backup had to read everything."""
        return any(_READ_ALL in line and backup_id in line
                   for line in self.log().splitlines())

    def stored(self, backup):
        """What is stored of a backup, but for names, ids and times."""
        prefix = backup_prefix(self.object_names(self.container), backup)
        chunks = {
            name.removeprefix(prefix): blobs.get(self.store, self.container,
                                                 name)
            for name in self.object_names(self.container, f'{prefix}-')}
        digests = json.loads(blobs.get(
            self.store, self.container, naming.digest_file_name(prefix)))
        return chunks, digests['sha256s']

    def incremental(self, **options):
        """An incremental, and how many bytes it read from Ceph."""
        before = osd.bytes_read(self.cloud.ceph_directory)
        backup = self.back_up(self.volume, incremental=True, **options)
        return backup, osd.bytes_read(self.cloud.ceph_directory) - before

    def attach(self):
        """Have the volume in use."""
        attachment = self.cinder.attachments.create(
            self.volume.id, {'host': 'somewhere'}, str(uuid.uuid4()))
        self.cinder.attachments.complete(attachment['id'])
        self.wait(self.cinder.volumes, self.volume, 'in-use')

    def detach(self):
        """Have it no longer in use."""
        # There is no Nova that could end the attachment.
        self.client(self.cloud.admin).volumes.reset_state(
            self.volume, 'available', 'detached')
        self.wait(self.cinder.volumes, self.volume, 'available')


def backup_prefix(names, backup):
    """What the names of a backup's objects begin with."""
    (name,) = (name for name in names
               if name.endswith(f'{backup.id}_metadata'))
    return name.removesuffix('_metadata')
