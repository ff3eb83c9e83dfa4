# SPDX-License-Identifier: Apache-2.0

"""How long requests are repeated, and that they slow down together."""

import itertools
import logging
from unittest import mock

import fixtures
from oslotest import base
import requests
import requests_mock
import urllib3

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport
from tests.fakes import blobs
from tests.fakes import clock

_URL = 'http://swift.test/v1/AUTH_p'
_OBJECT = f'{_URL}/c/o'
_CONTENT = {'status_code': 200, 'content': b'x',
            'headers': {'content-length': '1'}}


def _status(number, **headers):
    return {'status_code': number, 'headers': {
        name.replace('_', '-'): value for name, value in headers.items()}}


class PatienceTest(base.BaseTestCase):
    """An outage is not an end."""

    def setUp(self):
        super().setUp()
        self.http = self.enterContext(requests_mock.Mocker())
        self.clock = self.useFixture(clock.Clock())
        self.log = self.useFixture(fixtures.FakeLogger(
            'cinder_swift_backup', level=logging.INFO))
        self.store = self._store(patience=300)

    def _store(self, **options):
        store = swift.SwiftStore(swift_session.Session(
            credentials.UserCredentials(_URL, 't'),
            transport.Transport(**options), 'a test'))
        self.addCleanup(store.close)
        return store

    def _answers(self, *answers, name='o', method='GET'):
        return self.http.register_uri(method, f'{_URL}/c/{name}',
                                      list(answers))

    def _get(self, name='o'):
        return blobs.get(self.store, 'c', name)

    def assert_gone(self, expected):
        """Whether the next request has one attempt only."""
        server = self._answers(_status(503), name='probe')
        self.assertRaises(exceptions.StoreUnavailable, self._get, 'probe')
        self.assertEqual(expected, server.call_count == 1)

    def _away_for(self, seconds, answer):
        """An object that cannot be had for a while."""
        until = self.clock.now + seconds

        def reply(request, context):
            if self.clock.now >= until:
                context.headers['content-length'] = '1'
                return b'x'
            if isinstance(answer, Exception):
                raise answer
            context.status_code = answer
            return b''

        return self.http.get(_OBJECT, content=reply)

    def test_outages_are_ridden_out(self):
        for answer in (500, 502, 503, 504, 507, requests.ConnectionError(),
                       requests.ReadTimeout(), ConnectionRefusedError()):
            for seconds in (3, 20, 90, 240, 299):
                server = self._away_for(seconds, answer)
                self.assertEqual(b'x', self._get(), (answer, seconds))
                self.assertLess(server.call_count, 20)

    def test_patience_ends(self):
        for patience in (1, 5, 60, 300):
            self.store = self._store(patience=patience)
            begin = self.clock.now
            self._answers(_status(503))
            self.assertRaises(exceptions.StoreUnavailable, self._get)
            self.assertAlmostEqual(patience, self.clock.now - begin,
                                   delta=patience / 4)
            self.assert_gone(True)

    def test_answers_that_are_errors_are_counted(self):
        for status in (408, 409, 422):
            self.store = self._store(patience=300)
            server = self._answers(_status(status))
            self.assertRaises(exceptions.StoreUnavailable, self._get)
            self.assertEqual(4, server.call_count)
            self.assert_gone(False)

    def test_login_is_waited_for(self):
        # Also where nothing is asked of Swift.
        access = credentials.Access(_URL, 't')
        found = mock.Mock()
        found.access.side_effect = [
            *[exceptions.StoreUnavailable('away')] * 3, access]
        store = swift.SwiftStore(swift_session.Session(
            found, transport.Transport(patience=300)))
        self.addCleanup(store.close)
        self.assertEqual('AUTH_p', store.account())

    def test_outages_are_no_attempts_of_what_is_counted(self):
        server = self._answers(*[_status(503)] * 6, *[_status(409)] * 3,
                               _CONTENT)
        self.assertEqual(b'x', self._get())
        self.assertEqual(10, server.call_count)

    def test_retry_after_without_patience(self):
        self.store = self._store()
        self._answers(_status(503, retry_after='86400'))
        begin = self.clock.now
        self.assertRaises(exceptions.StoreUnavailable, self._get)
        self.assertEqual(begin, self.clock.now)
        # It has answered.
        self.assert_gone(False)

    def test_retry_after_is_obeyed(self):
        for status in (429, 498, 503):
            self._answers(_status(status, retry_after='30'), _CONTENT)
            begin = self.clock.now
            self._get()
            self.assertGreaterEqual(self.clock.now - begin, 30)

    def test_retry_after_is_too_far_away(self):
        server = self._answers(_status(429, retry_after='14400'))
        begin = self.clock.now
        err = self.assertRaises(exceptions.StoreUnavailable, self._get)
        self.assertEqual(1, server.call_count)
        self.assertEqual(begin, self.clock.now)
        self.assertIn('4 hours', str(err))
        # Others need not wait for it.
        self._answers(_CONTENT, name='other')
        self._get('other')
        self.assertEqual(begin, self.clock.now)

    def test_outage_of_unknown_length(self):
        # A maintenance page tells what somebody hopes for.
        for retry_after in ('5', '3600'):
            self._answers(*[_status(503, retry_after=retry_after)] * 2,
                          *[_status(503)] * 3, _CONTENT)
            begin = self.clock.now
            self.assertEqual(b'x', self._get())
            self.assertLessEqual(self.clock.now - begin, 300)

    def test_asked_to_wait_for_good(self):
        for status, retry_after in itertools.product(
                (429, 498, 503), ('5', '100', '200', '299')):
            self.store = self._store(patience=300)
            self._answers(_status(status, retry_after=retry_after))
            begin = self.clock.now
            self.assertRaises(exceptions.StoreUnavailable, self._get)
            self.assertLessEqual(self.clock.now - begin, 301)
            # A limit is not waited for beyond patience.
            least = 240 if status == 503 or retry_after == '5' else 200
            self.assertGreaterEqual(self.clock.now - begin, least)
            # Whoever cleans up does not wait as long again.
            self.assert_gone(True)

    def test_limit_of_one_container_is_no_outage(self):
        self._answers(_status(429, retry_after='14400'))
        self.assertRaises(exceptions.StoreUnavailable, self._get)
        self.assert_gone(False)

    def test_socket_that_takes_nothing_is_not_idle(self):
        self.store = self._store(retries=0)
        self._answers(_CONTENT)
        self._get()
        server = self._answers({'exc': requests.ConnectionError(
            urllib3.exceptions.ProtocolError('aborted', TimeoutError()))})
        self.assertRaises(exceptions.StoreUnavailable, self._get)
        self.assertEqual(1, server.call_count)

    def test_refused_for_long_while_others_get_through(self):
        # Each waits its turn; the store works all the time.
        self._answers(*[_status(429)] * 60, _CONTENT)
        self._answers(_CONTENT, name='other')

        class Others(pipelines.StopFlag):
            def wait(stop, seconds):
                self.clock.now += seconds
                self._get('other')

        self.assertEqual(b'x', blobs.get(self.store.until(Others()),
                                         'c', 'o'))

    def test_store_that_is_gone_is_asked_once(self):
        self._answers(_status(503))
        self.assertRaises(exceptions.StoreUnavailable, self._get)
        server = self._answers({'exc': requests.ConnectTimeout},
                               name='next', method='DELETE')
        begin = self.clock.now
        self.assertRaises(exceptions.StoreUnavailable,
                          self.store.delete, 'c', 'next')
        self.assertEqual(1, server.call_count)
        self.assertLessEqual(self.clock.now - begin, 30)
        # Whoever works it is back.
        self._answers(_CONTENT)
        self._get()
        server = self._answers(*[_status(503)] * 3, _CONTENT)
        self._get()
        self.assertEqual(4, server.call_count)

    def test_store_that_is_gone_is_asked_at_once(self):
        self._answers(_status(503))
        self.assertRaises(exceptions.StoreUnavailable, self._get)
        begin = self.clock.now
        for _ in range(8):
            err = self.assertRaises(exceptions.StoreUnavailable, self._get)
            # Whichever of them is told of.
            self.assertRegex(str(err), ', for 30[0-9] s')
        self.assertEqual(begin, self.clock.now)

    def test_called_off_while_the_store_is_away(self):
        self._answers(_status(503))
        self._call_off()
        self.assert_gone(True)

    def test_called_off_soon(self):
        self._answers(_status(503))
        self._call_off(after=1)
        self.assert_gone(False)

    def test_called_off_before_anything_was_sent(self):
        # To find that out takes a database a while.
        class Off(pipelines.StopFlag):
            def check(stop):
                self.clock.now += 60
                raise exceptions.Cancelled('off')

        self.assertRaises(exceptions.Cancelled, blobs.get,
                          self.store.until(Off()), 'c', 'o')
        self.assert_gone(False)

    def test_called_off_while_others_work(self):
        self._answers(_status(503))
        self._answers(_CONTENT, name='other')
        self._call_off(lambda: self._get('other'))
        self.assert_gone(False)

    def test_called_off_while_the_rate_is_limited(self):
        self._answers(_status(429))
        self._call_off()
        self.assert_gone(False)

    def _call_off(self, meanwhile=lambda: None, after=5):
        class Off(pipelines.StopFlag):
            def wait(stop, seconds):
                self.clock.now += after
                meanwhile()
                raise exceptions.Cancelled('off')

        self.assertRaises(exceptions.Cancelled, blobs.get,
                          self.store.until(Off()), 'c', 'o')

    def test_one_object_that_cannot_be_had(self):
        self._answers(_status(503))
        self._answers(_CONTENT, name='other')

        class Others(pipelines.StopFlag):
            def wait(stop, seconds):
                self.clock.now += seconds
                self._get('other')

        begin = self.clock.now
        self.assertRaises(exceptions.StoreUnavailable, blobs.get,
                          self.store.until(Others()), 'c', 'o')
        self.assertAlmostEqual(300, self.clock.now - begin, delta=1)
        self.assert_gone(False)

    def test_requests_that_take_long_have_their_attempts(self):
        # Of ten minutes each, while others work.
        self._answers(_CONTENT, name='other')
        failures = 3

        def answer(request, context):
            nonlocal failures
            self.clock.now += 600
            self._get('other')
            if failures:
                failures -= 1
                raise requests.ConnectionError
            context.headers['content-length'] = '1'
            return b'x'

        self.http.get(_OBJECT, content=answer)
        self.assertEqual(b'x', self._get())

    def test_cluster_that_does_not_tell_is_not_waited_for(self):
        self.http.get('http://swift.test/info', status_code=503)
        begin = self.clock.now
        self.assertRaises(exceptions.StoreUnavailable,
                          self.store.capabilities)
        self.assertLess(self.clock.now - begin, 20)
        # That says nothing of other requests.
        self._away_for(200, 503)
        self.assertEqual(b'x', self._get())

    def test_without_patience_the_store_is_gone_too(self):
        self.store = self._store()
        self._answers(_status(503))
        self.assertRaises(exceptions.StoreUnavailable, self._get)
        self.assert_gone(True)

    def test_begin_and_end_are_told(self):
        self._answers(*[_status(503)] * 8, _CONTENT)
        self._get()
        lines = self.log.output.splitlines()
        self.assertEqual(2, len(lines), lines)
        self.assertIn('503', lines[0])
        self.assertIn('300 s', lines[0])
        self.assertIn('8 retries', lines[1])
        for line in lines:
            self.assertIn('Requests to Swift for a test ', line)
        self.assertEqual(8, self.store.traffic.retries)

    def test_end_is_told_when_others_were_given_up(self):
        self.http.get('http://swift.test/info', status_code=503)
        self.assertRaises(exceptions.StoreUnavailable,
                          self.store.capabilities)
        self._answers(_CONTENT)
        for _ in range(3):
            self._get()
        lines = self.log.output.splitlines()
        self.assertEqual(2, len(lines), lines)
        self.assertIn('succeed again', lines[1])

    def test_what_is_counted_has_no_time(self):
        self._answers(*[_status(409)] * 2, _CONTENT)
        self._get()
        self.assertNotIn('300 s', self.log.output)

    def test_nothing_is_told_of_what_works(self):
        self._answers(_CONTENT)
        self._get()
        self.assertEqual('', self.log.output)

    def test_silence_is_shorter_than_patience(self):
        for patience in (60, 300, 3600):
            found = transport.Transport(patience=patience).timeout
            self.assertLess(2 * found, patience)
            self.assertGreaterEqual(found, 10)
