# SPDX-License-Identifier: Apache-2.0

"""The Swift store against scripted answers."""

import datetime
import functools
import gc
import logging
import ssl
import threading
from unittest import mock
import weakref

import fixtures
import requests
import requests_mock
from swiftclient import client

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import credentials
from tests.fakes import answers as fake_answers
from tests.fakes import blobs
from tests.fakes import clock as fake_clock
from tests.unit.stores import base

_ROOT = base.ROOT
_URL = base.URL
_md5 = base.md5
_TIME = base.TIME
_OBJECT = f'{_URL}/c/o'
_KEY = '8d0f-key of both containers'


def _header(request, name):
    """A header as text; swiftclient passes some as bytes."""
    value = request.headers[name]
    return value.decode() if isinstance(value, bytes) else value


def _drain(body):
    """All of a generated body."""
    # swiftclient's wrapper ends with an empty text, not with empty bytes.
    return b''.join(iter(lambda: body.read() or b'', b''))


class ClockTest(base.SwiftTestCase):
    """The time is that of Swift's answers."""

    def _dated(self, text, answer=fake_answers.ACCOUNT):
        return {**answer, 'headers': {**answer['headers'], 'Date': text}}

    def _assert_about(self, wanted, found):
        self.assertLess(abs(found - wanted), datetime.timedelta(minutes=5))

    def test_asked_for_once(self):
        server = self._answers('HEAD', _URL, self._dated(
            'Sat, 01 Aug 2026 12:00:00 GMT'))
        for _ in range(2):
            self._assert_about(_TIME, self.store.now())
        self.assertEqual(1, server.call_count)

    def test_that_of_the_latest_answer_and_what_has_passed(self):
        clock = self.useFixture(fake_clock.Clock())
        self._answers('HEAD', f'{_URL}/c', self._dated(
            'Sat, 01 Aug 2026 11:00:00 GMT', fake_answers.CONTAINER),
            self._dated('Sat, 01 Aug 2026 12:00:00 GMT',
                        fake_answers.CONTAINER))
        self.store.sync('c')
        self.store.sync('c')
        clock.now += 3600
        self._assert_about(_TIME + datetime.timedelta(hours=1),
                           self.store.now())

    def test_before_a_long_body(self):
        clock = self.useFixture(fake_clock.Clock())
        self._answers('GET', _OBJECT, self._content(
            b'x', Date='Sat, 01 Aug 2026 12:00:00 GMT'))

        def use(pieces):
            clock.now += 86400
            return b''.join(pieces)

        self.store.read('c', 'o', use)
        self._assert_about(_TIME + datetime.timedelta(days=1),
                           self.store.now())

    def test_somebody_elses(self):
        self._answers(
            'HEAD', _URL, self._dated('Sat, 01 Aug 2026 12:00:00 GMT'),
            self._dated('Sat, 01 Aug 2026 12:00:00 GMT'))
        self.store.now()
        self._answers('HEAD', f'{_URL}/c', self._dated(
            'Fri, 07 Aug 2026 12:00:00 GMT', fake_answers.PAGE))
        self.assertRaises(exceptions.StoreUnavailable, self.store.sync, 'c')
        self._assert_about(_TIME, self.store.now())

    def test_none(self):
        for text in (None, '', 'today', '-1', 'Sat, 32 Aug 2026'):
            self._answers('HEAD', _URL, fake_answers.ACCOUNT if text is None
                          else self._dated(text))
            self.assertIsNone(self.store.now(), text)


