# SPDX-License-Identifier: Apache-2.0

"""Why a request got no answer, by the errors that real sockets raise."""

import contextlib
import errno
import functools
import http.client
import os
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import threading

import fixtures
from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import session as ksa_session
from oslotest import base
import requests
from swiftclient import client
import urllib3

from cinder_swift_backup.stores import network_errors

_LOOPBACK = '127.0.0.1'
_PATIENCE = 60
# Of an answer of nine bytes.
_BEGINNING = b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx'


def _reset(connection):
    """Close a connection so that the peer gets an RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack('ii', 1, 0))
    connection.close()


class ReasonTestCase(base.BaseTestCase):
    """A test with a server that does one thing to a connection."""

    def serve(self, act):
        """Call ``act`` for the first connection; returns the port."""
        listener = socket.create_server((_LOOPBACK, 0))
        self.addCleanup(listener.close)

        def run():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    act(connection)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, _PATIENCE)
        # It may be waiting for a connection that never comes.
        self.addCleanup(listener.shutdown, socket.SHUT_RDWR)
        return listener.getsockname()[1]

    def answer(self, text):
        """A port whose server answers like this and closes."""
        def act(connection):
            connection.recv(1 << 16)
            connection.sendall(text)
        return self.serve(act)

    def unused_port(self):
        """A port that is taken, and that nobody listens at."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind((_LOOPBACK, 0))
        return taken.getsockname()[1]

    def silence(self):
        """A server that takes a connection and says nothing."""
        listener = socket.create_server((_LOOPBACK, 0))
        self.addCleanup(listener.close)
        return listener.getsockname()[1]

    def reason(self, call, *arguments, **options):
        """The reason of the exception that a call raises."""
        err = None
        try:
            call(*arguments, **options)
        except Exception as caught:
            err = caught
        self.assertIsNotNone(err, call)
        found = network_errors.reason(err)
        self.assertLessEqual(len(found), 100)
        self.assertNotIn('0x', found)
        return found


class RequestTest(ReasonTestCase):
    """What HTTP clients raise, each of the three that we use."""

    def test_refused(self):
        port = self.unused_port()
        url = f'http://{_LOOPBACK}:{port}/v1/AUTH_x'
        pool = urllib3.HTTPConnectionPool(_LOOPBACK, port, retries=False)
        for call, arguments in (
                (requests.get, (url,)),
                (client.head_account, (url, 'token')),
                (pool.request, ('GET', '/')),
                (urllib3.PoolManager(retries=1).request, ('GET', url)),
                (ksa_session.Session().get, (url,)),
                (socket.create_connection, ((_LOOPBACK, port),))):
            self.assertEqual('connection refused',
                             self.reason(call, *arguments), call)

    def test_reset(self):
        def act(connection):
            connection.recv(1 << 16)
            _reset(connection)
        for call in (requests.get, ksa_session.Session().get):
            url = f'http://{_LOOPBACK}:{self.serve(act)}/'
            self.assertEqual('connection reset', self.reason(call, url))

    def test_reset_in_the_body(self):
        arrived = threading.Event()

        def act(connection):
            connection.recv(1 << 16)
            connection.sendall(_BEGINNING)
            arrived.wait(_PATIENCE)
            _reset(connection)
        answer = requests.get(f'http://{_LOOPBACK}:{self.serve(act)}/',
                              stream=True)
        self.addCleanup(answer.close)
        arrived.set()
        self.assertEqual('connection reset', self.reason(answer.raw.read))

    def test_closed_without_an_answer(self):
        self.assertEqual(
            'connection closed without an answer',
            self.reason(requests.get,
                        f'http://{_LOOPBACK}:{self.answer(b"")}/'))

    def test_short_body(self):
        if not urllib3.__version__.startswith('1.'):
            # Which leaves it to its caller to notice.
            port = self.answer(_BEGINNING)
            self.assertEqual('the answer was cut short', self.reason(
                requests.get, f'http://{_LOOPBACK}:{port}/'))
        port = self.answer(_BEGINNING)
        connection = http.client.HTTPConnection(_LOOPBACK, port)
        self.addCleanup(connection.close)
        connection.request('GET', '/')
        self.assertEqual('the answer was cut short',
                         self.reason(connection.getresponse().read))

    def test_no_http(self):
        port = self.answer(b'SSH-2.0-OpenSSH_9.6\r\n')
        self.assertEqual('the answer is not HTTP', self.reason(
            requests.get, f'http://{_LOOPBACK}:{port}/'))

    def test_silence(self):
        url = f'http://{_LOOPBACK}:{self.silence()}/'
        session = ksa_session.Session(timeout=0.2)
        for call, options in ((requests.get, {'timeout': 0.2}),
                              (session.get, {})):
            self.assertEqual('no answer for 0.2 s',
                             self.reason(call, url, **options))

    def test_silence_in_the_body(self):
        def act(connection):
            connection.recv(1 << 16)
            connection.sendall(_BEGINNING)
            connection.recv(1)
        answer = requests.get(f'http://{_LOOPBACK}:{self.serve(act)}/',
                              stream=True, timeout=0.2)
        self.addCleanup(answer.close)
        self.assertEqual('no answer in time', self.reason(answer.raw.read))

    def test_silence_of_a_socket(self):
        with socket.create_connection((_LOOPBACK, self.silence())) as taken:
            taken.settimeout(0.01)
            self.assertEqual('no answer in time', self.reason(taken.recv, 1))

    def test_time_to_connect(self):
        err = urllib3.exceptions.ConnectTimeoutError(
            None, 'Connection to x timed out. (connect timeout=75)')
        for each in (err, requests.ConnectTimeout(
                urllib3.exceptions.MaxRetryError(None, '/', err))):
            self.assertEqual('no answer for 75 s',
                             network_errors.reason(each))

    def test_unknown_name(self):
        # The real thing, but that no server of names is asked.
        self.useFixture(fixtures.MonkeyPatch(
            'socket.getaddrinfo', functools.partial(
                socket.getaddrinfo, flags=socket.AI_NUMERICHOST)))
        url = 'http://swift.example.com/'
        for call, arguments in (
                (requests.get, (url,)),
                (client.head_account, (url, 'token')),
                (ksa_session.Session().get, (url,)),
                (socket.create_connection, (('swift.example.com', 80),))):
            self.assertEqual('name or service not known',
                             self.reason(call, *arguments), call)

    def test_no_certificates(self):
        self.assertRegex(
            self.reason(requests.get, f'https://{_LOOPBACK}/',
                        verify='/nonexistent/ca'),
            'invalid path: /nonexistent/ca$')

    def test_no_address(self):
        self.assertEqual('the URL is not valid',
                         self.reason(requests.get, 'http://:80/'))

    def test_numbers(self):
        for number, text in (
                (errno.EHOSTUNREACH, 'no route to host'),
                (errno.ENETUNREACH, 'network is unreachable'),
                (errno.EMFILE, 'too many open files')):
            err = OSError(number, os.strerror(number))
            for each in (err, requests.ConnectionError(
                    urllib3.exceptions.MaxRetryError(
                        None, '/', urllib3.exceptions.NewConnectionError(
                            None, 'Failed')))):
                each.__context__ = None if each is err else err
                self.assertEqual(text, network_errors.reason(each))
        self.assertEqual(
            'no such file or directory: /nonexistent',
            self.reason(open, '/nonexistent'))

    def test_broken_pipe(self):
        ours, theirs = socket.socketpair()
        with ours:
            theirs.close()
            self.assertEqual('connection broken off',
                             self.reason(ours.sendall, b'x'))

    def test_others(self):
        for err, text in (
                (ksa_exceptions.InternalServerError('It failed.'),
                 'It failed. (HTTP 500)'),
                (ValueError(), 'ValueError'),
                (ValueError('x' * 101), 'x' * 97 + '...'),
                (ValueError('two\n  lines.'), 'two lines'),
                (OSError('<a.B object at 0x7f01>: no luck'), 'no luck')):
            self.assertEqual(text, network_errors.reason(err))

    def test_circles_end(self):
        one, other = ValueError('one'), ValueError('other')
        one.__context__, other.__context__ = other, one
        self.assertEqual('one', network_errors.reason(one))

    def test_suppressed_context_does_not_count(self):
        def fail():
            try:
                raise ConnectionRefusedError
            except OSError:
                raise ValueError('something else') from None
        self.assertEqual('something else', self.reason(fail))


