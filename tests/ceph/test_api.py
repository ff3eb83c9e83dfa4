# SPDX-License-Identifier: Apache-2.0

"""What users do with backups, on volumes in Ceph."""

import pathlib

from tests.ceph import lies
from tests.functional import api_cases


class BackupTestCase(api_cases.BackupTestCase):
    """Full, incremental, of snapshots, in use; to new and existing volumes."""

    def setUp(self):
        super().setUp()
        self.need('ceph_directory')
        lies.expect_none(self, pathlib.Path(
            self.cloud.directory, 'cinder', 'cinder.log'))