class RetryTest(base.SwiftTestCase):
    """The one place where a request is repeated."""

    def test_repeated_until_it_works(self):
        bodies = []
        statuses = iter((503, 500, None, 201))

        def answer(request, context):
            bodies.append(_drain(request.body))
            context.status_code = next(statuses)
            if context.status_code is None:
                raise requests.ConnectionError
            context.headers['etag'] = _md5(bodies[-1])
            return ''

        self.http.put(_OBJECT, text=answer)
        self._put(b'data')
        self.assertEqual([b'data'] * 4, bodies)

    def test_nothing_is_sent_when_nobody_waits(self):
        stop = pipelines.StopFlag()
        stop.set()
        server = self._answers('GET', _OBJECT, self._content(b'x'))
        self.assertRaises(exceptions.Cancelled, blobs.get,
                          self.store.until(stop), 'c', 'o')
        self.assertEqual(0, server.call_count)

    def test_body_ends_when_nobody_waits(self):
        stop = pipelines.StopFlag()

        def pieces():
            yield b'abc'
            stop.set()
            yield b'def'

        self.http.put(_OBJECT, text=lambda request, context: _drain(
            request.body).decode())
        self.assertRaises(exceptions.Cancelled, self.store.until(stop).put,
                          'c', 'o', store_base.Body(6, pieces))

    def test_back_off_ends_when_nobody_waits(self):
        stop = mock.Mock(interrupting=store_base.NEVER.interrupting)
        stop.wait.side_effect = exceptions.Cancelled('nobody waits')
        server = self._answers('GET', _OBJECT, {'status_code': 503},
                               self._content(b'x'))
        self.assertRaises(exceptions.Cancelled, blobs.get,
                          self.store.until(stop), 'c', 'o')
        self.assertEqual(1, server.call_count)
        self.assertEqual(1, stop.wait.call_count)
        self.sleep.assert_not_called()
        # The store itself goes on.
        self.assertEqual(b'x', self._get('c', 'o'))

    def test_given_up_after_as_many_retries_as_configured(self):
        for retries in (0, 1, 5):
            self.sleep.reset_mock()
            server = self._answers('GET', _OBJECT, {'status_code': 503})
            store = self._store(retries=retries)
            self.assertRaises(exceptions.StoreUnavailable,
                              blobs.get, store, 'c', 'o')
            self.assertEqual(retries + 1, server.call_count)
            self.assertEqual(retries, self.sleep.call_count)

    def test_waits_get_longer(self):
        self._answers('GET', _OBJECT, {'status_code': 503})
        self.assertRaises(exceptions.StoreUnavailable,
                          blobs.get, self._store(retries=8), 'c', 'o')
        waits = [call.args[0] for call in self.sleep.call_args_list]
        self.assertEqual(8, len(waits))
        for number, wait in enumerate(waits):
            least = min(2 * 2 ** number, 64)
            self.assertTrue(least <= wait <= min(least + 1, 64),
                            f'wait {number} is {wait}')

    def test_no_wait_at_all(self):
        self._answers('GET', _OBJECT, {'status_code': 503},
                      self._content(b'x'))
        self.assertEqual(b'x', blobs.get(self._store(backoff=0), 'c', 'o'))
        self.assertLessEqual(self.sleep.call_args.args[0], 0.1)

    def test_what_is_final_is_not_repeated(self):
        for status, kind in ((403, exceptions.AccessDenied),
                             (412, exceptions.StoreError),
                             (413, exceptions.QuotaExceeded)):
            server = self._answers('GET', _OBJECT, {'status_code': status})
            self.assertRaises(kind, self._get, 'c', 'o')
            self.assertEqual(1, server.call_count)

    def test_a_certificate_without_trust_is_final(self):
        store = self._store(patience=300)
        for error in (
                requests.exceptions.SSLError(
                    ssl.SSLCertVerificationError(1, 'self-signed')),
                OSError('Could not find a suitable TLS CA certificate '
                        'bundle, invalid path: /nowhere')):
            server = self._answers('GET', _OBJECT, {'exc': error})
            err = self.assertRaises(exceptions.ConfigurationError, blobs.get,
                                    store, 'c', 'o')
            self.assertEqual(1, server.call_count)
            self.assertIs(exceptions.Remedy.CERTIFICATE, err.remedy)
            self.assertIn('Swift at swift.test is not trusted', str(err))
            self.assertEqual(('c', 'o'), (err.container, err.name))

    def test_a_certificate_without_trust_is_told_when_asked_for_info(self):
        self._answers('GET', f'{_ROOT}/info', {
            'exc': requests.exceptions.SSLError(
                ssl.SSLCertVerificationError(1, 'self-signed'))})
        self.assertRaises(exceptions.ConfigurationError,
                          self.store.capabilities)

    def test_other_failures_of_tls_pass(self):
        self._answers('GET', _OBJECT, {'exc': requests.exceptions.SSLError(
            ssl.SSLEOFError(8, 'EOF'))}, self._content(b'x'))
        self.assertEqual(b'x', self._get('c', 'o'))

    def test_broken_connections(self):
        for error in (requests.ConnectionError, requests.Timeout,
                      requests.exceptions.ChunkedEncodingError,
                      ConnectionResetError):
            self._answers('GET', _OBJECT, {'exc': error},
                          self._content(b'x'))
            self.assertEqual(b'x', self._get('c', 'o'))

    def test_error_names_host_and_object(self):
        self._answers('GET', _OBJECT, {'exc': requests.ConnectionError})
        err = self.assertRaises(exceptions.StoreUnavailable,
                                self._get, 'c', 'o')
        self.assertIn('swift.test', str(err))
        self.assertEqual(('c', 'o'), (err.container, err.name))

    def test_stream_is_sent_again_from_its_start(self):
        begun = []

        def pieces():
            begun.append(True)
            yield b'abc'
            yield b'def'

        bodies = []

        def answer(request, context):
            bodies.append(_drain(request.body))
            context.status_code = 503 if len(bodies) == 1 else 201
            context.headers['etag'] = _md5(bodies[-1])
            return ''

        self.http.put(_OBJECT, text=answer)
        self.store.put('c', 'o', store_base.Body(6, pieces))
        self.assertEqual([b'abcdef'] * 2, bodies)
        self.assertEqual(2, len(begun))


