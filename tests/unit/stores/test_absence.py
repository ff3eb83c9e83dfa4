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
from tests.fakes import answers
from tests.fakes import blobs
from tests.fakes import clock

_URL = 'http://swift.test/v1/AUTH_p'
_CONTAINER = f'{_URL}/c'
_OBJECT = f'{_URL}/c/o'
_MISSING = {'status_code': 404}
_DELETED = {'status_code': 204}
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
        self._answers('GET', _URL, answers.listed())

    def _store(self, **options):
        store = swift.SwiftStore(swift_session.Session(
            credentials.UserCredentials(_URL, 't'),
            transport.Transport(**{'retries': 0, **options})))
        self.addCleanup(store.close)
        return store

    def _answers(self, method, url, *replies):
        return self.http.register_uri(method, url, list(replies))

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
        self._answers('HEAD', _CONTAINER, answers.CONTAINER)
        self.store.delete('c', 'o')
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          'c', 'o')
        self.assertRaises(exceptions.ObjectNotFound, self.store.segments,
                          'c', 'o')
        self.assertEqual([4, 4, 2, 0],
                         [server.call_count for server in servers])

    def test_object_that_is_often_not_there(self):
        self._answers('HEAD', _CONTAINER, answers.CONTAINER)
        asked = self._answers('GET', _OBJECT, _MISSING)
        before = self.clock.now
        self.assertRaises(
            exceptions.ObjectNotFound, self.store.read, 'c', 'o', b''.join,
            rare=True)
        self.assertEqual(2, asked.call_count)
        self.assertEqual(before, self.clock.now)

    def test_object_of_a_container_that_is_not_there(self):
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, _MISSING)
        self._answers('HEAD', _URL, answers.ACCOUNT)
        self.store.delete('c', 'o')
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          'c', 'o')
        self.assertRaises(exceptions.ContainerNotFound, self._put)

    def test_those_that_are_right_are_not_told(self):
        log = self.useFixture(fixtures.FakeLogger('cinder_swift_backup',
                                                  level=logging.INFO))
        self._answers('HEAD', _CONTAINER, answers.CONTAINER)
        self._answers('GET', _OBJECT, _MISSING)
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          'c', 'o')
        self.assertEqual('', log.output)
        self._answers('GET', _OBJECT, _MISSING, _CONTENT)
        blobs.get(self.store, 'c', 'o')
        self.assertIn('404 (1 in a row) for something that exists', log.output)

    def test_one_404_that_is_wrong(self):
        self._answers('HEAD', _CONTAINER, answers.CONTAINER)
        self._answers('HEAD', _URL, answers.ACCOUNT)
        self._answers('GET', _OBJECT, _MISSING, _CONTENT)
        self.assertEqual(b'x', blobs.get(self.store, 'c', 'o'))
        self._answers('HEAD', _OBJECT, _MISSING, answers.OBJECT)
        self.assertIsNone(self.store.segments('c', 'o'))
        deleted = self._answers('DELETE', _OBJECT, _MISSING, _DELETED)
        self.store.delete('c', 'o')
        self.assertEqual(2, deleted.call_count)
        self._answers('GET', _CONTAINER, _MISSING,
                      {'status_code': 200, 'json': []})
        self.assertEqual([], list(self.store.list('c', '')))
        self._answers('HEAD', _CONTAINER, _MISSING, answers.CONTAINER)
        self.store.ensure_container('c', create=False)

    def test_proxy_that_is_sick(self):
        # It knows nothing of containers, and another answers in between.
        self._answers('HEAD', _CONTAINER, answers.CONTAINER)
        self._answers('GET', _OBJECT, *[_MISSING] * 3, _CONTENT)
        self.assertEqual(b'x', blobs.get(self.store, 'c', 'o'))
        # Here it is the one that is asked for the container.
        self.clock.now += 60
        self._answers('HEAD', _CONTAINER, *[answers.CONTAINER] * 2,
                      *[_AWAY] * 2)
        self._answers('GET', _OBJECT, _MISSING)
        self.assertRaises(exceptions.StoreUnavailable, blobs.get, self.store,
                          'c', 'o')

    def test_requests_in_step_with_servers_that_fail(self):
        self._answers('HEAD', _CONTAINER, _AWAY, answers.CONTAINER)
        self._answers('GET', _OBJECT, _MISSING)
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          'c', 'o')

    def test_container_that_was_there_and_is_not(self):
        self.store = self._store(backoff=1, patience=60)
        self._answers('PUT', _OBJECT, _STORED, _MISSING, _MISSING, _STORED)
        self._answers('HEAD', _CONTAINER, _MISSING)
        self._answers('HEAD', _URL, answers.ACCOUNT)
        for _ in range(2):
            self._put()
        self._answers('PUT', _OBJECT, _MISSING)
        self.assertRaises(exceptions.StoreUnavailable, self._put)

    def _asks_for_the_container(self):
        return {
            'list': lambda: list(self.store.list('c', '')),
            'sync': lambda: self.store.sync('c'),
            'ensure': lambda: self.store.ensure_container('c', create=False)}

    def _container_answers(self, *replies):
        self._answers('HEAD', _CONTAINER, *replies, answers.CONTAINER)
        self._answers('GET', _CONTAINER, *replies,
                      {'status_code': 200, 'json': []})

    def test_container_that_is_listed_and_404_for_a_moment(self):
        self._answers('HEAD', _URL, answers.ACCOUNT)
        # A listing that others are not allowed, fails, or shows something
        # else, tells nothing.
        for listing in (answers.listed('c', 'ca'), answers.listed('b'), _AWAY,
                        _MISSING, {'status_code': 403}, {'status_code': 429},
                        answers.PAGE):
            self._answers('GET', _URL, listing)
            for name, call in self._asks_for_the_container().items():
                self.store = self._store()
                begin = self.clock.now
                self._container_answers(_MISSING, _MISSING, _MISSING)
                call()
                self.assertGreaterEqual(self.clock.now - begin, 1, name)

    def test_container_that_is_listed_and_404_for_good(self):
        self._answers('HEAD', _URL, answers.ACCOUNT)
        self._answers('GET', _URL, answers.listed('c'))
        self._container_answers(*[_MISSING] * 4)
        self.assertRaises(exceptions.ContainerNotFound, self.store.sync, 'c')

    def test_container_that_is_nowhere_is_cheap(self):
        servers = [self._answers('HEAD', _URL, answers.ACCOUNT),
                   self._answers('GET', _URL, answers.listed('ca'))]
        for call in self._asks_for_the_container().values():
            self._container_answers(_MISSING, _MISSING)
            self.assertRaises(exceptions.ContainerNotFound, call)
        self.assertEqual([1, 3], [server.call_count for server in servers])
        self.assertEqual(['c'], servers[1].last_request.qs['prefix'])
        # Ceph's gateway filters by the prefix only after it has counted.
        self.assertNotIn('limit', servers[1].last_request.qs)
        self.assertEqual([], [each for each in self.clock.sleeps if each])

    def test_container_that_was_there_is_not_gone(self):
        self._answers('HEAD', _URL, answers.ACCOUNT)
        self._all_objects_are_missing()
        for seen in self._asks_for_the_container().values():
            self.store = self._store()
            self._container_answers()
            seen()
            # However long ago.
            self.clock.now += 3600
            self._answers('HEAD', _CONTAINER, _MISSING)
            self._answers('GET', _CONTAINER, _MISSING)
            for name, call in {**self._calls(),
                               **self._asks_for_the_container()}.items():
                if name == 'delete':
                    # Which is looked at afterwards.
                    call()
                    continue
                err = self.assertRaises(exceptions.StoreUnavailable, call)
                self.assertIn('the container existed before', str(err), name)

    def test_container_that_was_there_comes_back(self):
        self.store = self._store(backoff=1, patience=60)
        self._answers('HEAD', _URL, answers.ACCOUNT)
        self._container_answers()
        self.store.sync('c')
        for call in self._asks_for_the_container().values():
            begin = self.clock.now
            self._container_answers(*[_MISSING] * 5)
            call()
            self.assertLess(self.clock.now - begin, 60)
        self._answers('HEAD', _CONTAINER, _MISSING)
        begin = self.clock.now
        self.assertRaises(exceptions.StoreUnavailable, self.store.sync, 'c')
        self.assertAlmostEqual(60, self.clock.now - begin, delta=15)

    def test_nothing_is_known_of_another_store(self):
        self._answers('HEAD', _URL, answers.ACCOUNT)
        self._container_answers()
        self.store.sync('c')
        self._answers('HEAD', _CONTAINER, _MISSING)
        self.assertRaises(exceptions.ContainerNotFound, self._store().sync,
                          'c')

    def test_what_the_cluster_can_do_tells_nothing_of_the_account(self):
        self._answers('GET', 'http://swift.test/info', {'json': {}})
        self.store.capabilities()
        self._answers('GET', _CONTAINER, _MISSING)
        self._answers('HEAD', _URL, _AWAY)
        self.assertRaises(exceptions.StoreUnavailable, list,
                          self.store.list('c', ''))

    def test_pages_of_others_instead_of_the_container(self):
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, answers.PAGE)
        for call in self._calls().values():
            self.assertRaises(exceptions.StoreUnavailable, call)
        self._answers('HEAD', _CONTAINER, _MISSING)
        self._answers('HEAD', _URL, answers.PAGE)
        for call in (*self._calls().values(), lambda: self.store.sync('c')):
            self.assertRaises(exceptions.StoreUnavailable, call)

    def test_account_404(self):
        server = self._answers('GET', _URL, _MISSING, answers.listed('c'),
                               _MISSING, answers.listed())
        self.store = self._store(retries=1)
        self.assertEqual(['c'], list(self.store.containers()))
        self.assertEqual(4, server.call_count)

    def test_account_404_for_good(self):
        self.store = self._store(backoff=1, patience=60)
        self._answers('GET', _URL, {
            'status_code': 404, 'headers': {'X-Trans-Id': 'tx1'}})
        begin = self.clock.now
        err = self.assertRaises(exceptions.StoreUnavailable, list,
                                self.store.containers())
        self.assertAlmostEqual(60, self.clock.now - begin, delta=15)
        self.assertIs(exceptions.Remedy.ENDPOINT, err.remedy)
        self.assertEqual('tx1', err.transaction)

    def test_put_right_after_the_container_was_made(self):
        self.store = self._store(retries=3)
        self._answers('HEAD', _CONTAINER, answers.CONTAINER)
        server = self._answers('PUT', _OBJECT, _MISSING, _MISSING, _STORED)
        self._put()
        self.assertEqual(3, server.call_count)

    def test_put_that_is_always_wrong(self):
        self._answers('PUT', _OBJECT, _MISSING)
        self._answers('HEAD', _CONTAINER, answers.CONTAINER)
        self.assertRaises(exceptions.StoreUnavailable, self._put)

    def test_container_that_is_to_be_made(self):
        self._answers('HEAD', _CONTAINER, _MISSING)
        self._answers('HEAD', _URL, answers.ACCOUNT)
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
            'status_code': 429, 'headers': {'retry-after': '7'}},
                      answers.CONTAINER)
        self.store = self._store(patience=60)
        begin = self.clock.now
        self.store.delete('c', 'o')
        self.assertGreaterEqual(self.clock.now - begin, 7)

    def test_container_is_asked_for_now_and_then(self):
        self._all_objects_are_missing()
        container = self._answers('HEAD', _CONTAINER, answers.CONTAINER)
        for _ in range(40):
            self.store.delete('c', 'o')
            self.clock.now += 1
        self.assertEqual(40 // absence.REMEMBERED, container.call_count)

    def test_only_the_first_absence_takes_time(self):
        self._all_objects_are_missing()
        self._answers('HEAD', _CONTAINER, answers.CONTAINER)
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
        self._answers('HEAD', _CONTAINER, *[_AWAY] * 4, answers.CONTAINER)
        deleted = self._answers('DELETE', _OBJECT, *[_MISSING] * 3, _DELETED)
        self.store.delete('c', 'o')
        self.assertEqual(4, deleted.call_count)
