# SPDX-License-Identifier: Apache-2.0

"""The contract, kept by real Swift.

Needs the cloud of the functional tests; without one it is skipped.
"""

from oslotest import base as test_base
from swiftclient import client

from tests import selection
from tests.contract import suite
from tests.functional import base


class SwiftStoreTest(suite.StoreContract, test_base.BaseTestCase):
    """In the demo user's account of the running cloud."""

    modes = selection.Modes.BOTH

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Not in a test: the cloud would live in that test's directory.
        base.cloud_info()

    @property
    def tells_segments(self):
        """Ceph's gateway does not."""
        return base.cloud_info().objects == 'swift'

    def make_store(self):
        return base.swift_store()

    def remove_container(self, container):
        session = base.keystone_session(base.cloud_info().demo)
        url = session.get_endpoint(
            service_type='object-store', interface='public',
            region_name=base.cloud_info().region, skip_discovery=True)
        try:
            client.delete_container(url, session.get_token(), container)
        except client.ClientException as err:
            # Its listing may lag and still show what was deleted.
            if err.http_status not in (404, 409):
                raise
