# SPDX-License-Identifier: Apache-2.0

"""Which account a store works in, and as whom."""

from unittest import mock

from cinder import service_auth
from keystoneauth1 import fixture
from oslo_config import cfg

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import auth
from cinder_swift_backup.driver import settings
from cinder_swift_backup.stores import credentials
from tests.fakes import blobs
from tests.unit.driver import base

_KEYSTONE = 'http://keystone.test'


def _header(request, name):
    value = request.headers.get(name)
    return value.decode() if isinstance(value, bytes) else value


class AuthTestCase(base.HttpTestCase):
    """Stores that are used, to see where their requests go."""

    def _used(self, url, store):
        """The request with which ``store`` gets an object at ``url``."""
        server = self.serve_swift(url)
        self.addCleanup(store.close)
        self.assertEqual(b'data', blobs.get(store, 'c', 'o'))
        return server.last_request


class PerUserTest(AuthTestCase):
    """The request's token, the owner's account."""

    def test_configured_url(self):
        self.config(backup_swift_url=base.SWIFT)
        request = self._used(base.SWIFT + base.OWNER, base.make_store(
            self.context()))
        self.assertEqual('users-token', _header(request, 'X-Auth-Token'))
        self.assertIsNone(_header(request, 'X-Service-Token'))

    def test_configured_url_and_anothers_backup(self):
        self.config(backup_swift_url=base.SWIFT)
        self._used(base.SWIFT + base.OWNER, base.make_store(
            self.context(project=base.OTHER)))

    def test_catalog(self):
        self._used(f'http://one.swift.test/v1/AUTH_{base.OWNER}',
                   base.make_store(
                       self.context(services=base.catalog(
                           base.OWNER, 'one', 'two'))))

    def test_catalog_and_anothers_backup(self):
        # An administrator's own account would hold nothing to delete.
        self._used(f'http://one.swift.test/v1/AUTH_{base.OWNER}',
                   base.make_store(
                       self.context(project=base.OTHER,
                                    services=base.catalog(
                                        base.OTHER, 'one'))))

    def test_region(self):
        self.config(backup_swift_region_name='two')
        self._used(f'http://two.swift.test/v1/AUTH_{base.OWNER}',
                   base.make_store(
                       self.context(services=base.catalog(
                           base.OWNER, 'one', 'two'))))

    def test_no_endpoint(self):
        err = self.assertRaises(exceptions.ConfigurationError,
                                base.make_store, self.context())
        self.assertIs(exceptions.Remedy.ENDPOINT, err.remedy)

    def test_no_token(self):
        self.config(backup_swift_url=base.SWIFT)
        err = self.assertRaises(exceptions.AccessDenied, base.make_store,
                                self.context(token=None))
        self.assertIs(exceptions.Remedy.OTHER_USER, err.remedy)

    def test_url_that_does_not_name_the_project(self):
        # As of Ceph's gateway: every token finds its own account there.
        services = base.catalog('', 'one')
        self.assertIsNotNone(base.make_store(
            self.context(services=services)))
        for project in (base.OTHER, None):
            err = self.assertRaises(
                exceptions.AccessDenied, base.make_store,
                self.context(project=project, services=services))
            self.assertIn(base.OWNER, str(err))

    def test_expired_token_tells_the_remedy(self):
        self.config(backup_swift_url=base.SWIFT)
        self.http.get(f'{base.SWIFT}{base.OWNER}/c/o', status_code=401)
        store = base.make_store(self.context())
        err = self.assertRaises(exceptions.AccessDenied, blobs.get,
                                store, 'c', 'o')
        self.assertIs(exceptions.Remedy.TOKEN, err.remedy)


class ServiceTokenTest(AuthTestCase):
    """The token beside the user's."""

    def setUp(self):
        super().setUp()
        self.config(backup_swift_url=base.SWIFT,
                    backup_swift_service_auth=True)

    def test_sent(self):
        plugin = mock.Mock()
        plugin.get_token.return_value = 'services-token'
        with mock.patch.object(service_auth, 'get_service_auth_plugin',
                               return_value=plugin):
            store = base.make_store(self.context())
        request = self._used(base.SWIFT + base.OWNER, store)
        self.assertEqual('services-token',
                         _header(request, 'X-Service-Token'))
        self.assertEqual('users-token', _header(request, 'X-Auth-Token'))

    def test_service_is_not_waited_for_without_end(self):
        plugin = mock.Mock()
        plugin.get_token.return_value = 'services-token'
        for option, timeout in ((None, 60), (5, 5)):
            cfg.CONF.set_override('timeout', option, 'service_user')
            with mock.patch.object(service_auth, 'get_service_auth_plugin',
                                   return_value=plugin):
                store = base.make_store(self.context())
            self._used(base.SWIFT + base.OWNER, store)
            session = plugin.get_token.call_args.args[0]
            self.assertEqual(timeout, session.timeout)

    def test_no_service_user(self):
        with mock.patch.object(auth.LOG, 'warning') as warned:
            store = base.make_store(self.context())
        self.assertIn('send_service_user_token', warned.call_args.args[0])
        request = self._used(base.SWIFT + base.OWNER, store)
        self.assertIsNone(_header(request, 'X-Service-Token'))


