# SPDX-License-Identifier: Apache-2.0

"""A first login: what is at the URL, and what is left to the store."""

import socket
from unittest import mock

from keystoneauth1 import identity
from keystoneauth1 import session as ksa_session
from oslotest import base
import requests
import requests_mock
import urllib3

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import first_login
from cinder_swift_backup.stores import version_1

_URL = 'http://keystone.test/v3'
_TOKENS = f'{_URL}/auth/tokens'
_LOGIN = {'username': 'u', 'password': 'secret', 'project_name': 'p',
          'user_domain_name': 'd', 'project_domain_name': 'd'}
_GENERIC = identity.Password
_V3 = identity.V3Password


class FirstLoginTest(base.BaseTestCase):
    """Before any request goes to a store."""

    def setUp(self):
        super().setUp()
        self.http = self.enterContext(requests_mock.Mocker())

    def _log_in(self, plugin=_GENERIC):
        session = ksa_session.Session(auth=plugin(_URL, **_LOGIN), timeout=60)
        first_login.log_in(credentials.SessionCredentials(
            session, service_type='object-store', interface='public',
            region=None, url='http://swift.test/v1/AUTH_p'), _URL)

    def _serve_tokens(self):
        return self.http.post(
            _TOKENS, status_code=201, headers={'X-Subject-Token': 't'},
            json={'token': {'expires_at': '2099-01-01T00:00:00Z'}})

    def _refused(self, words, plugin=_GENERIC):
        err = self.assertRaises(exceptions.ConfigurationError, self._log_in,
                                plugin)
        self.assertIn(words, str(err))
        self.assertIn(_URL, err.detail)
        self.assertIs(exceptions.Remedy.LOGIN_URL, err.remedy)

    def test_keystone(self):
        for answer in ({'json': {'version': {
                'id': 'v3.14', 'status': 'stable',
                'links': [{'rel': 'self', 'href': _URL}]}}},
                       # It is asked for its versions, and need not tell.
                       {'status_code': 404}, {'status_code': 403}):
            self.http.get(_URL, **answer)
            login = self._serve_tokens()
            self._log_in()
            self.assertEqual(1, login.call_count)

    def test_credentials_are_not_shown_to_whoever_is_there(self):
        look = self.http.get(_URL, status_code=404)
        self._serve_tokens()
        self._log_in()
        self.assertNotIn('X-Auth-Token', look.request_history[0].headers)
        self.assertIsNone(look.request_history[0].body)

    def test_versions_only_for_those_who_are_logged_in(self):
        # keystoneauth waits for itself there, so that nothing ends this test
        # without the look.
        self.http.get(_URL, status_code=401)
        self._refused('is not Keystone: it requires a login')

    def test_versions_that_nobody_asks_for(self):
        self.http.get(_URL, status_code=401)
        login = self._serve_tokens()
        self._log_in(_V3)
        self.assertEqual(1, login.call_count)

    def test_page_before_a_keystone(self):
        # keystoneauth goes by the path then.
        self.http.get(_URL, text='<html>Welcome</html>')
        self.assertEqual(0, self._serve_tokens().call_count)
        self._log_in()

    def test_page_before_a_keystone_that_refuses(self):
        self.http.get(_URL, text='<html>Welcome</html>')
        self.http.post(_TOKENS, status_code=401)
        self.assertRaises(exceptions.AccessDenied, self._log_in)

    def test_page(self):
        self.http.get(_URL, text='<html>Welcome</html>')
        self.http.post(_TOKENS, status_code=405)
        self._refused('is not Keystone: its answer is not JSON')

    def test_page_somewhere_else(self):
        other = 'http://portal.test/login'
        self.http.get(_URL, status_code=302, headers={'Location': other})
        self.http.get(other, text='<html>Please log in</html>')
        self.http.post(_TOKENS, status_code=503)
        self._refused('is not Keystone: its answer is not JSON')

    def test_nothing_of_that_name(self):
        self.http.get(_URL, status_code=404)
        self.http.post(_TOKENS, status_code=404)
        err = self.assertRaises(exceptions.ConfigurationError, self._log_in)
        self.assertIs(exceptions.Remedy.LOGIN_URL, err.remedy)

    def test_nobody(self):
        for error, reason in (
                (requests.ConnectionError(ConnectionRefusedError()),
                 '(connection refused)'),
                (requests.ConnectionError(socket.gaierror(-2, 'No such name')),
                 '(no such name)'),
                (requests.ConnectTimeout(
                    urllib3.exceptions.ConnectTimeoutError('timeout=5.0')),
                 '(no answer for 5.0 s)')):
            look = self.http.get(_URL, exc=error)
            err = self.assertRaises(first_login.NobodyThere, self._log_in)
            self.assertEqual(
                f'the identity service cannot be reached {reason}', err.what)
            self.assertEqual(_URL, err.detail)
            self.assertIs(exceptions.Remedy.LOGIN_URL, err.remedy)
            self.assertEqual(1, look.call_count)

    def _may_pass(self):
        err = self.assertRaises(exceptions.StoreUnavailable, self._log_in)
        self.assertNotIsInstance(err, first_login.NobodyThere)

    def test_silence_of_somebody(self):
        look = self.http.get(_URL, exc=requests.ReadTimeout())
        self._may_pass()
        self.assertEqual([(5, 10)], [each.timeout
                                     for each in look.request_history])

    def test_a_server_that_fails(self):
        self.http.get(_URL, status_code=503)
        self.http.post(_TOKENS, status_code=503)
        self._may_pass()

    def test_version_1(self):
        url = 'http://swift.test/auth/v1.0'
        login = self.http.get(url, [{'status_code': 401}, {
            'headers': {'X-Storage-Url': 'http://swift.test/v1/AUTH_u',
                        'X-Auth-Token': 't'}}])
        session = ksa_session.Session(
            auth=version_1.plugin(url, 'u', 'secret'), timeout=60)
        first_login.log_in(credentials.SessionCredentials(
            session, service_type='object-store', interface='public',
            region=None), url)
        self.assertNotIn('X-Auth-Key', login.request_history[0].headers)

    def test_url_of_which_nobody_knows(self):
        who = mock.Mock()
        first_login.log_in(who, None)
        self.assertEqual([mock.call.access()], who.method_calls)
