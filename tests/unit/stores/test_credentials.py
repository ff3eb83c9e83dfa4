# SPDX-License-Identifier: Apache-2.0

"""Where URL and tokens come from, and what is said when they do not."""

import datetime
import gc
import ssl
import threading
from unittest import mock
import uuid
import weakref

from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import fixture
from keystoneauth1 import identity
from keystoneauth1 import session as ksa_session
from oslo_utils import timeutils
from oslotest import base
import requests
import requests_mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import credentials

_V2 = 'http://keystone.test/v2.0'
_V3 = 'http://keystone.test/v3'
_SWIFT = 'http://swift.test/v1/AUTH_p'
_INTERNAL = 'http://swift.internal/v1/AUTH_p'


class CredentialsTestCase(base.BaseTestCase):
    """An identity service that hands out a new token each time."""

    def setUp(self):
        super().setUp()
        self.http = self.enterContext(requests_mock.Mocker())
        self.tokens = []

    def _new_token(self):
        self.tokens.append(f'secret-{uuid.uuid4().hex}')
        return self.tokens[-1]

    def _serve_v3(self, seconds=3600):
        token = fixture.V3Token(
            user_id='u', project_id='p',
            expires=timeutils.utcnow() + datetime.timedelta(seconds=seconds))
        token.set_project_scope(id='p')
        swift = token.add_service('object-store', name='swift')
        swift.add_standard_endpoints(public=_SWIFT, internal=_INTERNAL,
                                     region='one')

        def answer(request, context):
            context.headers['X-Subject-Token'] = self._new_token()
            context.status_code = 201
            return token

        return self.http.post(f'{_V3}/auth/tokens', json=answer)

    def _serve_v2(self):
        token = fixture.V2Token(tenant_id='p')
        token.set_scope(id='p')
        swift = token.add_service('object-store')
        swift.add_endpoint(public=_SWIFT, internal=_INTERNAL, region='one')

        def answer(request, context):
            token.token_id = self._new_token()
            return token

        return self.http.post(f'{_V2}/tokens', json=answer)

    @staticmethod
    def _v3_auth():
        return identity.V3Password(
            _V3, username='u', password='pw', project_name='p',
            user_domain_id='default', project_domain_id='default')

    def _v3_session(self):
        return ksa_session.Session(auth=self._v3_auth())

    def _credentials(self, session=None, *, interface='public',
                     region=None, service_type='object-store',
                     service_token=None):
        return credentials.SessionCredentials(
            session or self._v3_session(), service_type=service_type,
            interface=interface, region=region, service_token=service_token)


