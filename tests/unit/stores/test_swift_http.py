# SPDX-License-Identifier: Apache-2.0

"""The Swift store against a real HTTP server that misbehaves.

Scripted answers cannot break a connection in the middle of a body, nor mix
up two answers on one connection. This server can.
"""

import functools
import gc
import hashlib
import importlib
import random
import socket
import struct
import threading
import time
from unittest import mock
import weakref

from oslotest import base
from swiftclient import client
import urllib3

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.stores import bandwidth
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import connections
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport
from tests.fakes import blobs

# "from http import server" may find eventlet's: importing Cinder leaves its
# green copy as an attribute of the package, and here are native threads.
server = importlib.import_module('http.server')
_DATA = bytes(range(256)) * 4000


class _Handler(server.BaseHTTPRequestHandler):
    """Serves objects; ``server.script`` says how many answers are cut."""

    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        """Say nothing."""

    def parse_request(self):
        """Reset a connection that the network has forgotten."""
        if self.client_address in self.server.forgotten:
            self.server.resets += 1
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack('ii', 1, 0))
            self.close_connection = True
            return False
        return super().parse_request()

    def do_GET(self):
        """Send the object, or only a part of it."""
        if self.path.endswith('/moved'):
            self._redirect()
            return
        if self.path.endswith('/silent'):
            self.server.asked.release()
            self.server.over.wait(60)
            self.close_connection = True
            return
        data = self.server.objects[self.path]
        cut = self.server.script.pop(0) if self.server.script else None
        self.server.connections.add(self.client_address)
        self.server.hosts.append(self.headers['Host'])
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if cut is not None:
            self.wfile.write(data[:cut])
            self.close_connection = True
            return
        try:
            self.wfile.write(data)
        except OSError:
            self.close_connection = True

    def do_DELETE(self):
        """Point to somewhere else."""
        self._redirect()

    def _redirect(self):
        self.server.connections.add(self.client_address)
        self.send_response(302)
        self.send_header('Location', self.path.replace('/moved', '/small'))
        self.send_header('Content-Length', '0')
        self.end_headers()

    def do_PUT(self):
        """Take an object and tell its MD5."""
        length = int(self.headers['Content-Length'])
        data = self.rfile.read(length)
        self.server.objects[self.path] = data
        self.server.connections.add(self.client_address)
        self.send_response(201)
        self.send_header('ETag', hashlib.md5(
            data, usedforsecurity=False).hexdigest())
        self.send_header('Content-Length', '0')
        self.end_headers()


