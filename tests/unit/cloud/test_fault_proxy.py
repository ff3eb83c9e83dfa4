# SPDX-License-Identifier: Apache-2.0

"""The fault proxy, before a web server that always works."""

from concurrent import futures
import contextlib
import hashlib
import http.client
import importlib
import json
import threading
import time

from oslotest import base

from tests.cloud.fault_proxy import exchange
from tests.cloud.fault_proxy import proxy
from tests.cloud.fault_proxy import rules
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Moment
from tests.cloud.fault_proxy.rules import rule

# "from http import server" may find eventlet's, see test_swift_http.
server = importlib.import_module('http.server')
_DATA = bytes(range(256)) * 1200
_LISTING = json.dumps([{'name': f'o{n}'} for n in range(5)]).encode()
_PREFIX = '/v1/AUTH_p/c/volume_1/20260101000000/az_nova_backup_2'
_CHUNK = f'{_PREFIX}-00000'
_MANIFEST = f'{_PREFIX}_metadata'
_GONE = (ConnectionError, http.client.RemoteDisconnected)
# Connections at once, and how often.
_MANY, _ROUNDS = 14, 10
# Generous: what takes longer is not slow, it hangs.
_LONG = 30


class _Handler(server.BaseHTTPRequestHandler):
    """Takes and gives objects; a listing gets shorter by one each time."""

    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        """Say nothing."""

    def do_GET(self):
        """Send an object, or the listing of a container."""
        self._answer(self.server.objects.get(self.path, _LISTING))

    def do_HEAD(self):
        """The same without its body."""
        self._answer(self.server.objects.get(self.path, b''), b'')

    def do_PUT(self):
        """Take an object."""
        data = self.rfile.read(int(self.headers['Content-Length']))
        if len(data) == int(self.headers['Content-Length']):
            self.server.objects[self.path] = data
            self._answer(b'')

    def _answer(self, data, body=None):
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.send_header('X-Storage-Token', 'answer')
        self.end_headers()
        self.wfile.write(data if body is None else body)


class _Server(server.ThreadingHTTPServer):
    """A server that does not complain of broken connections."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing."""


