# SPDX-License-Identifier: Apache-2.0

"""What happens when the token of a request expires.

This needs a cloud whose tokens live for seconds, so it starts one.
"""

import time

from cinder import exception as cinder_exception
from cinder import service_auth
from keystoneauth1 import loading as ks_loading
from oslo_config import cfg

from tests import cloud as test_cloud
from tests.functional import cinder_side
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS

_LIFETIME = 10


class ExpiryTestCase(cinder_side.CinderSideTestCase):
    """A user's token that has expired, in 'per_user' mode."""

    def setUp(self):
        super().setUp()
        cloud = test_cloud.Cloud(token_lifetime=_LIFETIME)
        self.addCleanup(cloud.stop)
        cloud.start()
        self.context = cinder_side.make_context(
            cloud.info.demo, cloud.info.auth_url)
        self.use_service_user(cloud.info)
        volume, self.path = self.make_volume(b'precious' * CHUNK)
        self.volume = volume

    def use_service_user(self, info):
        cfg.CONF.register_opts(ks_loading.get_auth_plugin_conf_options(
            'password'), group='service_user')
        self.config.config(
            group='service_user', auth_url=info.auth_url,
            username=info.cinder.username, password=info.cinder.password,
            project_name=info.cinder.project_name)
        service_auth.reset_globals()
        self.addCleanup(service_auth.reset_globals)

    def test_service_token_keeps_it_going(self):
        time.sleep(_LIFETIME + 2)
        error = self.assertRaises(
            cinder_exception.SwiftConnectionFailed,
            self.back_up, OURS, self.volume, self.path)
        self.assertIn('backup_swift_service_auth', str(error))

        self.configure(backup_swift_service_auth=True)
        backup = self.back_up(OURS, self.volume, self.path)
        self.assertEqual(8, backup.object_count)
        self.assert_content(self.restore_new(OURS, backup),
                            b'precious' * CHUNK)