class TokenTest(base.SwiftTestCase):
    """Refused tokens."""

    def _tokens(self, server):
        return [_header(request, 'X-Auth-Token')
                for request in server.request_history]

    def test_tokens_are_sent(self):
        server = self._answers('GET', _OBJECT, self._content(b'x'))
        self._get('c', 'o')
        self.assertEqual(['t1'], self._tokens(server))
        self.assertEqual(
            'service', _header(server.last_request, 'X-Service-Token'))

    def test_renewed_once_and_repeated_once(self):
        self.credentials = base.Credentials(renewals=9)
        server = self._answers('GET', _OBJECT, {'status_code': 401},
                               self._content(b'x'))
        self.assertEqual(b'x', blobs.get(self._store(), 'c', 'o'))
        self.assertEqual(['t1', 't2'], self._tokens(server))
        self.sleep.assert_not_called()

    def test_still_refused(self):
        self.credentials = base.Credentials(renewals=9)
        server = self._answers('GET', _OBJECT, {'status_code': 401})
        err = self.assertRaises(exceptions.AccessDenied,
                                blobs.get, self._store(), 'c', 'o')
        self.assertEqual(['t1', 't2'], self._tokens(server))
        self.assertIs(exceptions.Remedy.TOKEN, err.remedy)
        self.assertIn('401', str(err))
        self.assertIs(exceptions.AccessDenied, type(err))

    def test_cannot_be_renewed(self):
        server = self._answers('GET', _OBJECT, {'status_code': 401})
        err = self.assertRaises(exceptions.AccessDenied,
                                self._get, 'c', 'o')
        self.assertEqual(1, server.call_count)
        self.assertIs(exceptions.Remedy.TOKEN, err.remedy)
        self.assertEqual(1, self.credentials.renewed)

    def test_put_of_a_stream_is_repeated_whole(self):
        self.credentials = base.Credentials(renewals=1)
        bodies = []

        def answer(request, context):
            bodies.append(_drain(request.body))
            context.status_code = 401 if len(bodies) == 1 else 201
            context.headers['etag'] = _md5(bodies[-1])
            return ''

        self.http.put(_OBJECT, text=answer)
        self._store().put('c', 'o', store_base.Body(
            3, lambda: iter((b'abc',))))
        self.assertEqual([b'abc', b'abc'], bodies)

    def test_tokens_are_not_told(self):
        self._answers('GET', _OBJECT, {'status_code': 401})
        err = self.assertRaises(exceptions.AccessDenied,
                                self._get, 'c', 'o')
        for secret in ('t1', 'service'):
            self.assertNotIn(secret, str(err))


class PutTest(base.SwiftTestCase):
    """Sent is stored, or it is an error."""

    def test_md5_is_announced(self):
        server = self._answers('PUT', _OBJECT, self._ok(b'data'))
        self._put(b'data')
        self.assertEqual(_md5(b'data'), _header(server.last_request, 'ETag'))
        self.assertEqual('4', _header(server.last_request, 'Content-Length'))

    def test_md5_of_the_caller_is_announced(self):
        server = self._answers('PUT', _OBJECT, self._ok(b'data'))
        body = store_base.Body(4, lambda: (b'data',), _md5(b'data'))
        with mock.patch('hashlib.md5') as computed:
            self.store.put('c', 'o', body)
        computed.assert_not_called()
        self.assertEqual(_md5(b'data'), _header(server.last_request, 'ETag'))

    def test_body_is_let_go_of(self):
        # The connection keeps the last answer, and that its request.
        class Piece(bytearray):
            pass

        piece = Piece(b'data')
        self._answers('PUT', _OBJECT, self._ok(b'data'))
        kept = weakref.ref(piece)
        self.store.put('c', 'o', store_base.Body(
            4, functools.partial(iter, [piece]), _md5(b'data')))
        del piece
        gc.collect()
        self.http.reset_mock()
        self.assertIsNone(kept())

    def test_other_md5_in_the_answer(self):
        server = self._answers('PUT', _OBJECT, self._ok(b'other'))
        err = self.assertRaises(exceptions.StoreUnavailable,
                                self._put, b'data')
        self.assertEqual(4, server.call_count)
        self.assertIn(_md5(b'other'), str(err))
        self.assertIn(_md5(b'data'), str(err))

    def test_no_md5_in_the_answer(self):
        self._answers('PUT', _OBJECT, {'status_code': 201})
        self.assertRaises(exceptions.StoreError, self._put, b'data')

    def test_md5_in_quotes(self):
        self._answers('PUT', _OBJECT, {
            'status_code': 201, 'headers': {'etag': f'"{_md5(b"data")}"'}})
        self._put(b'data')

    def test_stream_with_another_md5_in_the_answer(self):
        def answer(request, context):
            _drain(request.body)
            context.status_code = 201
            context.headers['etag'] = _md5(b'abd')
            return ''

        self.http.put(_OBJECT, text=answer)
        self.assertRaises(
            exceptions.StoreUnavailable, self.store.put, 'c', 'o',
            store_base.Body(3, lambda: iter((b'abc',))))

    def test_body_that_is_longer_than_nothing(self):
        # The client does not ask for any of it.
        server = self._answers('PUT', _OBJECT, self._ok(b''))
        self.assertRaises(
            exceptions.StoreError, self.store.put, 'c', 'o',
            store_base.Body(0, lambda: (b'abc',)))
        self.assertEqual(0, server.call_count)
        self.store.put('c', 'o', store_base.Body(0, lambda: ()))
        self.assertEqual(1, server.call_count)

    def test_missing_container(self):
        self._answers('PUT', _OBJECT, {'status_code': 404})
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        err = self.assertRaises(exceptions.ContainerNotFound,
                                self._put, b'data')
        self.assertIn('container c', str(err))

    def test_quota(self):
        self._answers('PUT', _OBJECT, {'status_code': 413,
                                       'text': 'Upload exceeds quota.'})
        err = self.assertRaises(exceptions.QuotaExceeded, self._put, b'data')
        self.assertIn('Upload exceeds quota.', str(err))

    def test_names_are_quoted_once(self):
        server = self._answers('PUT', requests_mock.ANY, self._ok(b'x'))
        blobs.put(self.store, 'c d', 'a b/c%20\u00fc?#', b'x')
        self.assertEqual(
            '/v1/AUTH_p/c%20d/a%20b/c%2520%C3%BC%3F%23',
            server.last_request.url.removeprefix(_ROOT))


