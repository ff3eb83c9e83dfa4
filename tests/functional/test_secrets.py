# SPDX-License-Identifier: Apache-2.0

"""No token, key or password is in a log or in the text of an error.

1. Back up, restore and delete through fault proxies, before Swift and before
   Keystone, with faults on the way; then have operations fail.
2. Keep what all loggers say meanwhile, at DEBUG, and the text of each error.
3. Collect the secrets: those that are configured, and what the proxies saw in
   the headers that carry any.
4. No part of them that is as long as chance cannot make it is in the texts.
5. Log such a part of each, and see that it is found.

Drivers do it in the process of the test, with each way to log in, and a real
service does it with its own log.
"""

import logging
import random
import re
import secrets
import traceback
import urllib.parse

from cinder import context as cinder_context
from cinder import exception as cinder_exception
from keystoneauth1 import session as ksa_session
from oslo_config import cfg
from swiftclient import authv1
from swiftclient import client

from cinder_swift_backup.stores import credentials
from tests.cloud.fault_proxy import proxy as fault_proxy
from tests.cloud.fault_proxy.rules import Answer
from tests.cloud.fault_proxy.rules import Flip
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Moment
from tests.cloud.fault_proxy.rules import Reset
from tests.cloud.fault_proxy.rules import rule
from tests.faults import base as faults
from tests.faults import operations
from tests.functional import base
from tests.functional import cinder_side
from tests.functional import own_cinder
from tests.functional.api import MIB
from tests.functional.cinder_side import OURS

CONF = cfg.CONF
LOG = logging.getLogger(__name__)
# How many characters in a row are no chance, of 64 kinds and of 16.
_PART = 8
_HEX_PART = 12
_HEX = re.compile('[0-9a-f]+')
# Who has to be heard, or the test would be deaf.
_SPEAKERS = ('cinder_swift_backup', 'swiftclient', 'urllib3')

_BACKUP = (
    rule(Answer(401), 'PUT', Kind.CHUNK, first=2),
    rule(Answer(503), 'PUT', Kind.CHUNK, first=4),
    rule(Reset(), 'PUT', Kind.DIGESTS),
    rule(Flip(), 'PUT', Kind.MANIFEST),
)
_INCREMENTAL = (
    rule(Answer(401), 'GET', Kind.MANIFEST),
    rule(Flip(), 'GET', Kind.DIGESTS),
    rule(Answer(503), 'PUT', Kind.CHUNK),
    rule(Reset(Moment.ANSWERED), 'PUT', Kind.MANIFEST),
)
_RESTORE = (
    rule(Answer(401), 'GET', Kind.DIGESTS),
    rule(Flip(), 'GET', Kind.CHUNK, first=1),
    rule(Reset(Moment.IN_ANSWER), 'GET', Kind.CHUNK, first=3),
    rule(Answer(503, {'Retry-After': '1'}), 'GET', Kind.CHUNK, first=5),
)
_DELETE = (
    rule(Answer(401), 'DELETE', Kind.CHUNK),
    rule(Answer(503), 'DELETE', Kind.DIGESTS),
    rule(Reset(), 'DELETE', Kind.MANIFEST),
)