class SingleUserTest(AuthTestCase):
    """An account of the service's own, by three versions."""

    def setUp(self):
        super().setUp()
        self.config(backup_swift_auth='single_user',
                    backup_swift_auth_url=_KEYSTONE,
                    backup_swift_user='backup', backup_swift_key='key')

    def _store(self):
        return base.make_store(self.context())

    def _serve_v2(self):
        token = fixture.V2Token(token_id='services-own')
        token.set_scope(id='p')
        service = token.add_service('object-store')
        for region in ('one', 'two'):
            service.add_endpoint(public=f'http://{region}.swift.test/v1/A',
                                 internal=f'http://{region}.internal/v1/A',
                                 region=region)
        return self.http.post(f'{_KEYSTONE}/v2.0/tokens', json=token)

    def _serve_v3(self):
        token = fixture.V3Token()
        token.set_project_scope(id='p')
        service = token.add_service('object-store')
        for region in ('one', 'two'):
            service.add_standard_endpoints(
                public=f'http://{region}.swift.test/v1/A',
                internal=f'http://{region}.internal/v1/A', region=region)
        return self.http.post(
            f'{_KEYSTONE}/v3/auth/tokens', json=token,
            headers={'X-Subject-Token': 'services-own'})

    def test_v1(self):
        self.config(backup_swift_auth_url=f'{_KEYSTONE}/auth/v1.0')
        login = self.http.get(f'{_KEYSTONE}/auth/v1.0', headers={
            'X-Storage-Url': 'http://swift.test/v1/AUTH_own',
            'X-Auth-Token': 'services-own'})
        request = self._used('http://swift.test/v1/AUTH_own', self._store())
        self.assertEqual('services-own', _header(request, 'X-Auth-Token'))
        self.assertEqual('backup',
                         login.last_request.headers['X-Auth-User'])
        self.assertEqual('key', login.last_request.headers['X-Auth-Key'])

    def test_v1_beyond_ascii(self):
        self.config(backup_swift_auth_url=f'{_KEYSTONE}/auth/v1.0',
                    backup_swift_user='b\u00e4ckup:\u65e5\u672c',
                    backup_swift_key='\u00e0 \u043f\u0430\u0440')
        login = self.http.get(f'{_KEYSTONE}/auth/v1.0', headers={
            'X-Storage-Url': 'http://swift.test/v1/AUTH_own',
            'X-Auth-Token': 'services-own'})
        self._used('http://swift.test/v1/AUTH_own', self._store())
        # As HTTP libraries send a text.
        sent = {name: login.last_request.headers[name].encode('latin-1')
                for name in ('X-Auth-User', 'X-Auth-Key')}
        self.assertEqual(
            {'X-Auth-User': 'b\u00e4ckup:\u65e5\u672c'.encode(),
             'X-Auth-Key': '\u00e0 \u043f\u0430\u0440'.encode()}, sent)

    def test_v1_that_cannot_be_sent(self):
        self.config(backup_swift_auth_url=f'{_KEYSTONE}/auth/v1.0',
                    backup_swift_key=' very-secret')
        err = self.assertRaises(exceptions.ConfigurationError, self._store)
        self.assertIn('the key of the login', str(err))
        self.assertNotIn('secret', str(err))
        self.assertIs(exceptions.Remedy.LOGIN, err.remedy)

    def test_v1_refused(self):
        self.config(backup_swift_auth_url=f'{_KEYSTONE}/auth/v1.0')
        self.http.get(f'{_KEYSTONE}/auth/v1.0', status_code=401)
        err = self.assertRaises(exceptions.AccessDenied,
                                blobs.get, self._store(), 'c', 'o')
        self.assertIn('refused the credentials', str(err))

    def test_v2(self):
        self.config(backup_swift_auth_version='2',
                    backup_swift_tenant='service')
        login = self._serve_v2()
        request = self._used('http://one.swift.test/v1/A', self._store())
        self.assertEqual('services-own', _header(request, 'X-Auth-Token'))
        self.assertEqual(
            {'auth': {'tenantName': 'service', 'passwordCredentials': {
                'username': 'backup', 'password': 'key'}}},
            login.last_request.json())

    def test_v2_tenant_in_the_user(self):
        self.config(backup_swift_auth_version='2.0',
                    backup_swift_user='service:backup')
        login = self._serve_v2()
        self._used('http://one.swift.test/v1/A', self._store())
        sent = login.last_request.json()['auth']
        self.assertEqual('service', sent['tenantName'])
        self.assertEqual('backup', sent['passwordCredentials']['username'])

    def test_v3(self):
        self.config(backup_swift_auth_version='3',
                    backup_swift_project='service',
                    backup_swift_user_domain='Users',
                    backup_swift_project_domain='Projects')
        login = self._serve_v3()
        request = self._used('http://one.swift.test/v1/A', self._store())
        self.assertEqual('services-own', _header(request, 'X-Auth-Token'))
        sent = login.last_request.json()['auth']
        self.assertEqual(
            {'name': 'backup', 'password': 'key',
             'domain': {'name': 'Users'}},
            sent['identity']['password']['user'])
        self.assertEqual({'project': {'name': 'service',
                                      'domain': {'name': 'Projects'}}},
                         sent['scope'])

    def test_v3_default_domains_and_tenant(self):
        self.config(backup_swift_auth_version='3',
                    backup_swift_tenant='service')
        login = self._serve_v3()
        self._used('http://one.swift.test/v1/A', self._store())
        sent = login.last_request.json()['auth']
        self.assertEqual({'id': 'default'},
                         sent['identity']['password']['user']['domain'])
        self.assertEqual({'name': 'service', 'domain': {'id': 'default'}},
                         sent['scope']['project'])

    def test_auth_url_may_have_its_version(self):
        for url in (f'{_KEYSTONE}/v3', f'{_KEYSTONE}/v3/', f'{_KEYSTONE}/'):
            self.config(backup_swift_auth_version='3',
                        backup_swift_project='service',
                        backup_swift_auth_url=url)
            login = self._serve_v3()
            self._used('http://one.swift.test/v1/A', self._store())
            self.assertEqual(1, login.call_count, url)

    def test_region_and_interface(self):
        self.config(backup_swift_auth_version='3',
                    backup_swift_project='service',
                    backup_swift_region_name='two',
                    swift_catalog_info='object-store:swift:internalURL')
        self._serve_v3()
        self._used('http://two.internal/v1/A', self._store())

    def test_auth_url_from_the_catalog(self):
        self.config(backup_swift_auth_version='3',
                    backup_swift_project='service',
                    backup_swift_auth_url=None)
        token = fixture.V3Token()
        token.set_project_scope(id='p')
        token.add_service('object-store').add_standard_endpoints(
            public='http://one.swift.test/v1/A', region='one')
        self.http.post('http://one.keystone.test/v3/auth/tokens', json=token,
                       headers={'X-Subject-Token': 'services-own'})
        self._used('http://one.swift.test/v1/A', base.make_store(
            self.context(services=base.catalog(base.OWNER, 'one'))))

    def test_token_is_renewed(self):
        self.config(backup_swift_auth_version='3',
                    backup_swift_project='service')
        login = self._serve_v3()
        self.http.get('http://one.swift.test/v1/A/c/o', [
            {'status_code': 401},
            {'content': b'data', 'headers': {'content-length': '4'}}])
        self.assertEqual(b'data', blobs.get(self._store(), 'c', 'o'))
        self.assertEqual(2, login.call_count)

    def test_missing_options(self):
        for version, missing in (
                ('1', 'backup_swift_user'), ('1', 'backup_swift_key'),
                ('2', 'backup_swift_user'), ('2', 'backup_swift_key'),
                ('2', 'backup_swift_tenant'), ('3', 'backup_swift_user'),
                ('3', 'backup_swift_key'), ('3', 'backup_swift_project')):
            self.config(backup_swift_auth_version=version,
                        backup_swift_user='backup', backup_swift_key='key',
                        backup_swift_tenant=None, backup_swift_project=None)
            self.config(**{missing: None})
            err = self.assertRaises(exceptions.ConfigurationError,
                                    self._store)
            self.assertTrue(str(err).startswith(f'{missing} is not set'),
                            str(err))
            self.assertIn(f'backup_swift_auth_version = {version}', str(err))
            self.assertNotIn('\n', str(err))

    def test_unknown_version(self):
        self.config(backup_swift_auth_version='4')
        err = self.assertRaises(exceptions.ConfigurationError, self._store)
        self.assertIn("backup_swift_auth_version is '4'", str(err))

    def test_no_secret_is_told(self):
        self.config(backup_swift_auth_version='3', backup_swift_key='s3cret')
        err = self.assertRaises(exceptions.ConfigurationError, self._store)
        self.assertNotIn('s3cret', str(err))


class TransportTest(base.DriverTestCase):
    """How requests are sent."""

    def test_defaults(self):
        found = settings.read().transport
        self.assertEqual((None, False, 3, 2),
                         (found.ca_file, found.insecure, found.retries,
                          found.backoff))

    def test_options(self):
        self.config(backup_swift_ca_cert_file='/ca.pem',
                    backup_swift_auth_insecure=True,
                    backup_swift_retry_attempts=7,
                    backup_swift_retry_backoff=11)
        found = settings.read().transport
        self.assertEqual(('/ca.pem', True, 7, 11),
                         (found.ca_file, found.insecure, found.retries,
                          found.backoff))

    def test_identity_service_is_verified_likewise(self):
        self.config(backup_swift_auth='single_user',
                    backup_swift_auth_url=_KEYSTONE, backup_swift_user='u',
                    backup_swift_key='k')
        for options, verify in (
                ({}, True),
                ({'backup_swift_ca_cert_file': '/ca.pem'}, '/ca.pem'),
                ({'backup_swift_auth_insecure': True}, False)):
            self.config(**options)
            with mock.patch.object(credentials, 'SessionCredentials') as made:
                base.make_store(self.context())
            self.assertEqual(verify, made.call_args.args[0].verify)