class GetTest(base.SwiftTestCase):
    """All of an object, or an error."""

    def test_extent_is_asked_for(self):
        server = self._answers('GET', _OBJECT, self._content(
            bytes(10), **{'content-range': 'bytes 7-16/100'}))
        self.assertEqual(bytes(10), self.store.read(
            'c', 'o', b''.join, types.Extent(7, 10)))
        self.assertEqual('bytes=7-16', _header(server.last_request, 'Range'))

    def test_answer_of_another_length_than_the_extent(self):
        # As from what does not know ranges and sends everything.
        for headers in ({}, {'content-range': 'bytes 0-9/10'},
                        {'content-range': 'bytes 0-90/100'}):
            server = self._answers('GET', _OBJECT,
                                   self._content(bytes(10), **headers))
            err = self.assertRaises(
                exceptions.LengthMismatch, self.store.read, 'c', 'o',
                b''.join, types.Extent(10, 10))
            self.assertEqual((10, 10), (err.expected, err.actual))
            self.assertEqual(('c', 'o'), (err.container, err.name))
            self.assertEqual(4, server.call_count)

    def test_answer_of_another_length_that_passes(self):
        asked = {'content-range': 'bytes 10-19/100'}
        right = self._content(b'0123456789', **asked)
        for wrong in (self._content(bytes(9), **asked),
                      self._content(bytes(10), **{
                          'content-range': 'bytes 0-9/100'}),
                      self._content(bytes(100)),
                      {'status_code': 416}):
            server = self._answers('GET', _OBJECT, wrong, wrong, right)
            self.assertEqual(b'0123456789', self.store.read(
                'c', 'o', b''.join, types.Extent(10, 10)))
            self.assertEqual(3, server.call_count)

    def test_answer_of_the_range_and_another_length(self):
        self._answers('GET', _OBJECT, self._content(
            bytes(9), **{'content-range': 'bytes 10-19/100'}))
        err = self.assertRaises(
            exceptions.LengthMismatch, self.store.read, 'c', 'o',
            b''.join, types.Extent(10, 10))
        self.assertEqual((10, 9), (err.expected, err.actual))

    def test_pieces_are_dead_when_the_use_has_returned(self):
        # The connection has another answer by then.
        self._answers('GET', _OBJECT, self._content(b'data'))
        pieces = self.store.read('c', 'o', lambda found: found)
        self.assertRaises(RuntimeError, next, pieces)

    def test_short_body_is_asked_for_again(self):
        cut = self._content(b'da', **{'content-length': '4'})
        server = self._answers('GET', _OBJECT, cut, self._content(b'data'))
        self.assertEqual(b'data', self._get('c', 'o'))
        self.assertEqual(2, server.call_count)

    def test_short_extent_is_asked_for_again(self):
        extent = types.Extent(7, 4)
        headers = {'content-length': '4', 'content-range': 'bytes 7-10/99'}
        server = self._answers(
            'GET', _OBJECT,
            {'status_code': 206, 'content': b'da', 'headers': headers},
            {'status_code': 206, 'content': b'data', 'headers': headers})
        begun = []

        def use(pieces):
            begun.append(b'')
            for piece in pieces:
                begun[-1] += piece
            return begun[-1]

        self.assertEqual(b'data', self.store.read('c', 'o', use, extent))
        self.assertEqual([b'da', b'data'], begun)
        self.assertEqual(['bytes=7-10'] * 2,
                         [_header(request, 'Range')
                          for request in server.request_history])

    def test_always_short(self):
        server = self._answers(
            'GET', _OBJECT, self._content(b'da', **{'content-length': '4'}))
        err = self.assertRaises(exceptions.StoreUnavailable,
                                self._get, 'c', 'o')
        self.assertEqual(4, server.call_count)
        self.assertIn('o', str(err))

    def test_answer_without_a_length(self):
        # Such as from a proxy in between that sends chunks.
        self.http.get(_OBJECT, content=b'data')
        try:
            data = self._get('c', 'o')
        except exceptions.StoreError:
            return
        self.assertEqual(b'data', data)