class TlsTest(ReasonTestCase):
    """What is raised about certificates and TLS."""

    def setUp(self):
        super().setUp()
        if shutil.which('openssl') is None:
            self.skipTest('openssl is needed: apt-get install openssl')
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.key, self.certificate = (
            directory / name for name in ('key.pem', 'certificate.pem'))
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
             'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
             '-subj', '/CN=swift.example.com', '-addext',
             'subjectAltName=DNS:swift.example.com', '-keyout', self.key,
             '-out', self.certificate], check=True, capture_output=True)

    def _url(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)

        def act(connection):
            with context.wrap_socket(connection, server_side=True):
                pass
        return f'https://{_LOOPBACK}:{self.serve(act)}/'

    def test_certificates(self):
        for verify, why in ((True, 'self-signed certificate'),
                            (str(self.certificate),
                             "(mismatch|doesn't match)")):
            for call in (requests.get, ksa_session.Session().get):
                found = self.reason(call, self._url(), verify=verify)
                self.assertRegex(
                    found, rf'^the certificate cannot be verified \(.*{why}')

    def test_distrust(self):
        directory = self.key.parent
        for name in ('empty', 'broken'):
            (directory / name).write_text('' if name == 'empty' else (
                '-----BEGIN CERTIFICATE-----\nMIIB\n'
                '-----END CERTIFICATE-----\n'))
        for verify in (True, str(self.certificate),
                       *(str(directory / name)
                         for name in ('missing', 'empty', 'broken'))):
            for call in (requests.get, ksa_session.Session().get):
                err = self.assertRaises(
                    (OSError, ksa_exceptions.ClientException),
                    call, self._url(), verify=verify, timeout=_PATIENCE)
                self.assertTrue(network_errors.is_distrust(err), verify)
                self.assertIn('certificate', network_errors.reason(err))

    def test_other_failures_are_no_distrust(self):
        port = self.answer(b'')
        for err in (
                self.assertRaises(requests.exceptions.SSLError, requests.get,
                                  f'https://{_LOOPBACK}:{port}/',
                                  timeout=_PATIENCE),
                ConnectionResetError(104, 'reset'), TimeoutError(),
                OSError('cannot read from timed out object')):
            self.assertFalse(network_errors.is_distrust(err), err)

    def test_no_tls(self):
        port = self.answer(b'HTTP/1.1 400 Bad Request\r\n\r\n')
        found = self.reason(requests.get, f'https://{_LOOPBACK}:{port}/')
        self.assertEqual('TLS failed: wrong version number', found)

    def test_closed_meanwhile(self):
        port = self.answer(b'')
        self.assertEqual(
            'connection closed during TLS',
            self.reason(requests.get, f'https://{_LOOPBACK}:{port}/'))
