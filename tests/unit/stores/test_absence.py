# SPDX-License-Identifier: Apache-2.0

"""What a 404 of Swift is believed."""

import logging

import fixtures
from oslotest import base
import requests_mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import absence
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport
from tests.fakes import blobs
from tests.fakes import clock

_URL = 'http://swift.test/v1/AUTH_p'
_CONTAINER = f'{_URL}/c'
_OBJECT = f'{_URL}/c/o'
_MISSING = {'status_code': 404}
_THERE = {'status_code': 204}
_AWAY = {'status_code': 503}
_CONTENT = {'status_code': 200, 'content': b'x',
            'headers': {'content-length': '1'}}
_STORED = {'status_code': 201,
           'headers': {'etag': '9dd4e461268c8034f5c8564e155c67a6'}}


class AbsenceTest(base.BaseTestCase):
    """One attempt for errors, so that what is repeated is seen."""

    def setUp(self):
        super().setUp()
        self.http = self.enterContext(requests_mock.Mocker())
        self.clock = self.useFixture(clock.Clock())
        self.store = self._store()

    def _store(self, **options):
        store = swift.SwiftStore(swift_session.Session(
            credentials.UserCredentials(_URL, 't'),
            transport.Transport(**{'retries': 0, **options})))
        self.addCleanup(store.close)
        return store

    def _answers(self, method, url, *answers):
        return self.http.register_uri(method, url, list(answers))

    def _put(self):
        blobs.put(self.store, 'c', 'o', b'x')

    def _calls(self):
        return {'get': lambda: blobs.get(self.store, 'c', 'o'),
                'head': lambda: self.store.segments('c', 'o'),
                'delete': lambda: self.store.delete('c', 'o'),
                'put': self._put}

    def _all_objects_are_missing(self):
        return [self._answers(method, _OBJECT, _MISSING)
                for method in ('GET', 'HEAD', 'DELETE', 'PUT')]

    def test_containers_that_do_not_answer(self):
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, _AWAY)
        for name, call in self._calls().items():
            err = self.assertRaises(exceptions.StoreUnavailable, call)
            self.assertIn('404', str(err), name)
            self.assertEqual(('c', 'o'), (err.container, err.name))

    def test_accounts_that_do_not_answer(self):
        self._all_objects_are_missing()
        self._answers('GET', _CONTAINER, _MISSING)
        self._answers('HEAD', _CONTAINER, _MISSING)
        for account in (_AWAY, _MISSING):
            self._answers('HEAD', _URL, account)
            calls = {**self._calls(),
                     'list': lambda: list(self.store.list('c', '')),
                     'sync': lambda: self.store.sync('c'),
                     'ensure': lambda: self.store.ensure_container(
                         'c', create=False)}
            for call in calls.values():
                self.assertRaises(exceptions.StoreUnavailable, call)

    def test_object_that_is_not_there(self):
        servers = self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, _THERE)
        self.store.delete('c', 'o')
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          'c', 'o')
        self.assertRaises(exceptions.ObjectNotFound, self.store.segments,
                          'c', 'o')
        self.assertEqual([4, 4, 2, 0],
                         [server.call_count for server in servers])

    def test_object_of_a_container_that_is_not_there(self):
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, _MISSING)
        self._answers('HEAD', _URL, _THERE)
        self.store.delete('c', 'o')
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          'c', 'o')
        self.assertRaises(exceptions.ContainerNotFound, self._put)

    def test_those_that_are_right_are_not_told(self):
        log = self.useFixture(fixtures.FakeLogger('cinder_swift_backup',
                                                  level=logging.INFO))
        self._answers('HEAD', _CONTAINER, _THERE)
        self._answers('GET', _OBJECT, _MISSING)
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          'c', 'o')
        self.assertEqual('', log.output)
        self._answers('GET', _OBJECT, _MISSING, _CONTENT)
        blobs.get(self.store, 'c', 'o')
        self.assertIn('404 (1 in a row), though it is there', log.output)

    def test_one_404_that_is_wrong(self):
        self._answers('HEAD', _CONTAINER, _THERE)
        self._answers('HEAD', _URL, _THERE)
        self._answers('GET', _OBJECT, _MISSING, _CONTENT)
        self.assertEqual(b'x', blobs.get(self.store, 'c', 'o'))
        self._answers('HEAD', _OBJECT, _MISSING, _CONTENT)
        self.assertIsNone(self.store.segments('c', 'o'))
        deleted = self._answers('DELETE', _OBJECT, _MISSING, _THERE)
        self.store.delete('c', 'o')
        self.assertEqual(2, deleted.call_count)
        self._answers('GET', _CONTAINER, _MISSING,
                      {'status_code': 200, 'json': []})
        self.assertEqual([], list(self.store.list('c', '')))
        self._answers('HEAD', _CONTAINER, _MISSING, _THERE)
        self.store.ensure_container('c', create=False)

    def test_proxy_that_is_sick(self):
        # It knows nothing of containers, and another answers in between.
        self._answers('HEAD', _CONTAINER, _THERE)
        self._answers('GET', _OBJECT, *[_MISSING] * 3, _CONTENT)
        self.assertEqual(b'x', blobs.get(self.store, 'c', 'o'))
        # Here it is the one that is asked for the container.
        self.clock.now += 60
        self._answers('HEAD', _CONTAINER, _THERE, _THERE, _AWAY, _AWAY)
        self._answers('GET', _OBJECT, _MISSING)
        self.assertRaises(exceptions.StoreUnavailable, blobs.get, self.store,
                          'c', 'o')

    def test_requests_in_step_with_servers_that_fail(self):
        self._answers('HEAD', _CONTAINER, _AWAY, _THERE)
        self._answers('GET', _OBJECT, _MISSING)
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          'c', 'o')

    def test_container_that_was_there_and_is_not(self):
        self.store = self._store(backoff=1, patience=60)
        self._answers('PUT', _OBJECT, _STORED, _MISSING, _MISSING, _STORED)
        self._answers('HEAD', _CONTAINER, _MISSING)
        self._answers('HEAD', _URL, _THERE)
        for _ in range(2):
            self._put()
        self._answers('PUT', _OBJECT, _MISSING)
        self.assertRaises(exceptions.StoreUnavailable, self._put)

    def test_put_right_after_the_container_was_made(self):
        self.store = self._store(retries=3)
        self._answers('HEAD', _CONTAINER, _THERE)
        server = self._answers('PUT', _OBJECT, _MISSING, _MISSING, _STORED)
        self._put()
        self.assertEqual(3, server.call_count)

    def test_put_that_is_always_wrong(self):
        self._answers('PUT', _OBJECT, _MISSING)
        self._answers('HEAD', _CONTAINER, _THERE)
        self.assertRaises(exceptions.StoreUnavailable, self._put)

    def test_container_that_is_to_be_made(self):
        self._answers('HEAD', _CONTAINER, _MISSING)
        self._answers('HEAD', _URL, _THERE)
        made = self._answers('PUT', _CONTAINER, {'status_code': 201})
        self.store.ensure_container('c', create=True)
        self.assertEqual(1, made.call_count)

    def test_container_is_not_made_over_one_that_is_there(self):
        self._answers('HEAD', _CONTAINER, _MISSING)
        self._answers('HEAD', _URL, _AWAY)
        made = self._answers('PUT', _CONTAINER, {'status_code': 201})
        self.assertRaises(
            exceptions.StoreUnavailable, self.store.ensure_container, 'c',
            create=True, sync=store_base.Sync('//r/c', 'key'))
        self.assertEqual(0, made.call_count)

    def test_container_may_not_be_looked_at(self):
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, {'status_code': 403})
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          'c', 'o')

    def test_refused_token_says_nothing_of_the_container(self):
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, {'status_code': 401})
        self.assertRaises(exceptions.AccessDenied, self.store.delete, 'c',
                          'o')

    def test_container_that_is_slow_to_answer(self):
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, {
            'status_code': 429, 'headers': {'retry-after': '7'}}, _THERE)
        self.store = self._store(patience=60)
        begin = self.clock.now
        self.store.delete('c', 'o')
        self.assertGreaterEqual(self.clock.now - begin, 7)

    def test_container_is_asked_for_now_and_then(self):
        self._all_objects_are_missing()
        container = self._answers('HEAD', _CONTAINER, _THERE)
        for _ in range(40):
            self.store.delete('c', 'o')
            self.clock.now += 1
        self.assertEqual(40 // absence.REMEMBERED, container.call_count)

    def test_only_the_first_absence_takes_time(self):
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, _THERE)
        for _ in range(100):
            self.assertRaises(exceptions.ObjectNotFound, blobs.get,
                              self.store, 'c', 'o')
        self.assertEqual(1.5, sum(self.clock.sleeps))

    def test_nobody_can_tell_for_good(self):
        self.store = self._store(retries=0, backoff=1, patience=60)
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, _AWAY)
        begin = self.clock.now
        for waited in (60, 0, 0):
            # So that a clean-up does not wait as long for each object.
            self.assertRaises(exceptions.StoreUnavailable,
                              self.store.delete, 'c', 'o')
            self.assertAlmostEqual(waited, self.clock.now - begin, delta=30)
            begin = self.clock.now

    def test_container_comes_back(self):
        self.store = self._store(retries=0, backoff=1, patience=60)
        self._answers('HEAD', _CONTAINER, *[_AWAY] * 4, _THERE)
        deleted = self._answers('DELETE', _OBJECT, *[_MISSING] * 3, _THERE)
        self.store.delete('c', 'o')
        self.assertEqual(4, deleted.call_count)