class DeleteTest(base.SwiftTestCase):
    """Gone is gone."""

    def test_delete(self):
        server = self._answers('DELETE', _OBJECT, {'status_code': 204})
        self.store.delete('c', 'o')
        self.assertEqual(1, server.call_count)

    def test_missing(self):
        self._answers('DELETE', _OBJECT, {'status_code': 404})
        self.store.delete('c', 'o')

    def test_answer_lost_and_then_missing(self):
        self._answers('DELETE', _OBJECT, {'status_code': 504},
                      {'status_code': 404})
        self.store.delete('c', 'o')

    def test_refused(self):
        self._answers('DELETE', _OBJECT, {'status_code': 403})
        self.assertRaises(exceptions.AccessDenied,
                          self.store.delete, 'c', 'o')


class LargeTest(base.SwiftTestCase):
    """Large objects."""

    def test_segment_that_is_not_seen_for_now(self):
        server = self._answers('PUT', _OBJECT, {
            'status_code': 400, 'text': 'Errors:\n/c/s, 503'},
            {'status_code': 201, 'headers': {
                'etag': f'"{_md5(_md5(b"abc").encode())}"'}})
        segment = store_base.Segment('c', 's', 3, _md5(b'abc'))
        self.store.put_large('c', 'o', [segment])
        self.assertEqual(2, server.call_count)

    def test_answers_that_are_none_of_swift_s(self):
        segments = [store_base.Segment('c', 's', 3, _md5(b'abc')),
                    store_base.Segment('c', 't', 3, _md5(b'abd'))]
        etag = _md5(''.join(each.md5 for each in segments).encode())
        right = {'status_code': 201, 'headers': {'etag': f'"{etag}"'}}
        for wrong in (fake_answers.PAGE, {'status_code': 201},
                      {'status_code': 201, 'headers': {
                          'etag': _md5(b'the manifest')}}):
            server = self._answers('PUT', _OBJECT, wrong, right)
            self.store.put_large('c', 'o', segments)
            self.assertEqual(2, server.call_count)
            self._answers('PUT', _OBJECT, wrong)
            err = self.assertRaises(exceptions.StoreUnavailable,
                                    self.store.put_large, 'c', 'o', segments)
            self.assertEqual(('c', 'o'), (err.container, err.name))


class StatTest(base.SwiftTestCase):
    """What an object is by itself."""

    def _stat(self, **headers):
        self._answers('HEAD', _OBJECT, {'headers': {
            name.replace('_', '-'): value
            for name, value in headers.items()}})
        return self.store.stat('c', 'o')

    def test_stat(self):
        etag = _md5(b'')
        for told in (etag, f'"{etag}"'):
            self.assertEqual(store_base.Stat(5, etag), self._stat(
                content_length='5', etag=told))

    def test_it_will_expire(self):
        found = self._stat(content_length='5', etag=_md5(b''),
                           x_delete_at='1785585600')
        self.assertEqual(datetime.datetime(2026, 8, 1, 12,
                                           tzinfo=datetime.UTC),
                         found.expires)

    def test_answers_that_are_none_of_swift_s(self):
        for headers in ({}, {'content_length': 'x'},
                        {'content_length': '1', 'x_delete_at': 'never'},
                        {'content_length': '1', 'x_delete_at': '9' * 99}):
            self.assertRaises(
                exceptions.StoreUnavailable,
                lambda headers=headers: self._stat(
                    etag=_md5(b''), **headers))

    def test_etags(self):
        for etag, ours in ((_md5(b''), True), (f'W/"{_md5(b"")}"', True),
                           (f'"{_md5(b"")}-17"', True), ('', False),
                           ('"64b0f1a2-267"', False), ('abc', False)):
            calls = (lambda etag=etag: self._stat(content_length='5',
                                                  etag=etag),
                     lambda: self.store.segments('c', 'o'))
            for call in calls:
                if ours:
                    call()
                else:
                    self.assertRaises(exceptions.StoreUnavailable, call)

    def test_dynamic_large_object_of_many_segments(self):
        self.assertEqual('', self._stat(content_length='5',
                                        x_object_manifest='c/o/').etag)
        self.assertIsNone(self.store.segments('c', 'o'))

    def test_page_of_another_server(self):
        for call in (lambda: self.store.stat('c', 'o'),
                     lambda: self.store.segments('c', 'o')):
            server = self._answers('HEAD', _OBJECT, fake_answers.PAGE,
                                   fake_answers.OBJECT)
            call()
            self.assertEqual(2, server.call_count)


