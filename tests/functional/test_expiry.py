# SPDX-License-Identifier: Apache-2.0

"""What happens when the token of a request expires.

This needs a cloud whose tokens live for seconds, so it starts one.
"""

import io
import time

from cinder import exception as cinder_exception
from cinder import service_auth
from eventlet import patcher
from keystoneauth1 import loading as ks_loading
from oslo_config import cfg

from tests.functional import cinder_process
from tests.functional import cinder_side
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS

_LIFETIME = 10
_CHUNKS = 8
_DATA = b'precious' * CHUNK


class SlowHandle(io.BytesIO):
    """A volume of which one part takes longer than a token lives."""

    def read(self, length=-1):
        if self.tell() == 5 * CHUNK:
            _sleep(_LIFETIME + 2)
        return super().read(length)


def _sleep(seconds):
    # Handles are read in native threads, where a patched sleep would be
    # another thread's.
    patcher.original('time').sleep(seconds)


class ExpiryTestCase(cinder_side.CinderSideTestCase):
    """A user's token that has expired, in 'per_user' mode."""

    def setUp(self):
        super().setUp()
        cloud = self.start_cloud(token_lifetime=_LIFETIME)
        self.info = cloud.info
        self.context = cinder_process.make_context(
            cloud.info.demo, cloud.info.auth_url)
        self.use_service_user(cloud.info)
        volume, self.path = self.make_volume(_DATA)
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
        self.assertEqual(_CHUNKS, backup.object_count)
        self.assert_content(self.restore_new(OURS, backup), _DATA)

    def back_up_slowly(self):
        backup = self.make_backup(self.volume)
        OURS(self.context).backup(backup, SlowHandle(_DATA), True)
        return backup

    def test_expires_in_mid_backup(self):
        error = self.assertRaises(cinder_exception.SwiftConnectionFailed,
                                  self.back_up_slowly)
        self.assertIn('backup_swift_service_auth', str(error))

    def test_service_token_carries_a_backup_over_the_expiry(self):
        self.configure(backup_swift_service_auth=True)
        backup = self.back_up_slowly()
        self.assertEqual(_CHUNKS, backup.object_count)
        self.assert_content(self.restore_new(OURS, backup), _DATA)

    def test_single_user_logs_in_again(self):
        self.configure(
            backup_swift_auth='single_user',
            **cinder_side.version_3_options(self.info, self.info.demo))
        backup = self.back_up_slowly()
        self.assertEqual(_CHUNKS, backup.object_count)
        self.assert_content(self.restore_new(OURS, backup), _DATA)
