# SPDX-License-Identifier: Apache-2.0

"""A user and a key as they arrive at a server."""

import importlib
import logging
import threading

import fixtures
from keystoneauth1 import session as ksa_session
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import version_1

# See test_swift_http.
server = importlib.import_module('http.server')
_SECRET = 'very-secret'


class _Handler(server.BaseHTTPRequestHandler):
    """Lets everybody in, and keeps what came."""

    def log_message(self, *args):
        """Say nothing."""

    def do_GET(self):
        """Give a token."""
        self.server.seen.append(tuple(
            # The library makes text of them byte by byte.
            self.headers[name].encode('latin-1')
            for name in ('X-Auth-User', 'X-Auth-Key')))
        self.send_response(200)
        self.send_header('X-Storage-Url', 'http://swift.test/v1/AUTH_x')
        self.send_header('X-Auth-Token', 'token')
        self.end_headers()


class LoginTest(base.BaseTestCase):
    """Over a real socket, for the libraries below differ by release."""

    def setUp(self):
        super().setUp()
        self.server = server.HTTPServer(('127.0.0.1', 0), _Handler)
        self.server.seen = []
        thread = threading.Thread(target=self.server.serve_forever,
                                  kwargs={'poll_interval': 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def _sent(self, user, key):
        url = f'http://127.0.0.1:{self.server.server_address[1]}/auth/v1.0'
        session = ksa_session.Session(auth=version_1.plugin(url, user, key))
        self.assertEqual('token', session.get_token())
        session.session.close()
        return self.server.seen.pop()

    def test_what_arrives(self):
        for text in ('key', 'a key', 'a:b=c%20"d', 'schl\u00fcssel',
                     '\u043f\u0430\u0440\u043e\u043b\u044c', '\u65e5\u672c',
                     # Their last bytes alone are spaces.
                     '\u00c5', '\u00e0', '\u00e0 \u00c5x', '\U0001f511', ''):
            sent = text.encode()
            self.assertEqual((sent, sent), self._sent(text, text), text)

    def test_bytes_that_are_no_utf_8(self):
        # As Python gives those of the environment.
        text = b'schl\xfcssel'.decode('utf-8', 'surrogateescape')
        self.assertEqual((b'user', b'schl\xfcssel'),
                         self._sent('user', text))

    def test_what_no_header_can_have(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        for text in (f' {_SECRET}', f'\t{_SECRET}', f'{_SECRET}\nx',
                     f'{_SECRET}\r', f'{_SECRET}\n',
                     f'{_SECRET}\0', f'{_SECRET}\ud800'):
            for what, login in (('user', (text, 'key')),
                                ('key', ('user', text))):
                err = self.assertRaises(exceptions.ConfigurationError,
                                        version_1.plugin, 'http://h', *login)
                self.assertIn(f'the {what} of the login', str(err))
                self.assertNotIn(_SECRET, str(err))
                self.assertIsNone(err.__cause__)
                self.assertTrue(err.__suppress_context__
                                or err.__context__ is None)
        self.assertNotIn(_SECRET, log.output)