class ContainerTest(base.SwiftTestCase):
    """Containers."""

    def test_exists(self):
        self._answers('HEAD', f'{_URL}/c', fake_answers.CONTAINER)
        put = self._answers('PUT', f'{_URL}/c', {'status_code': 201})
        self.store.ensure_container('c', create=True, storage_policy='gold')
        self.assertEqual(0, put.call_count)

    def test_made_with_its_policy(self):
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        put = self._answers('PUT', f'{_URL}/c', {'status_code': 201})
        self.store.ensure_container('c', create=True, storage_policy='gold')
        self.assertEqual('gold',
                         _header(put.last_request, 'X-Storage-Policy'))
        self._store().ensure_container('c', create=True)
        self.assertNotIn('X-Storage-Policy', put.last_request.headers)

    def test_made_like_another(self):
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        put = self._answers('PUT', f'{_URL}/c', {'status_code': 201})
        for policy, option, expected in (
                ('silver', None, 'silver'), ('silver', 'gold', 'gold'),
                (None, None, None)):
            self._answers('HEAD', f'{_URL}/main', {
                'status_code': 204, 'headers': {
                    **fake_answers.CONTAINER['headers'],
                    **({'X-Storage-Policy': policy} if policy else {})}})
            self._store().ensure_container(
                'c', create=True, storage_policy=option, like='main')
            headers = put.last_request.headers
            self.assertEqual(
                expected, _header(put.last_request, 'X-Storage-Policy')
                if 'X-Storage-Policy' in headers else None)

    def test_copied_beside_another(self):
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        put = self._answers('PUT', f'{_URL}/c', {'status_code': 201})
        told = store_base.Sync('//realm/d', 'other')
        for to, key, sync, expected in (
                ('//realm/b/AUTH_x/main', 'key', None,
                 ('//realm/b/AUTH_x/c', 'key')),
                ('//realm/b/AUTH_x/main', 'key', told,
                 ('//realm/d/AUTH_p/c', 'other')),
                # It only receives, or takes no part.
                ('', 'key', None, None), ('', '', None, None)):
            self._answers('HEAD', f'{_URL}/main', {
                'status_code': 204, 'headers': {
                    **fake_answers.CONTAINER['headers'],
                    **({'X-Container-Sync-To': to} if to else {}),
                    **({'X-Container-Sync-Key': key} if key else {})}})
            self._store().ensure_container('c', create=True, like='main',
                                           sync=sync)
            headers = put.last_request.headers
            names = [f'X-Container-Sync-{name}' for name in ('To', 'Key')]
            if expected is None:
                self.assertNotIn(names[0], headers)
                self.assertNotIn(names[1], headers)
            else:
                self.assertEqual(expected, tuple(
                    _header(put.last_request, name) for name in names))

    def test_unknown_policy(self):
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        self._answers('PUT', f'{_URL}/c', {
            'status_code': 400, 'text': 'Invalid X-Storage-Policy "gold"'})
        err = self.assertRaises(
            exceptions.ConfigurationError, self.store.ensure_container, 'c',
            create=True, storage_policy='gold')
        self.assertIs(exceptions.Remedy.STORAGE_POLICY, err.remedy)

    def test_made_to_be_copied(self):
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        put = self._answers('PUT', f'{_URL}/c', {'status_code': 201})
        self.store.ensure_container(
            'c', create=True, sync=store_base.Sync('//realm/b', 'secret'))
        self.assertEqual(
            ('//realm/b/AUTH_p/c', 'secret'),
            tuple(_header(put.last_request, f'X-Container-Sync-{name}')
                  for name in ('To', 'Key')))

    def test_that_cannot_be_copied(self):
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        self._answers('PUT', f'{_URL}/c', {
            'status_code': 400, 'text': 'No realm key for realm'})
        err = self.assertRaises(
            exceptions.ConfigurationError, self.store.ensure_container, 'c',
            create=True, sync=store_base.Sync('//realm/b', 'secret'))
        self.assertIs(exceptions.Remedy.SYNC, err.remedy)
        self.assertIn('No realm key', str(err))
        self.assertNotIn('secret', repr(err))

    def test_key_that_cannot_be_sent(self):
        log = self._debug_log()
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        for key in (f' {_KEY}', f'{_KEY}\n', f'{_KEY}\r\nX-Other: x',
                    f'{_KEY}\0'):
            err = self.assertRaises(
                exceptions.ConfigurationError, self.store.ensure_container,
                'c', create=True, sync=store_base.Sync('//realm/b', key))
            self.assertIn('header', str(err))
            self._assert_hidden(_KEY, f'{err!r}{log.output}')

    def test_key_is_not_logged(self):
        log = self._debug_log()
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        self._answers('PUT', f'{_URL}/c', {'status_code': 400})
        self.assertRaises(exceptions.ConfigurationError,
                          self._made_with_a_key)
        self._answers('PUT', f'{_URL}/c', {'status_code': 201})
        self._made_with_a_key()
        self._answers('HEAD', f'{_URL}/c', {'headers': {
            'X-Container-Object-Count': '0', 'X-Container-Sync-Key': _KEY}})
        self.assertEqual(_KEY, self.store.sync('c').key)
        self.assertIn('sync-key', log.output.lower())
        self._assert_hidden(_KEY, log.output)

    def test_tokens_are_not_logged(self):
        log = self._debug_log()
        access = credentials.Access(_URL, 'a token as long as one of Fernet',
                                    'service token of the same length')
        self.enterContext(mock.patch.object(
            self.credentials, 'access', return_value=access))
        self._answers('HEAD', f'{_URL}/c', fake_answers.CONTAINER)
        self.store.ensure_container('c', create=False)
        self.assertIn('x-service-token', log.output.lower())
        self._assert_hidden(access.token, log.output)
        self._assert_hidden(access.service_token, log.output)

    def _debug_log(self):
        return self.useFixture(fixtures.FakeLogger('swiftclient',
                                                   level=logging.DEBUG))

    def _assert_hidden(self, secret, text):
        """Nothing of it is shown, not even how it begins."""
        self.assertNotIn(secret[:4], text)

    def _made_with_a_key(self):
        self.store.ensure_container('c', create=True, sync=store_base.Sync(
            '//realm/b', _KEY))

    def test_sync(self):
        for headers, expected in (
                ({}, None),
                ({'X-Container-Sync-Key': 'k'}, store_base.Sync(None, 'k')),
                ({'X-Container-Sync-Key': 'k',
                  'X-Container-Sync-To': '//r/b/a/c'},
                 store_base.Sync('//r/b/a/c', 'k'))):
            self._answers('HEAD', f'{_URL}/c', {
                'status_code': 204, 'headers': {
                    'X-Container-Object-Count': '0', **headers}})
            self.assertEqual(expected, self.store.sync('c'))

    def test_page_of_another_server(self):
        for call in (lambda: self.store.sync('c'), lambda:
                     self.store.ensure_container('c', create=True)):
            server = self._answers('HEAD', f'{_URL}/c', fake_answers.PAGE,
                                   fake_answers.CONTAINER)
            call()
            self.assertEqual(2, server.call_count)

    def test_made_by_another_server(self):
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        for status in (201, 202):
            server = self._answers('PUT', f'{_URL}/c', fake_answers.PAGE,
                                   {'status_code': status})
            self._store().ensure_container('c', create=True)
            self.assertEqual(2, server.call_count)

    def test_not_to_be_made(self):
        self._answers('HEAD', f'{_URL}/c', {'status_code': 404})
        self.assertRaises(exceptions.ContainerNotFound,
                          self.store.ensure_container, 'c', create=False)

    def test_refused(self):
        self._answers('HEAD', f'{_URL}/c', {'status_code': 403})
        self.assertRaises(exceptions.AccessDenied,
                          self.store.ensure_container, 'c', create=True)