class SessionCredentialsTest(CredentialsTestCase):
    """The service's own account."""

    def test_nothing_is_left_to_the_collector(self):
        self._serve_v3()
        who = self._credentials(service_token=credentials.ServiceToken(
            self._v3_auth(), self._v3_session()))
        who.access()
        left = [weakref.ref(each) for each in (
            who, who.session, who._service_token,
            who._service_token._session)]
        gc.disable()
        self.addCleanup(gc.enable)
        del who
        self.assertEqual([None] * 4, [each() for each in left])

    def test_v3(self):
        self._serve_v3()
        access = self._credentials().access()
        self.assertEqual(_SWIFT, access.storage_url)
        self.assertEqual(self.tokens, [access.token])
        self.assertIsNone(access.service_token)

    def test_v2(self):
        self._serve_v2()
        session = ksa_session.Session(auth=identity.V2Password(
            _V2, username='u', password='pw', tenant_name='p'))
        access = self._credentials(session).access()
        self.assertEqual(_SWIFT, access.storage_url)
        self.assertEqual(self.tokens, [access.token])

    def test_interface(self):
        self._serve_v3()
        access = self._credentials(interface='internal').access()
        self.assertEqual(_INTERNAL, access.storage_url)

    def test_token_is_kept(self):
        server = self._serve_v3()
        found = self._credentials()
        self.assertEqual(found.access(), found.access())
        self.assertEqual(1, server.call_count)

    def test_swift_itself_is_not_asked(self):
        self._serve_v3()
        self._credentials().access()
        self.assertEqual({'keystone.test'}, {
            request.hostname for request in self.http.request_history})

    def test_renew_fetches_another_token(self):
        self._serve_v3()
        found = self._credentials()
        first = found.access()
        for _ in range(4):
            self.assertTrue(found.renew(first))
        second = found.access()
        self.assertNotEqual(first.token, second.token)
        self.assertEqual([first.token, second.token], self.tokens)

    def test_region(self):
        self._serve_v3()
        self.assertEqual(_SWIFT,
                         self._credentials(region='one').access().storage_url)
        err = self.assertRaises(exceptions.ConfigurationError,
                                self._credentials(region='two').access)
        for word in ('region two', 'public', 'object-store'):
            self.assertIn(word, str(err))
        self.assertIs(exceptions.Remedy.ENDPOINT, err.remedy)

    def test_no_such_service(self):
        self._serve_v3()
        err = self.assertRaises(
            exceptions.ConfigurationError,
            self._credentials(service_type='store').access)
        self.assertIs(exceptions.Remedy.ENDPOINT, err.remedy)

    def test_wrong_password(self):
        self.http.post(f'{_V3}/auth/tokens', status_code=401)
        err = self.assertRaises(exceptions.AccessDenied,
                                self._credentials().access)
        self.assertIn('refused the credentials', str(err))
        self.assertNotIn('pw', str(err))

    def test_identity_service_fails(self):
        for answer in ({'status_code': 503}, {'status_code': 500},
                       {'exc': ksa_exceptions.ConnectFailure},
                       {'exc': ksa_exceptions.ConnectTimeout}):
            self.http.post(f'{_V3}/auth/tokens', **answer)
            self.assertRaises(exceptions.StoreUnavailable,
                              self._credentials().access)

    def _all_fail(self, **answer):
        return self.http.post(f'{_V3}/auth/tokens', **answer)

    def test_identity_service_is_away_when_the_token_is_renewed(self):
        # It expires soon, so that each request would have another.
        for answer in ({'status_code': 503},
                       {'exc': ksa_exceptions.ConnectFailure},
                       {'exc': ksa_exceptions.ConnectTimeout},
                       # While it is restarted, from a balancer.
                       {'status_code': 404}, {'status_code': 400}):
            self._serve_v3(seconds=30)
            found = self._credentials()
            first = found.access()
            away = self._all_fail(**answer)
            for _ in range(20):
                self.assertEqual(first, found.access())
            # It is not asked for each request.
            self.assertEqual(1, away.call_count)

    def test_token_in_hand_is_refused_while_it_is_away(self):
        self._serve_v3(seconds=30)
        found = self._credentials()
        first = found.access()
        self._all_fail(status_code=503)
        found.access()
        self.assertTrue(found.renew(first))
        self.assertRaises(exceptions.StoreUnavailable, found.access)
        self._serve_v3()
        self.assertNotEqual(first.token, found.access().token)

    def test_identity_service_comes_back(self):
        self._serve_v3(seconds=30)
        found = self._credentials()
        first = found.access()
        self._all_fail(status_code=503)
        found.access()
        self._serve_v3()
        with mock.patch.object(credentials, '_AWAY', -1):
            found.access()
        with mock.patch('time.monotonic', return_value=1e12):
            self.assertNotEqual(first, found.access())

    def test_one_login_at_a_time(self):
        self._serve_v3(seconds=30)
        found = self._credentials()
        first = found.access()
        entered, leave = threading.Event(), threading.Event()

        def slow(request, context):
            entered.set()
            leave.wait(60)
            context.status_code = 503

        self.http.post(f'{_V3}/auth/tokens', text=slow)
        thread = threading.Thread(target=found.access)
        thread.start()
        self.assertTrue(entered.wait(60))
        # Others go on meanwhile.
        self.assertEqual(first, found.access())
        leave.set()
        thread.join()

    def test_failure_of_one_login_is_that_of_all_who_wait(self):
        found = self._credentials()
        waiting = threading.Semaphore(0)
        lock = threading.Lock()

        class Counting:
            def __enter__(self):
                waiting.release()
                lock.acquire()

            def __exit__(self, *_):
                lock.release()

        def slow(request, context):
            for _ in range(3):
                self.assertTrue(waiting.acquire(timeout=60))
            context.status_code = 503

        def login():
            errors.append(self.assertRaises(exceptions.StoreUnavailable,
                                            found.access))

        errors = []
        found._held._lock = Counting()
        server = self.http.post(f'{_V3}/auth/tokens', text=slow)
        threads = [threading.Thread(target=login) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(1, server.call_count)
        self.assertEqual(3, len(set(map(id, errors))))
        # Who comes later asks anew.
        self._serve_v3()
        self.assertEqual(self.tokens, [found.access().token])

    def test_answer_without_a_token(self):
        for document in (None, [], 5, {}, {'token': None}, {'token': {}},
                         {'token': {'expires_at': 'soon'}},
                         {'token': {'expires_at': '2099-01-01T00:00:00Z',
                                    'catalog': [None]}}):
            for headers in ({}, {'X-Subject-Token': 't'}):
                self._all_fail(status_code=201, json=document,
                               headers=headers)
                err = self.assertRaises(exceptions.BackupError,
                                        self._credentials().access)
                self.assertLess(len(err.what), 100, (document, headers))

    def test_service_token_that_is_refused(self):
        self._all_fail(status_code=401)
        err = self.assertRaises(
            exceptions.AccessDenied, credentials.ServiceToken(
                self._v3_auth(), self._v3_session()).token)
        self.assertIs(exceptions.Remedy.SERVICE_LOGIN, err.remedy)

    def test_wrong_url(self):
        self.http.post(f'{_V3}/auth/tokens', status_code=404)
        self.assertRaises(exceptions.ConfigurationError,
                          self._credentials().access)

    def test_no_authentication_at_all(self):
        self.assertRaises(exceptions.BackupError, self._credentials(
            ksa_session.Session()).access)


class ServiceTokenTest(CredentialsTestCase):
    """The token beside a user's."""

    def setUp(self):
        super().setUp()
        self._serve_v3()
        auth = self._v3_auth()
        self.service = credentials.ServiceToken(
            auth, ksa_session.Session(auth=auth))

    def test_renew(self):
        first = self.service.token()
        self.assertEqual(first, self.service.token())
        self.assertTrue(self.service.renew(first))
        self.assertNotEqual(first, self.service.token())
        self.assertEqual(2, len(self.tokens))

    def test_workers_that_were_refused_together(self):
        first = self.service.token()
        for _ in range(4):
            self.assertTrue(self.service.renew(first))
        self.assertNotEqual(first, self.service.token())
        self.assertEqual(2, len(self.tokens))

    def test_refused_while_another_worker_logs_in(self):
        # The plugin has no token then, and says that nothing was forgotten.
        first = self.service.token()
        self.service.renew(first)
        self.assertTrue(self.service.renew(first))

    def test_identity_service_is_away(self):
        self._serve_v3(seconds=30)
        first = self.service.token()
        away = self.http.post(f'{_V3}/auth/tokens', status_code=503)
        for _ in range(20):
            self.assertEqual(first, self.service.token())
        self.assertEqual(1, away.call_count)
        self.assertTrue(self.service.renew(first))
        self.assertRaises(exceptions.StoreUnavailable, self.service.token)

    def test_a_certificate_without_trust(self):
        self.http.post(f'{_V3}/auth/tokens', exc=requests.exceptions.SSLError(
            ssl.SSLCertVerificationError(1, 'self-signed')))
        err = self.assertRaises(exceptions.ConfigurationError,
                                self.service.token)
        self.assertIs(exceptions.Remedy.SERVICE_CERTIFICATE, err.remedy)

    def test_beside_the_users_token(self):
        found = credentials.UserCredentials(_SWIFT, 'users', self.service)
        access = found.access()
        self.assertEqual((_SWIFT, 'users', self.tokens[0]),
                         (access.storage_url, access.token,
                          access.service_token))
        self.assertTrue(found.renew(access))
        again = found.access()
        self.assertEqual('users', again.token)
        self.assertEqual(self.tokens[1], again.service_token)

    def test_beside_the_services_own(self):
        found = self._credentials(service_token=self.service)
        first = found.access()
        self.assertNotEqual(first.token, first.service_token)
        found.renew(first)
        second = found.access()
        self.assertNotIn(second.token, (first.token, first.service_token))
        self.assertNotIn(second.service_token,
                         (first.token, first.service_token))


class UserCredentialsTest(base.BaseTestCase):
    """A request's own token."""

    def test_cannot_be_renewed(self):
        found = credentials.UserCredentials(_SWIFT, 'users')
        self.assertFalse(found.renew(found.access()))
        self.assertEqual(credentials.Access(_SWIFT, 'users'), found.access())

    def test_remedy(self):
        self.assertIs(exceptions.Remedy.TOKEN,
                      credentials.UserCredentials.remedy)
        self.assertIs(exceptions.Remedy.LOGIN,
                      credentials.SessionCredentials.remedy)


class SecretsTest(base.BaseTestCase):
    """Tokens end up in logs by way of representations."""

    def test_no_token_in_any_representation(self):
        access = credentials.Access(_SWIFT, 'secret-1', 'secret-2')
        found = credentials.UserCredentials(_SWIFT, 'secret-1')
        for text in (repr(access), str(access), f'{access}', repr(found),
                     f'{[access]}'):
            self.assertNotIn('secret', text)
        self.assertIn(_SWIFT, repr(access))


class IdentifyTest(base.BaseTestCase):
    """Only our own errors come out."""

    def test_every_error_of_keystoneauth(self):
        def raiser(error):
            def call():
                raise error
            return call

        kinds = [kind for kind in vars(ksa_exceptions).values()
                 if isinstance(kind, type)
                 and issubclass(kind, ksa_exceptions.ClientException)]
        self.assertGreater(len(kinds), 30)
        for kind in kinds:
            # Not all can be made from a text, and how does not matter.
            error = kind.__new__(kind)
            Exception.__init__(error, 'it broke')
            try:
                credentials.identify(raiser(error))
            except exceptions.BackupError as err:
                self.assertIn('identity service', str(err))
            else:
                self.fail(f'{kind} was swallowed')

    def test_a_certificate_without_trust(self):
        def call(error):
            raise ksa_exceptions.SSLError('SSL exception') from error

        distrust = ssl.SSLCertVerificationError(1, 'self-signed')
        err = self.assertRaises(exceptions.ConfigurationError,
                                credentials.identify, lambda: call(distrust))
        self.assertIs(exceptions.Remedy.CERTIFICATE, err.remedy)
        self.assertIn('the identity service is not trusted', str(err))
        self.assertRaises(exceptions.StoreUnavailable, credentials.identify,
                          lambda: call(ssl.SSLEOFError(8, 'EOF')))

    def test_no_answer(self):
        for nothing in (None, ''):
            self.assertRaises(exceptions.AccessDenied, credentials.identify,
                              lambda nothing=nothing: nothing)

    def test_answer(self):
        self.assertEqual('x', credentials.identify(lambda: 'x'))