class FaultProxyTest(base.BaseTestCase):
    """Each action, as a client sees it."""

    def setUp(self):
        super().setUp()
        self.server = _Server(('127.0.0.1', 0), _Handler)
        self.server.objects = {_CHUNK: _DATA, _MANIFEST: b'{"tier": "gold"}'}
        thread = threading.Thread(target=self.server.serve_forever,
                                  kwargs={'poll_interval': 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.proxy = proxy.FaultProxy(
            f'http://127.0.0.1:{self.server.server_address[1]}')
        self.addCleanup(self.proxy.stop)
        self.proxy.start()
        self.client = self.connect()

    def connect(self):
        """Another connection."""
        client = http.client.HTTPConnection(
            self.proxy.url.rpartition('/')[2], timeout=_LONG)
        self.addCleanup(client.close)
        return client

    def send(self, method='GET', path=_CHUNK, body=None, client=None):
        """Send a request; returns the status and the body."""
        client = client or self.client
        client.request(method, path, body)
        answer = client.getresponse()
        return answer.status, answer.read()

    def assert_gone(self, *request, client=None):
        """The request has no answer."""
        client = client or self.client
        self.assertRaises(_GONE, self.send, *request, client=client)
        client.close()

    def assert_refused(self):
        """Nobody listens."""
        self.assertRaises(ConnectionRefusedError, self.connect().connect)

    def stored(self):
        """The MD5 of what the server has."""
        return hashlib.md5(self.server.objects[_CHUNK],
                           usedforsecurity=False).hexdigest()

    def test_nothing(self):
        self.proxy.apply()
        for data in (b'', b'short', _DATA[::-1]):
            self.assertEqual((200, b''), self.send('PUT', body=data))
            self.assertEqual((200, data), self.send())
            self.assertEqual((200, b''), self.send('HEAD'))
        self.assertEqual(
            [('PUT', _CHUNK, Kind.CHUNK, '200'),
             ('GET', _CHUNK, Kind.CHUNK, '200'),
             ('HEAD', _CHUNK, Kind.CHUNK, '200')] * 3,
            [(each.method, each.target, each.kind, each.result)
             for each in self.proxy.requests()])
        self.assertEqual(1, len(self.proxy.connections()))

    def test_secrets_are_told(self):
        self.proxy.apply()
        self.client.request('GET', _CHUNK, headers={
            'X-Auth-Token': 'token', 'X-Service-Token': 'service'})
        self.client.getresponse().read()
        request, = self.proxy.requests()
        self.assertEqual({'x-auth-token': 'token', 'x-service-token':
                          'service', 'x-storage-token': 'answer'},
                         request.secrets)

    def test_which_requests(self):
        self.proxy.apply(
            rule(rules.Answer(503), 'GET HEAD', Kind.CHUNK, first=2, count=2),
            rule(rules.Pass(), 'DELETE'))
        self.assertEqual((200, b''), self.send('PUT', body=b'x'))
        found = [self.send(method)[0]
                 for method in ('GET', 'HEAD', 'GET', 'HEAD', 'GET')]
        self.assertEqual([200, 503, 503, 200, 200], found)
        self.assertEqual(200, self.send(path=_MANIFEST)[0])
        self.assertEqual([2, 0], self.proxy.hits())

    def test_every_third_request(self):
        self.proxy.apply(rule(rules.Answer(503), first=2, count=2, every=3))
        found = [self.send()[0] for _ in range(9)]
        self.assertEqual(
            [200, 503, 200, 200, 503, 200, 200, 200, 200], found)

    def test_answer_with_headers(self):
        self.proxy.apply(rule(rules.Answer(498, {'Retry-After': '7'})))
        self.client.request('PUT', _CHUNK, b'new')
        answer = self.client.getresponse()
        answer.read()
        self.assertEqual((498, '7'),
                         (answer.status, answer.headers['Retry-After']))
        self.assertEqual(_DATA, self.server.objects[_CHUNK])
        self.assertEqual((200, _DATA), self.send())
        (first, _) = self.proxy.requests()
        self.assertEqual((0, True, '498 by the proxy'),
                         (first.rule, first.hit, first.result))

    def test_early_answer(self):
        self.proxy.apply(rule(rules.Answer(503, early=True)))
        self.client.putrequest('PUT', _CHUNK)
        self.client.putheader('Content-Length', str(len(_DATA)))
        self.client.endheaders()
        answer = self.client.getresponse()
        self.assertEqual((503, 'close'),
                         (answer.status, answer.headers['Connection']))

    def test_reset_of_a_put(self):
        before = self.stored()
        for moment in (Moment.BEFORE, Moment.IN_BODY, Moment.AFTER_BODY):
            self.proxy.apply(rule(rules.Reset(moment)))
            self.assert_gone('PUT', _CHUNK, _DATA[::-1])
            self.assertEqual([1], self.proxy.hits())
        # Another connection, so what came before is over.
        self.assertEqual(200, self.send('HEAD')[0])
        self.assertEqual(before, self.stored())

    def test_lost_answer(self):
        self.proxy.apply(rule(rules.Reset(Moment.ANSWERED)))
        self.assert_gone('PUT', _CHUNK, b'new')
        self.assertEqual(b'new', self.server.objects[_CHUNK])
        self.assertEqual([1], self.proxy.hits())

    def test_reset_of_a_get(self):
        for moment in (Moment.BEFORE, Moment.AFTER_BODY, Moment.ANSWERED):
            self.proxy.apply(rule(rules.Reset(moment)))
            self.assert_gone()
            self.assertEqual([1], self.proxy.hits())
        self.proxy.apply(rule(rules.Reset(Moment.IN_ANSWER)))
        self.assertRaises((*_GONE, http.client.IncompleteRead), self.send)

    def test_truncated(self):
        self.proxy.apply(rule(rules.Close()))
        error = self.assertRaises(http.client.IncompleteRead, self.send)
        self.assertEqual(_DATA[:len(_DATA) // 2], error.partial)

    def test_shortened(self):
        self.proxy.apply(rule(rules.Shorten()))
        self.assertEqual((200, _DATA[:len(_DATA) // 2]), self.send())
        # The connection is as good as before.
        self.assertEqual((200, _DATA), self.send())
        self.assertEqual(1, len(self.proxy.connections()))

    def test_flipped(self):
        self.proxy.apply(rule(rules.Flip(), 'GET'), rule(rules.Flip(), 'PUT'))
        expected = bytearray(_DATA)
        expected[len(_DATA) // 2] ^= 1
        self.assertEqual((200, bytes(expected)), self.send())
        self.assertEqual((200, _DATA), self.send())
        self.send('PUT', body=_DATA)
        self.assertEqual(expected, self.server.objects[_CHUNK])
        self.assertEqual([1, 1], self.proxy.hits())

    def test_flipped_at_a_text(self):
        self.proxy.apply(rule(rules.Flip('gold'), count=2))
        self.assertEqual((200, _DATA), self.send())
        self.assertEqual((200, b'{"tier": "gole"}'),
                         self.send(path=_MANIFEST))
        # The text was not in the first.
        self.assertEqual([1], self.proxy.hits())

    def test_listings(self):
        for extent, expected in ((rules.Extent.NOTHING, []),
                                 (rules.Extent.HALF, ['o1', 'o3'])):
            self.proxy.apply(rule(rules.List(extent), 'GET', Kind.LISTING))
            _, body = self.send(path='/v1/AUTH_p/c?prefix=o')
            self.assertEqual(expected,
                             [each['name'] for each in json.loads(body)])
        self.assertEqual((200, _LISTING), self.send(path='/v1/AUTH_p/c'))

    def test_old_listing(self):
        path = '/v1/AUTH_p/c?prefix=o'
        self.send(path=path)
        self.server.objects[path] = b'[]'
        self.proxy.apply(rule(rules.List(rules.Extent.OLD)))
        self.assertEqual((200, _LISTING), self.send(path=path))
        self.assertEqual((200, b'[]'), self.send(path=path))

    def test_stall(self):
        self.proxy.apply(rule(rules.Stall(0.5, Moment.ANSWERED)))
        begin = time.monotonic()
        self.assert_gone()
        self.assertLessEqual(0.5, time.monotonic() - begin)

    def test_stall_ends_when_the_client_goes(self):
        for moment in Moment:
            self.proxy.apply(rule(rules.Stall(10 * _LONG, moment)))
            method = 'PUT' if moment == Moment.IN_BODY else 'GET'
            client = self.connect()
            client.request(method, _CHUNK,
                           _DATA if method == 'PUT' else None)
            self.wait_until(lambda: self.proxy.hits() == [1])
            self.assertEqual(1, len(self.proxy.connections()))
            client.close()
            self.wait_until(lambda: not self.proxy.connections())

    def wait_until(self, holds):
        """Wait, but not for ever."""
        end = time.monotonic() + _LONG
        while not holds():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_slow(self):
        self.proxy.apply(rule(rules.Slow(len(_DATA) * 2)))
        begin = time.monotonic()
        self.assertEqual((200, _DATA), self.send())
        self.assertLessEqual(0.5, time.monotonic() - begin)

    def test_refusing(self):
        other = self.connect()
        self.send(client=other)
        self.proxy.apply(rule(rules.Refuse(3), first=2))
        self.send()
        self.assert_gone()
        self.assert_gone(client=other)
        self.assert_refused()
        self.wait_until(self._is_there)
        self.assertEqual((200, _DATA), self.send())

    def test_refusing_many_that_come_at_once(self):
        def send(number):
            with contextlib.suppress(*_GONE):
                self.send(client=clients[number])
                return True
            return False

        for _ in range(_ROUNDS):
            self.proxy.accept()
            self.proxy.apply(rule(rules.Refuse(3600), first=3))
            clients = [self.connect() for _ in range(_MANY)]
            with futures.ThreadPoolExecutor(_MANY) as executor:
                self.assertGreaterEqual(
                    2, sum(executor.map(send, range(_MANY))))
            for client in clients:
                client.close()

    def _is_there(self):
        try:
            self.connect().connect()
        except ConnectionRefusedError:
            return False
        return True

    def test_refusing_until_told(self):
        self.proxy.refuse()
        self.assert_refused()
        self.proxy.accept()
        self.assertEqual((200, _DATA), self.send())

    def test_forgotten_connections(self):
        self.send()
        self.proxy.forget()
        self.assert_gone()
        self.assertEqual('forgotten', self.proxy.requests()[-1].result)
        self.assertEqual((200, _DATA), self.send())

    def test_rule_to_forget_connections(self):
        other = self.connect()
        self.send(client=other)
        self.proxy.apply(rule(rules.Forget()))
        self.assertEqual((200, _DATA), self.send())
        for client in (self.client, other):
            self.assert_gone(client=client)
            self.assertEqual((200, _DATA), self.send(client=client))
        self.assertEqual([1], self.proxy.hits())

    def test_idle_connections(self):
        self.proxy.apply(rule(rules.Reset(), count=None, idle=1))
        self.send()
        self.send()
        time.sleep(1.2)
        self.assert_gone()
        self.assertEqual((200, _DATA), self.send())
        self.assertEqual([1], self.proxy.hits())

    def test_server_that_is_not_there(self):
        self.server.shutdown()
        self.server.server_close()
        self.assert_gone()
        self.assertEqual(['Swift refused'],
                         [each.result for each in self.proxy.requests()])


class RulesTest(base.BaseTestCase):
    """Rules, and what requests are about."""

    def test_text_and_back(self):
        found = [
            rule(rules.Answer(429, {'Retry-After': '1'}, early=True)),
            rule(rules.Stall(1.5, Moment.IN_BODY), 'GET PUT', *rules.OBJECTS,
                 first=2, count=None, every=2, idle=3),
            rule(rules.List(rules.Extent.OLD)), rule(rules.Forget())]
        self.assertEqual(found, rules.load(rules.dump(found)))

    def test_kinds(self):
        account = '/v1/AUTH_p'
        for kind, method, target in (
                (Kind.INFO, 'GET', '/info'),
                (Kind.ACCOUNT, 'HEAD', account),
                (Kind.ACCOUNT, 'GET', f'{account}?format=json'),
                (Kind.LISTING, 'GET', f'{account}/c?prefix=a/b'),
                (Kind.CONTAINER, 'HEAD', f'{account}/c'),
                (Kind.CONTAINER, 'PUT', f'{account}/c'),
                (Kind.CHUNK, 'PUT', f'{_PREFIX}-00032'),
                (Kind.DIGESTS, 'HEAD', f'{_PREFIX}_sha256file'),
                (Kind.DIGESTS, 'PUT',
                 f'{_PREFIX}_sha256file?multipart-manifest=put'),
                (Kind.SEGMENT, 'GET',
                 '/v1/AUTH_p/c_segments/volume_1_sha256file-000001'),
                (Kind.MANIFEST, 'GET', _MANIFEST),
                (Kind.OTHER, 'GET', f'{account}/c/something')):
            self.assertEqual(kind, rules.kind_of(method, target), target)

    def test_entry(self):
        entry = exchange.Entry('GET', '/info', Kind.INFO, 1)
        entry.mark(Moment.BEFORE)
        self.assertEqual((True, Moment.BEFORE), (entry.hit, entry.result))
