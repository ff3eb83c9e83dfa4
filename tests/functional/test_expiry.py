# SPDX-License-Identifier: Apache-2.0

"""What happens when a token expires, or cannot be renewed in time.

This needs a cloud whose tokens live for seconds, so each test starts one.
"""

import contextlib
import io

from cinder import exception as cinder_exception
from cinder import service_auth
from eventlet import patcher
import fixtures
from keystoneauth1 import loading as ks_loading
from oslo_config import cfg
from swiftclient import exceptions as swift_exceptions

from tests import selection
from tests.cloud.fault_proxy import proxy
from tests.cloud.fault_proxy.rules import Refuse
from tests.cloud.fault_proxy.rules import rule
from tests.functional import cinder_process
from tests.functional import cinder_side
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

_LIFETIME = 25
# Seconds: enough for an operation, and so few that a login is wanted for each
# request, for keystoneauth trusts no token that has less than two minutes.
_SHORT = 100
# More than a worker fetches at once, for some have to come after the expiry.
_CHUNKS = 12
_DATA = b'precious' * (_CHUNKS * CHUNK // 8)


class SlowHandle(io.BytesIO):
    """A volume of which one part takes longer than a token lives."""

    def read(self, length=-1):
        if self.tell() == 5 * CHUNK:
            _sleep(_LIFETIME + 2)
        return super().read(length)


class SlowTarget(io.BytesIO):
    """A volume whose first write takes longer than a token lives."""

    slow = True

    def write(self, data):
        if self.slow:
            self.slow = False
            _sleep(_LIFETIME + 2)
        return super().write(data)


def _sleep(seconds):
    # Handles are read in native threads, where a patched sleep would be
    # another thread's.
    patcher.original('time').sleep(seconds)


class ShortLivedTestCase(cinder_side.CinderSideTestCase):
    """A cloud of short-lived tokens, and a volume of its user's."""

    lifetime = _LIFETIME

    def setUp(self):
        super().setUp()
        self.info = self.start_cloud(token_lifetime=self.lifetime).info
        self.log_in()
        self.configure(backup_swift_workers=1)
        self.volume, self.path = self.make_volume(_DATA)

    def log_in(self):
        """Have the next operation begin with a token that is new."""
        self.context = cinder_process.make_context(self.info.demo,
                                                   self.info.auth_url)

    def use_single_user(self, **options):
        """Have the driver log in by itself."""
        self.configure(
            backup_swift_auth='single_user',
            **{**cinder_side.version_3_options(self.info, self.info.demo),
               **options})


class ExpiryTestCase(ShortLivedTestCase):
    """A token that expires in mid-backup, or in mid-restore."""

    def setUp(self):
        super().setUp()
        self.use_service_user(self.info)

    def use_service_user(self, info):
        cfg.CONF.register_opts(ks_loading.get_auth_plugin_conf_options(
            'password'), group='service_user')
        self.config.config(
            group='service_user', auth_url=info.auth_url,
            username=info.cinder.username, password=info.cinder.password,
            project_name=info.cinder.project_name)
        service_auth.reset_globals()
        self.addCleanup(service_auth.reset_globals)

    def back_up_slowly(self, driver=OURS):
        backup = self.make_backup(self.volume)
        driver(self.context).backup(backup, SlowHandle(_DATA), True)
        return backup

    def restore_slowly(self, backup):
        """A restore, whose token is new when it begins."""
        self.log_in()
        volume, _ = self.make_volume(b'')
        target = SlowTarget(bytes(len(_DATA)))
        self.restore_to(OURS, backup, volume, target, False)
        self.assertFalse(target.slow)
        self.assertTrue(target.getvalue() == _DATA)

    def check_both(self):
        """Backup and restore take longer than a token lives, and are right."""
        backup = self.back_up_slowly()
        self.assertEqual(_CHUNKS, backup.object_count)
        self.restore_slowly(backup)

    def assert_expired(self, function, *arguments):
        """It fails, and says what prevents that."""
        error = self.assertRaises(cinder_exception.BackupDriverException,
                                  function, *arguments)
        self.assertIn('backup_swift_service_auth', str(error))

    @selection.modes(selection.Modes.EVERYTHING)
    def test_expires_for_the_stock_driver(self):
        error = self.assertRaises(swift_exceptions.ClientException,
                                  self.back_up_slowly, STOCK)
        self.assertIn('Unauthorized', str(error))

    def test_expires(self):
        self.assert_expired(self.back_up_slowly)
        self.assert_expired(self.back_up, OURS, self.volume, self.path)
        self.log_in()
        backup = self.back_up(OURS, self.volume, self.path)
        self.assert_expired(self.restore_slowly, backup)
        self.log_in()
        self.assert_content(self.restore_new(OURS, backup), _DATA)

    @selection.modes(selection.Modes.EVERYTHING)
    def test_service_token_carries_them_over_the_expiry(self):
        self.configure(backup_swift_service_auth=True)
        self.assertEqual(_CHUNKS, self.back_up_slowly(STOCK).object_count)
        self.log_in()
        self.check_both()
        # The token of the last request has expired by now.
        backup = self.back_up(OURS, self.volume, self.path)
        self.assertEqual(_CHUNKS, backup.object_count)

    @selection.modes(selection.Modes.EVERYTHING)
    def test_single_user_logs_in_again(self):
        self.use_single_user()
        self.check_both()


class LoginTestCase(ShortLivedTestCase):
    """A login that fails for a passing reason."""

    lifetime = _SHORT

    def setUp(self):
        super().setUp()
        self.proxy = proxy.FaultProxy(self.info.auth_url)
        self.addCleanup(self.proxy.stop)
        self.proxy.start()
        self.use_single_user(backup_swift_auth_url=self.proxy.url)
        self.log = self.useFixture(fixtures.FakeLogger('cinder_swift_backup'))

    @contextlib.contextmanager
    def without_keystone(self, first):
        """Have it refuse all connections from one of the logins on."""
        self.proxy.apply(rule(Refuse(3600), 'POST', first=first))
        yield
        self.assertEqual([1], self.proxy.hits())
        self.assertIn('so the current one is kept', self.log.output)
        self.log.reset_output()
        self.proxy.accept()

    def test_token_in_hand_is_used_on(self):
        # Each request wants one, and some come before the chunks.
        with self.without_keystone(6):
            backup = self.back_up(OURS, self.volume, self.path)
        self.assertEqual(_CHUNKS, backup.object_count)
        with self.without_keystone(4):
            path = self.restore_new(OURS, backup)
        self.assert_content(path, _DATA)
