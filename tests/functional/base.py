# SPDX-License-Identifier: Apache-2.0

"""The cloud that functional tests run against, and ways into it.

1. The cloud that the environment names, one of ours or an external one.
2. Else one that is started for this test process and stopped at its end.
"""

import atexit
import functools

from keystoneauth1 import identity
from keystoneauth1 import session as ksa_session
from oslotest import base

from cinder_swift_backup.stores import credentials as store_credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport
from tests import cloud as test_cloud
from tests import selection
from tests.cloud import errors


@functools.cache
def cloud_info():
    """The running cloud; starts one when the environment names none."""
    info = test_cloud.CloudInfo.from_environment()
    if info is not None:
        return info
    cloud = test_cloud.Cloud()
    atexit.register(cloud.stop)
    cloud.start()
    return cloud.info


def keystone_session(credentials, auth_url=None):
    """A session of one of the cloud's users, or of another cloud's."""
    return ksa_session.Session(auth=identity.V3Password(
        auth_url or cloud_info().auth_url, username=credentials.username,
        password=credentials.password,
        project_name=credentials.project_name,
        user_domain_name=credentials.user_domain_name,
        project_domain_name=credentials.project_domain_name))


def swift_credentials(user, cloud=None):
    """What a store needs to use the Swift account of a user's project."""
    cloud = cloud or cloud_info()
    return store_credentials.SessionCredentials(
        keystone_session(user, cloud.auth_url), service_type='object-store',
        interface='public', region=cloud.region)


def swift_store(credentials=None):
    """A store in a Swift account, the demo user's by default."""
    return swift.SwiftStore(swift_session.Session(
        credentials or swift_credentials(cloud_info().demo),
        transport.Transport(retries=1, backoff=0.1)))


class FunctionalTestCase(base.BaseTestCase):
    """A test with a cloud; ``modes`` says where it is worth running."""

    modes = selection.Modes.ONE

    def setUp(self):
        # Before the test gets a temporary directory of its own, for a cloud
        # that is started here has to outlive it.
        self.cloud = self.find_cloud()
        super().setUp()
        self.store = swift_store(
            swift_credentials(self.cloud.demo, self.cloud))
        self.addCleanup(self.store.close)

    def find_cloud(self):
        """The cloud that the test is for."""
        return cloud_info()

    def start_cloud(self, **options):
        """Start another cloud, which ends with the test.

        The test is skipped if this machine lacks what the cloud is made of.
        """
        cloud = test_cloud.Cloud(**options)
        self.addCleanup(cloud.stop)
        try:
            cloud.start()
        except errors.BackendMissing as error:
            self.skipTest(str(error))
        return cloud

    def need(self, *names):
        """Skip the test where the cloud does not tell all of these."""
        for name in names:
            if getattr(self.cloud, name) is None:
                self.skipTest(f'the cloud does not tell its {name}')

    def object_names(self, container, prefix=''):
        """The names of the objects in one of the demo user's containers."""
        return [info.name for info in self.store.list(container, prefix)]