class Ear(logging.Handler):
    """Keeps all that is logged."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter('%(name)s %(message)s'))
        self.names = set()
        self.lines = []

    def emit(self, record):
        """Keep it, with the traceback of an exception."""
        self.names.add(record.name)
        self.lines.append(self.format(record))


class Secrets:
    """What nobody should be told, and where it was seen."""

    def __init__(self):
        self._seen = {}

    def learn(self, source, secret):
        """Remember a secret."""
        self._seen.setdefault(secret, set()).add(source)

    def learn_from(self, proxy):
        """Remember the secrets that a fault proxy has seen."""
        for request in proxy.requests():
            for header, value in request.secrets.items():
                self.learn(header, value)

    def all(self):
        """All of them."""
        return sorted(self._seen)

    def check_seen(self, test, headers):
        """There are some of each of these headers, and configured ones."""
        seen = set().union(*self._seen.values())
        test.assertEqual(set(), {*headers, 'configured'} - seen)

    def parts(self):
        """A part of each, as long as chance cannot make it."""
        return [secret[1:1 + _size(secret)] for secret in self.all()]

    def found(self, text):
        """The secrets of which a text tells a part."""
        told = {size: _parts(text, size) for size in (_PART, _HEX_PART)}
        return [secret for secret in self.all()
                if told[_size(secret)] & _parts(secret, _size(secret))]


def _size(secret):
    return _HEX_PART if _HEX.fullmatch(secret) else _PART


def _parts(text, size):
    return {text[place:place + size]
            for place in range(len(text) - size + 1)}


class SecretsTestCase(faults.FaultTestCase):
    """What is common to all ways to log in."""

    # Headers in which a secret has to be seen.
    carriers = frozenset({'x-auth-token', 'x-container-sync-key'})

    def setUp(self):
        self._proxies = []
        self._secrets = Secrets()
        super().setUp()
        # A proxy tells of the test before, too.
        self._secrets = Secrets()
        self.ear = self._listen()
        # Not that which the base class has made.
        self.container = f'{self.container}-secret'
        self.sync_key = secrets.token_urlsafe(24)
        self.configure(
            backup_swift_container=self.container,
            backup_swift_container_sync_to='//realm/site',
            backup_swift_container_sync_key=self.sync_key)
        self._secrets.learn('configured', self.sync_key)

    def find_proxy(self):
        """See the base class."""
        return self.use_proxy(self.cloud.swift_url)

    def use_proxy(self, url):
        """The proxy before a service."""
        found = faults.proxy_before(url)
        self._proxies.append(found)
        return found

    def heal(self):
        """See the base class; what the proxies have seen is kept."""
        for proxy in self._proxies:
            self._secrets.learn_from(proxy)
            proxy.accept()
            proxy.apply()

    def access(self):
        """Access to the account of the backups."""
        return base.swift_credentials(self.cloud.demo, self.cloud).access()

    def check(self):
        """Do all of it."""
        CONF.log_opt_values(LOG, logging.DEBUG)
        OURS(cinder_context.get_admin_context()).check_for_setup_error()
        operation = operations.Backup(self)
        # The cluster knows of no realm.
        self._fails(operation.back_up)
        self._make_container()
        full = self._with(_BACKUP, operation.back_up)
        operation.change()
        tip = self._with(_INCREMENTAL, lambda: operation.back_up(full))
        self.assertEqual(full.id, tip.parent_id)
        self._with(_RESTORE, lambda: operation.restore_and_compare(tip))
        self._fail(operation, tip)
        self._with(_DELETE, lambda: operation.delete(tip))
        tip.destroy()
        operation.delete(full)
        self.heal()
        self._check_secrets()

    def deny_login(self):
        """Have the login refused from now on."""
        wrong = secrets.token_urlsafe(12)
        self._secrets.learn('configured', wrong)
        self.configure(backup_swift_key=wrong)

    def allow_login(self):
        """Have it accepted again."""
        self.configure(backup_swift_key=self.password)

    def _fail(self, operation, backup):
        for fault in (rule(Answer(403), 'GET', Kind.CHUNK, count=None),
                      rule(Answer(401), 'GET', Kind.CHUNK, count=None)):
            self._with([fault], lambda: self._fails(
                lambda: operation.restore_and_compare(backup)))
        self.deny_login()
        self._fails(operation.back_up)
        self._fails(lambda: operation.delete(backup))
        self.allow_login()

    def _fails(self, work):
        error = self.assertRaises(cinder_exception.CinderException, work)
        self.ear.lines += [str(error), repr(error),
                           *traceback.format_exception(error)]

    def _with(self, rules, work):
        """Do work while these faults happen, each of which has to."""
        self.proxy.apply(*rules)
        result = work()
        hits = self.proxy.hits()
        self.heal()
        self.assertNotIn(0, hits)
        return result

    def _make_container(self):
        access = self.access()
        client.put_container(access.storage_url, access.token,
                             self.container,
                             headers={'X-Container-Sync-Key': self.sync_key})

    def _listen(self):
        ear = Ear()
        for logger in (logging.getLogger(),
                       *map(logging.getLogger,
                            list(logging.root.manager.loggerDict))):
            self.addCleanup(logger.setLevel, logger.level)
            self.addCleanup(setattr, logger, 'propagate', logger.propagate)
            self.addCleanup(setattr, logger, 'disabled', logger.disabled)
            logger.setLevel(logging.DEBUG)
            logger.propagate, logger.disabled = True, False
        logging.getLogger().addHandler(ear)
        self.addCleanup(logging.getLogger().removeHandler, ear)
        return ear

    def _check_secrets(self):
        self._secrets.check_seen(self, self.carriers)
        for speaker in _SPEAKERS:
            self.assertTrue(any(name.startswith(speaker)
                                for name in self.ear.names), speaker)
        self.assertEqual([], self._found())
        for part in self._secrets.parts():
            LOG.debug('%s', part)
        self.assertEqual(self._secrets.all(), self._found())

    def _found(self):
        return self._secrets.found('\n'.join(self.ear.lines))


class UserTestCase(SecretsTestCase):
    """The token of the request, and a service token beside it."""

    carriers = SecretsTestCase.carriers | {'x-service-token'}

    def test(self):
        self.need('cinder')
        self.configure(backup_swift_service_auth=True)
        self._secrets.learn('configured', self.cloud.cinder.password)
        self._secrets.learn('configured', self.cloud.demo.password)
        self.check()

    def deny_login(self):
        """See the base class: a token that is none."""
        self._token = self.context.auth_token
        self.context.auth_token = secrets.token_urlsafe(100)
        self._secrets.learn('configured', self.context.auth_token)

    def allow_login(self):
        """See the base class."""
        self.context.auth_token = self._token


class KeystoneTestCase(SecretsTestCase):
    """A login of the service's own, at Keystone."""

    carriers = SecretsTestCase.carriers | {'x-subject-token'}
    # An entry of the catalog that nobody else looks for.
    service_type = 'object-store-with-faults'

    def test(self):
        self.need('admin')
        keystone = self.use_proxy(self.cloud.auth_url)
        self._add_to_catalog()
        self.password = self.cloud.demo.password
        self._secrets.learn('configured', self.password)
        self.configure(
            backup_swift_auth='single_user', backup_swift_url=None,
            swift_catalog_info=f'{self.service_type}:swift:publicURL',
            **{**cinder_side.version_3_options(self.cloud, self.cloud.demo),
               'backup_swift_auth_url': keystone.url})
        self.check()

    def _add_to_catalog(self):
        """Have the catalog lead to Swift through the proxy."""
        session = base.keystone_session(self.cloud.admin)
        services = f'{self.cloud.auth_url}/services'
        service = session.post(services, json={'service': {
            'type': self.service_type, 'name': 'swift'}}).json()['service']
        # With its endpoints.
        self.addCleanup(session.delete, f'{services}/{service["id"]}')
        session.post(f'{self.cloud.auth_url}/endpoints', json={'endpoint': {
            'interface': 'public', 'service_id': service['id'],
            'url': f'{self.proxy.url}/v1/AUTH_%(project_id)s'}})