class ListTest(base.SwiftTestCase):
    """Page after page."""

    @staticmethod
    def _entry(name, size=1):
        return {'name': name, 'bytes': size, 'hash': _md5(b''),
                'last_modified': '2026-08-01T12:00:00.500000'}

    def test_pages(self):
        names = [f'a/{number}\u00fc &' for number in range(7)]

        def answer(request, context):
            marker = self._marker(request)
            later = [name for name in names if name > marker]
            return [self._entry(name) for name in later[:3]]

        server = self.http.get(f'{_URL}/c', json=answer)
        self.assertEqual(
            names, [info.name for info in self.store.list('c', 'a/')])
        self.assertEqual(['', names[2], names[5], names[6]], [
            self._marker(request) for request in server.request_history])
        for request in server.request_history:
            self.assertEqual(['a/'], request.qs['prefix'])

    @staticmethod
    def _marker(request):
        query = requests.utils.urlparse(request.url).query
        for part in query.split('&'):
            key, _, value = part.partition('=')
            if key == 'marker':
                return requests.utils.unquote(value.replace('+', ' '))
        return ''

    def test_entries(self):
        self._answers('GET', f'{_URL}/c',
                      {'json': [self._entry('a', 17)]}, {'json': []})
        (info,) = self.store.list('c', '')
        self.assertEqual(('a', 17, _md5(b'')),
                         (info.name, info.size, info.etag))
        self.assertEqual(_TIME, info.modified)

    def test_times(self):
        for text in ('2026-08-01T12:00:00.500000',
                     '2026-08-01T12:00:00.500Z'):
            self._answers('GET', f'{_URL}/c',
                          {'json': [{**self._entry('a'),
                                     'last_modified': text}]}, {'json': []})
            (info,) = self.store.list('c', '')
            self.assertEqual(_TIME, info.modified)

    def test_containers(self):
        self._answers('GET', _URL, {'json': [{'name': 'a'}, {'name': 'b'}]},
                      {'json': [{'name': 'c'}]}, {'json': []})
        self.assertEqual(['a', 'b', 'c'], list(self.store.containers()))
        self.assertEqual(['', 'b', 'c'], [
            self._marker(request) for request in self.http.request_history])

    def test_empty(self):
        self._answers('GET', f'{_URL}/c', {'json': []})
        self.assertEqual([], list(self.store.list('c', '')))

    def test_missing_container(self):
        self._answers('GET', f'{_URL}/c', {'status_code': 404})
        self.assertRaises(exceptions.ContainerNotFound,
                          list, self.store.list('c', ''))

    def test_failing_page_is_repeated(self):
        self._answers('GET', f'{_URL}/c', {'json': [self._entry('a')]},
                      {'status_code': 503}, {'json': [self._entry('b')]},
                      {'json': []})
        self.assertEqual(
            ['a', 'b'], [info.name for info in self.store.list('c', '')])

    def test_failing_page_is_no_short_listing(self):
        self._answers('GET', f'{_URL}/c', {'json': [self._entry('a')]},
                      {'status_code': 503})
        self.assertRaises(exceptions.StoreUnavailable,
                          list, self.store.list('c', ''))

    def test_answer_that_is_no_json(self):
        self._answers('GET', f'{_URL}/c', {'text': '<html>Welcome</html>'})
        self.assertRaises(exceptions.StoreError,
                          list, self.store.list('c', ''))


