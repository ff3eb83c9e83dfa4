# SPDX-License-Identifier: Apache-2.0

"""A Cinder that a test may configure, stop and start as it likes."""

import pathlib
import tempfile
from typing import ClassVar

from tests import cloud as test_cloud
from tests.cloud import volumes
from tests.functional import api


class OwnCinderTestCase(api.ApiTestCase):
    """A test with a Cinder of its own on the cloud's Keystone and Swift."""

    options: ClassVar[dict] = {}

    def setUp(self):
        super().setUp()
        if self.cloud.directory is None:
            self.skipTest('An external cloud: its Cinder cannot be set up '
                          'for this test.')
        directory = pathlib.Path(tempfile.mkdtemp(
            prefix='own-cinder-', dir=self.cloud.directory))
        self.own = test_cloud.Cinder(
            self.cloud, directory, concurrency=self.cloud.concurrency,
            extra_options=self.options)
        self.addCleanup(self.own.stop)
        self.endpoint = self.own.url
        self.volumes = volumes.FileVolumes(self.own.volumes_directory)
        self.start()

    def start(self):
        """Start it, again after a stop."""
        self.own.start()
        self.own.wait()
        self.cinder = self.client(self.cloud.demo)