class SwiftHttpTest(base.BaseTestCase):
    """Over a real socket."""

    def setUp(self):
        super().setUp()
        self.server = server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
        self.server.daemon_threads = True
        self.server.objects = {}
        self.server.script = []
        self.server.connections = set()
        self.server.hosts = []
        self.server.forgotten = set()
        self.server.resets = 0
        self.server.asked = threading.Semaphore(0)
        self.server.over = threading.Event()
        self.addCleanup(self.server.over.set)
        thread = threading.Thread(target=self.server.serve_forever,
                                  kwargs={'poll_interval': 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        url = f'http://127.0.0.1:{self.server.server_address[1]}/v1/AUTH_p'
        self.url = url
        self.store = self._make_store(retries=2, backoff=0)
        self.server.objects['/v1/AUTH_p/c/o'] = _DATA
        self.server.objects['/v1/AUTH_p/c/small'] = b'small'

    def _make_store(self, **options):
        store = swift.SwiftStore(swift_session.Session(
            credentials.UserCredentials(self.url, 't'),
            transport.Transport(**options)))
        self.addCleanup(store.close)
        return store

    def _get(self, container, name):
        return blobs.get(self.store, container, name)

    def test_get(self):
        self.assertEqual(_DATA, self._get('c', 'o'))

    def test_nothing_is_left_to_the_collector(self):
        made = []
        real = client.HTTPConnection

        def make(*args, **options):
            http = real(*args, **options)
            made.extend((weakref.ref(http), weakref.ref(http.request_session)))
            return http

        store = self._make_store()
        with mock.patch.object(client, 'HTTPConnection', make):
            self.assertEqual(_DATA, blobs.get(store, 'c', 'o'))
        gc.disable()
        self.addCleanup(gc.enable)
        store.close()
        self.assertEqual([None, None], [each() for each in made])

    def test_speed_is_limited_in_both_directions(self):
        limits = bandwidth.Bandwidth(1 << 30)
        store = self._make_store(bandwidth=limits)
        waits = []
        for limit, rate in ((limits.up, 3 << 20), (limits.down, 5 << 20)):
            limit.rate = rate
            self.enterContext(mock.patch.object(
                limit, 'wait', functools.partial(
                    lambda where, count, stop: waits.append((where, count)),
                    limit)))
        data = random.randbytes(1 << 20)
        blobs.put(store, 'c', 'p', data)
        self.assertEqual(data, blobs.get(store, 'c', 'p'))
        for limit, piece in ((limits.up, (3 << 20) // 16),
                             (limits.down, (5 << 20) // 16)):
            counts = [count for where, count in waits if where is limit]
            self.assertEqual(1 << 20, sum(counts))
            self.assertEqual(piece, max(counts))

    def test_body_that_breaks_off_is_asked_for_again(self):
        for cut in (0, 1, len(_DATA) // 2, len(_DATA) - 1):
            self.server.script[:] = [cut, cut]
            self.assertEqual(_DATA, self._get('c', 'o'))

    def test_body_that_always_breaks_off(self):
        self.server.script[:] = [1000] * 3
        err = self.assertRaises(exceptions.StoreUnavailable,
                                self._get, 'c', 'o')
        self.assertIn('o', str(err))
        self.assertEqual([], self.server.script)

    def test_connection_is_kept(self):
        for _ in range(3):
            self._get('c', 'small')
            blobs.put(self.store, 'c', 'p', b'data')
        self.assertEqual(1, len(self.server.connections))

    def test_connection_to_where_the_account_was_is_not_used(self):
        port = self.server.server_address[1]
        access = credentials.Access(f'http://127.0.0.1:{port}/v1/AUTH_p', 't')
        moved = credentials.Access(f'http://localhost:{port}/v1/AUTH_p', 't')
        current = mock.Mock()
        current.access.side_effect = (access, moved)
        store = swift.SwiftStore(swift_session.Session(
            current, transport.Transport(retries=0)))
        self.addCleanup(store.close)
        for _ in range(2):
            self.assertEqual(b'small', blobs.get(store, 'c', 'small'))
        self.assertEqual([f'127.0.0.1:{port}', f'localhost:{port}'],
                         self.server.hosts)

    def test_rest_of_a_body_that_was_left_is_no_answer(self):
        self.assertEqual(_DATA[:10], self.store.read(
            'c', 'o', lambda pieces: next(pieces)[:10]))
        self.assertEqual(b'small', self._get('c', 'small'))

    def test_body_in_pieces(self):
        pieces = [_DATA[:10], _DATA[10:300000], b'', _DATA[300000:]]
        self.store.put('c', 'p', store_base.Body(
            len(_DATA), lambda: iter(pieces)))
        self.assertEqual(_DATA, self.server.objects['/v1/AUTH_p/c/p'])

    def test_nobody_there(self):
        port = self.server.server_address[1]
        self.server.shutdown()
        self.server.server_close()
        err = self.assertRaises(exceptions.StoreUnavailable,
                                self._get, 'c', 'o')
        self.assertIn(f'127.0.0.1:{port}', str(err))

    def test_redirects_are_not_followed(self):
        # The token would go along, and a DELETE would become a GET.
        self.store = self._make_store(retries=0)
        for request in (lambda: self._get('c', 'moved'),
                        lambda: self.store.delete('c', 'moved')):
            err = self.assertRaises(exceptions.StoreUnavailable, request)
            self.assertIn('redirect', str(err))

    def test_silence_ends_when_nobody_waits(self):
        stop = pipelines.StopFlag()
        store = self._make_store(patience=300)
        errors = []
        threads = [threading.Thread(target=lambda: errors.append(
            self.assertRaises(exceptions.Cancelled, blobs.get,
                              store.until(stop), 'c', 'silent')))
            for _ in range(3)]
        for thread in threads:
            thread.start()
            self.assertTrue(self.server.asked.acquire(timeout=60))
        begin = time.monotonic()
        stop.set()
        for thread in threads:
            thread.join()
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(3, len(errors))
        # That was no failure of Swift's, so it is not spared either.
        self.server.script[:] = [10]
        self.assertEqual(_DATA, blobs.get(store, 'c', 'o'))

    def test_silence_ends_when_nobody_waits_for_the_connection(self):
        stop = pipelines.StopFlag()
        connect = urllib3.util.connection.create_connection

        def stopped(*arguments, **options):
            made = connect(*arguments, **options)
            # Nobody can see it yet.
            stop.set()
            return made

        begin = time.monotonic()
        with mock.patch.object(urllib3.util.connection, 'create_connection',
                               stopped):
            self.assertRaises(
                exceptions.Cancelled, blobs.get,
                self._make_store(patience=300).until(stop), 'c', 'silent')
        self.assertLess(time.monotonic() - begin, 30)

    def _used_at_once(self, number):
        """Have so many connections, all idle; returns their addresses."""
        self.server.connections.clear()
        meeting = threading.Barrier(number, timeout=60)
        threads = [threading.Thread(target=self.store.read, args=(
            'c', 'small', lambda pieces: (meeting.wait(), list(pieces))))
            for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(number, len(self.server.connections))
        return set(self.server.connections)

    def test_connections_that_the_network_forgot(self):
        self.server.forgotten = self._used_at_once(8)
        # At once, though there would be a day to wait otherwise.
        self.store = self._make_store(retries=0, backoff=86400)
        self.server.forgotten |= self._used_at_once(8)
        self.assertEqual(b'small', self._get('c', 'small'))
        self.assertEqual(1, self.server.resets)
        self.server.forgotten |= self._used_at_once(3)
        blobs.put(self.store, 'c', 'p', b'data')
        self.assertEqual(b'data', self.server.objects['/v1/AUTH_p/c/p'])

    def test_connections_that_are_idle_for_long(self):
        before = self._used_at_once(3)
        with mock.patch.object(connections, 'LONGEST_IDLE', 0):
            self._get('c', 'small')
        self.assertEqual(4, len(self.server.connections | before))

    def test_use_begins_again_when_the_body_breaks_off(self):
        self.server.script[:] = [3 << 18, 10]
        seen = []

        def use(pieces):
            seen.append([])
            for piece in pieces:
                seen[-1].append(piece)
            return b''.join(seen[-1])

        self.assertEqual(_DATA, self.store.read('c', 'o', use))
        self.assertEqual(3, len(seen))
        self.assertEqual(_DATA, b''.join(seen[-1]))

    def test_connection_is_not_kept_after_any_error(self):
        class Unforeseen(BaseException):
            pass

        def use(pieces):
            next(pieces)
            raise Unforeseen

        self._get('c', 'small')
        self.assertRaises(Unforeseen, self.store.read, 'c', 'o', use)
        self.assertEqual(b'small', self._get('c', 'small'))
        self.assertEqual(2, len(self.server.connections))