class LimitsTest(base.SwiftTestCase):
    """What the cluster says of itself."""

    def _limits(self, *answers):
        self._answers('GET', f'{_ROOT}/info', *answers)
        return self.store.capabilities()

    def test_limits(self):
        found = self._limits({'json': {'swift': {
            'max_file_size': 5368709122, 'policies': [
                {'name': 'gold', 'default': True,
                 'aliases': 'gold, yellow'},
                {'name': 'tin'}]}}})
        self.assertEqual(5368709122, found.max_object_size)
        self.assertEqual({'gold', 'yellow', 'tin'},
                         set(found.storage_policies))

    def test_segments_of_large_objects(self):
        self.assertEqual(7, self._limits({'json': {
            'swift': {}, 'slo': {'max_manifest_segments': 7}}}).max_segments)
        self.assertEqual(0, self._limits(
            {'json': {'swift': {}}}).max_segments)

    def test_hidden(self):
        for status in (401, 403, 404):
            self.assertEqual(store_base.Capabilities(),
                             self._limits({'status_code': status}))

    def test_says_nothing(self):
        self.assertEqual(store_base.Capabilities(), self._limits({'json': {}}))

    def test_credentials_that_are_refused_are_not_hidden(self):
        self._answers('GET', f'{_ROOT}/info', {'json': {}})
        with mock.patch.object(self.credentials, 'access',
                               side_effect=exceptions.AccessDenied('no')):
            self.assertRaises(exceptions.AccessDenied, self.store.capabilities)

    def test_not_there(self):
        self.assertRaises(exceptions.StoreUnavailable, self._limits,
                          {'exc': requests.ConnectionError})

    def test_answer_that_is_no_json(self):
        try:
            found = self._limits({'text': '<html>Welcome</html>'})
        except exceptions.BackupError:
            return
        self.assertEqual(store_base.Capabilities(), found)

    def test_below_another_root(self):
        # As where Ceph's gateway speaks Swift.
        server = self._answers('GET', f'{_ROOT}/swift/info', {'json': {}})
        with mock.patch.object(
                self.credentials, 'access', return_value=credentials.Access(
                    f'{_ROOT}/swift/v1/AUTH_p', 't')):
            self.store.capabilities()
        self.assertEqual(1, server.call_count)


class ConnectionTest(base.SwiftTestCase):
    """Who uses which connection."""

    def test_as_many_as_requests_at_once(self):
        self._answers('GET', _OBJECT, self._content(b'x'))
        with mock.patch.object(client, 'HTTPConnection',
                               wraps=client.HTTPConnection) as made:
            for _ in range(3):
                self._get('c', 'o')
            # Other threads, one after the other, use the same.
            for _ in range(3):
                thread = threading.Thread(target=self._get, args=('c', 'o'))
                thread.start()
                thread.join()
            self.assertEqual(1, made.call_count)
            meeting = threading.Barrier(3, timeout=60)
            threads = [threading.Thread(
                target=self.store.read, args=(
                    'c', 'o', lambda pieces: meeting.wait()))
                for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(3, made.call_count)

    def test_storage_url_that_is_none(self):
        with mock.patch.object(
                self.credentials, 'access',
                return_value=credentials.Access('swift.test/v1', 't')):
            err = self.assertRaises(exceptions.ConfigurationError,
                                    self._get, 'c', 'o')
        self.assertIn('swift.test/v1', str(err))

    def test_a_broken_one_is_not_used_again(self):
        self._answers('GET', _OBJECT, {'exc': requests.ConnectionError},
                      self._content(b'x'))
        with mock.patch.object(client, 'HTTPConnection',
                               wraps=client.HTTPConnection) as made:
            self._get('c', 'o')
        self.assertEqual(2, made.call_count)

    def test_certificates(self):
        for name in ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'):
            self.useFixture(fixtures.EnvironmentVariable(name))
        for options, verify in (({}, True), ({'insecure': True}, False),
                                ({'ca_file': '/ca.pem'}, '/ca.pem')):
            server = self._answers('GET', _OBJECT, self._content(b'x'))
            blobs.get(self._store(**options), 'c', 'o')
            self.assertEqual(verify, server.last_request.verify)

    def test_requests_time_out(self):
        server = self._answers('GET', _OBJECT, self._content(b'x'))
        self._get('c', 'o')
        self.assertGreater(min(server.last_request.timeout), 0)

    def test_close(self):
        self._answers('GET', _OBJECT, self._content(b'x'))
        self._get('c', 'o')
        with mock.patch.object(client.HTTPConnection,
                               'close') as closed:
            self.store.close()
            self.store.close()
        closed.assert_called_once_with()