class VersionOneTestCase(SecretsTestCase):
    """A login of the service's own, at Swift itself."""

    carriers = SecretsTestCase.carriers | {'x-auth-key', 'x-storage-token'}

    def test(self):
        self.need('v1')
        user = self.cloud.v1
        self.password = user.password
        self._secrets.learn('configured', self.password)
        path = urllib.parse.urlsplit(user.auth_url).path
        self.configure(
            backup_swift_auth='single_user', backup_swift_auth_version='1',
            backup_swift_auth_url=f'{self.proxy.url}{path}',
            backup_swift_user=user.username, backup_swift_key=self.password)
        self.check()

    def access(self):
        """See the base class."""
        user = self.cloud.v1
        return credentials.SessionCredentials(
            ksa_session.Session(auth=authv1.PasswordPlugin(
                user.auth_url, user.username, user.password)),
            service_type='object-store', interface='public',
            region=None).access()


class ServiceTestCase(own_cinder.OwnCinderTestCase):
    """What a real service writes to its log, with all of it at DEBUG."""

    carriers = SecretsTestCase.carriers | {'x-service-token'}

    def start(self):
        """See the base class."""
        self._secrets = Secrets()
        self.proxy = fault_proxy.FaultProxy(self.cloud.swift_url)
        self.addCleanup(self.proxy.stop)
        self.proxy.start()
        self.sync_key = secrets.token_urlsafe(24)
        # Which this service has no use for.
        password = secrets.token_urlsafe(24)
        for secret in (self.sync_key, password, self.cloud.cinder.password,
                       self.cloud.demo.password):
            self._secrets.learn('configured', secret)
        self.own.extra_options.update(
            debug=True, default_log_levels=','.join(
                f'{name}=DEBUG' for name in _SPEAKERS),
            backup_compression_algorithm='none',
            backup_swift_container_sync_key=self.sync_key,
            backup_swift_container_sync_to='//realm/site',
            backup_swift_key=password,
            backup_swift_object_size=MIB,
            backup_swift_service_auth=True,
            backup_swift_url=f'{self.proxy.url}/v1/AUTH_')
        super().start()

    def test(self):
        self._make_container()
        volume = self.make_volume()
        self.write(volume, 0, random.Random(1).randbytes(6 * MIB))
        full = self._with(_BACKUP, lambda: self.back_up(volume))
        for offset in range(0, 6 * MIB, MIB):
            self.write(volume, offset, b'changed')
        tip = self._with(_INCREMENTAL, lambda: self.back_up(
            volume, incremental=True))
        self.assertTrue(tip.is_incremental)
        restored = self._with(_RESTORE, lambda: self.restore(tip))
        self.assertEqual(self.sha256(volume), self.sha256(restored))
        self._with([rule(Answer(403), 'DELETE', Kind.CHUNK)],
                   lambda: self._fail_to_delete(tip))
        self.delete_backup(tip)
        self._with(_DELETE, lambda: self.delete_backup(full))
        self._check_log()

    def _make_container(self):
        access = base.swift_credentials(self.cloud.demo).access()
        client.put_container(
            access.storage_url, access.token, self.container,
            headers={'X-Container-Sync-Key': self.sync_key})

    def _with(self, rules, work):
        """Do work while these faults happen, each of which has to."""
        self.proxy.apply(*rules)
        try:
            result = work()
            self.assertNotIn(0, self.proxy.hits())
        finally:
            self._secrets.learn_from(self.proxy)
            self.proxy.apply()
        return result

    def _fail_to_delete(self, backup):
        self.cinder.backups.delete(backup)
        self.wait_until(
            lambda: self.cinder.backups.get(backup.id).status == 'error')

    def _check_log(self):
        self._secrets.check_seen(self, self.carriers)
        for speaker in _SPEAKERS:
            self.assertRegex(self._log(), rf' DEBUG {speaker}\b')
        self.assertEqual([], self._secrets.found(self._log()))
        # The API logs what it is asked.
        for part in self._secrets.parts():
            self.cinder.volumes.list(search_opts={'name': part})
        self.wait_until(lambda: self._secrets.found(self._log())
                        == self._secrets.all())

    def _log(self):
        return self.own.log.read_text(errors='replace')
