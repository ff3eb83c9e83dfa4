# SPDX-License-Identifier: Apache-2.0

"""Which login is used."""

import argparse
import contextlib
import os
import pathlib
import socket
import tempfile
import threading
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import accounts
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import logins
from cinder_swift_backup.stores import transport
from tests import selection

_LOOPBACK = '127.0.0.1'
# Seconds, after which a server that was silent closes its connections.
_LONG = 30
_ST = {'ST_AUTH': 'http://swift.test/auth/v1.0'}
_ST_LOGIN = {'ST_USER': 'u', 'ST_KEY': 'k'}


def _options(*arguments):
    """What a command line says of a login."""
    parser = argparse.ArgumentParser()
    logins.add_options(parser, arguments)
    return parser.parse_args(arguments)


class LoginTest(base.BaseTestCase):
    """Version 1 only where no cloud is named."""

    def test_version_1(self):
        for options, environment, expected in (
                ((), _ST, True), ((), {}, False),
                (('--os-region-name', 'r'), _ST, True),
                (('--os-cloud', 'site'), _ST, False),
                (('--os-auth-url', 'http://k.test'), _ST, False),
                ((), {**_ST, 'OS_CLOUD': 'site'}, False)):
            self.assertEqual(expected, accounts.is_version_1(
                _options(*options), environment), options)

    def test_version_1_without_user_or_key(self):
        err = self.assertRaises(exceptions.ConfigurationError,
                                accounts.open_account, _options(), _ST, 0)
        self.assertIn('ST_USER and ST_KEY', str(err))
        err = self.assertRaises(exceptions.ConfigurationError,
                                accounts.open_account, _options(),
                                {**_ST, 'ST_USER': 'u'}, 0)
        self.assertTrue(str(err).startswith('ST_AUTH is set, so set ST_KEY'))

    def test_file_of_another_structure(self):
        path = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory())) / 'clouds.yaml'
        self.enterContext(mock.patch.dict(
            os.environ, OS_CLIENT_CONFIG_FILE=str(path)))
        for text in ('clouds: 5', 'clouds: {a: 5}', 'clouds: {a: [1]}'):
            path.write_text(text)
            err = self.assertRaises(exceptions.ConfigurationError,
                                    accounts.open_account,
                                    _options('--os-cloud', 'a'), {}, 0)
            self.assertIn('the login cannot be used', str(err))

    def test_cloud_that_no_file_names(self):
        err = self.assertRaises(exceptions.ConfigurationError,
                                accounts.open_account,
                                _options('--os-cloud', 'nowhere'), {}, 0)
        self.assertIn("no cloud 'nowhere' in clouds.yaml", str(err))


class SilentIdentityTest(base.BaseTestCase):
    """An identity service that takes connections, and says nothing."""

    def setUp(self):
        super().setUp()
        listener = self.enterContext(socket.create_server((_LOOPBACK, 0)))
        self.url = f'http://{_LOOPBACK}:{listener.getsockname()[1]}/v3'
        timer = threading.Timer(_LONG, listener.close)
        timer.start()
        self.addCleanup(timer.join)
        self.addCleanup(timer.cancel)
        self._clouds = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory())) / 'clouds.yaml'
        self.enterContext(mock.patch.dict(
            os.environ, OS_CLIENT_CONFIG_FILE=str(self._clouds)))
        self.write()

    def write(self, more=''):
        """Write the file of a cloud."""
        self._clouds.write_text(f'''
clouds:
  a:
    {more}
    auth:
      auth_url: {self.url}
      username: u
      password: p
      project_name: p
      user_domain_name: Default
      project_domain_name: Default
''')

    def soon(self):
        """Have the patience bound what it bounds to tens of seconds."""
        self.enterContext(mock.patch.object(
            transport, '_SHORTEST_SILENCE', 0.1))

    def _refused(self, cloud, environment, patience, *arguments):
        if cloud:
            arguments += '--os-cloud', cloud
        options = _options(*arguments)
        store = accounts.open_account(options, environment, patience).store
        with contextlib.closing(store):
            return str(self.assertRaises(exceptions.StoreUnavailable, list,
                                         store.containers()))

    def test_patience(self):
        self.soon()
        self.assertIn('no answer for 0.1 s', self._refused('a', {}, 0.4))

    def test_time_out_of_the_cloud(self):
        self.write('api_timeout: 0.2')
        self.assertIn('no answer for 0.2 s', self._refused('a', {}, 0.4))

    @selection.takes_long
    def test_version_1(self):
        self.soon()
        self.assertIn('no answer for 0.1 s', self._refused(
            None, _ST_LOGIN | {'ST_AUTH': self.url}, 0.4))
        self.assertIn('no answer for 0.2 s', self._refused(
            None, _ST_LOGIN | {'ST_AUTH': self.url}, 0.4, '--timeout', '0.2'))

    def test_records_of_cinder(self):
        self.soon()
        err = self.assertRaises(exceptions.ConfigurationError,
                                cinder_api.read,
                                _options('--os-cloud', 'a'), {}, 0.4)
        self.assertIn('the records of Cinder cannot be read', str(err))

    def test_login_of_variables(self):
        self.enterContext(mock.patch.dict(
            os.environ, OS_AUTH_URL=self.url, OS_USERNAME='u',
            OS_PASSWORD='p', OS_CLIENT_CONFIG_FILE='/nowhere'))
        for variables, timeout in (({}, 60), ({'OS_API_TIMEOUT': '7'}, 7)):
            with mock.patch.dict(os.environ, variables):
                found = accounts.find_cloud(_options(), 300)
            self.assertEqual(timeout, found.get_session().timeout)
