# SPDX-License-Identifier: Apache-2.0

"""Logins that cannot work: what is said of them, and how soon.

How soon is told by the number of requests, not by a clock.
"""

import argparse
import os
import pathlib
import socket
import ssl
import tempfile
from unittest import mock

from oslotest import base as test_base
import requests
import requests_mock
import testscenarios

from cinder_swift_backup.cli import accounts
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import logins
from tests.unit.cli import base

_URL = 'http://keystone.test/v3'
_OS = {'OS_AUTH_URL': _URL, 'OS_USERNAME': 'u', 'OS_PASSWORD': 'secret',
       'OS_PROJECT_NAME': 'p', 'OS_USER_DOMAIN_NAME': 'Default',
       'OS_PROJECT_DOMAIN_NAME': 'Default'}
_ST = {'ST_AUTH': 'http://swift.test/auth/v1.0', 'ST_USER': 'u',
       'ST_KEY': 'secret'}
_CLOUDS = f'''
clouds:
  site:
    auth: {{auth_url: "{_URL}", username: u, project_name: p,
           user_domain_name: Default, project_domain_name: Default}}
  odd:
    auth: {{auth_url: "keystone.test/v3", username: u, password: p}}
'''
_UNSET = None


class LoginTestCase(test_base.BaseTestCase):
    """A command with a login of its own, and no server."""

    def setUp(self):
        super().setUp()
        directory = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.clouds = directory / 'clouds.yaml'
        self.http = self.enterContext(requests_mock.Mocker())

    def run_command(self, environment, *arguments):
        """Run a command with these variables only."""
        usual = {'PATH': os.environ['PATH'], 'HOME': str(self.clouds.parent),
                 'OS_CLIENT_CONFIG_FILE': str(self.clouds)}
        found = {**usual, **environment}
        with mock.patch.dict(os.environ, {
                name: value for name, value in found.items()
                if value is not _UNSET}, clear=True):
            return base.run(*arguments)

    def check_refused(self, answer, code, *texts):
        """It ended in one line, which says so and no secret."""
        self.assertEqual(code, answer.code, answer.err)
        self.assertEqual(1, answer.err.count('\n'), answer.err)
        for text in texts:
            self.assertIn(text, answer.err)
        self.assertNotIn('secret', answer.err)
        self.assertEqual('', answer.out)


class IncompleteLoginTest(testscenarios.WithScenarios, LoginTestCase):
    """What is missing is named, and nobody is asked."""

    scenarios = tuple(
        (name, {'environment': environment, 'arguments': arguments,
                'text': text})
        for name, environment, arguments, text in (
            ('no password', {**_OS, 'OS_PASSWORD': _UNSET}, (),
             'set OS_PASSWORD, or'),
            ('no password, but a name', {**_OS, 'OS_PASSWORD': _UNSET},
             ('--os-username', 'other'), 'set OS_PASSWORD, or'),
            ('no user', {**_OS, 'OS_USERNAME': _UNSET, 'OS_PASSWORD': ''}, (),
             'set OS_USERNAME and OS_PASSWORD, or'),
            ('no URL', {**_OS, 'OS_AUTH_URL': _UNSET}, (),
             'set OS_AUTH_URL, or'),
            ('no token', {'OS_AUTH_URL': _URL, 'OS_AUTH_TYPE': 'token'}, (),
             'set OS_TOKEN, or'),
            ('nothing at all', {}, (), 'there is no login: set'),
            ('a token of no type', {
                'OS_AUTH_URL': _URL, 'OS_TOKEN': 'secret'}, (),
             'set OS_AUTH_TYPE, or auth_type in clouds.yaml, to token'),
            ('half a login of version 1', {**_ST, 'ST_KEY': _UNSET},
             ('--os-cacert', '/x'), 'so set ST_KEY, too'),
            ('only a region', {}, ('--os-region-name', 'r'),
             'there is no login'),
            ('no password in a file', _OS, ('--os-cloud', 'site'),
             "cloud 'site' is incomplete: add password in clouds.yaml"),
            ('no such cloud', _OS, ('--os-cloud', 'nope'),
             "there is no cloud 'nope' in clouds.yaml"),
            ('no such cloud of a variable', {'OS_CLOUD': 'nope'}, (),
             "there is no cloud 'nope' in clouds.yaml"),
            ('no scheme', {**_OS, 'OS_AUTH_URL': 'keystone.test:5000/v3'}, (),
             'must begin with http:// or https://: correct OS_AUTH_URL'),
            ('no scheme in a file', {}, ('--os-cloud', 'odd'),
             "correct auth_url of cloud 'odd' in clouds.yaml"),
            ('no scheme of an option', _OS, ('--os-auth-url', 'keystone.test'),
             'must begin with http:// or https://'),
            ('no host', {**_OS, 'OS_AUTH_URL': 'http:///v3'}, (),
             'is not valid: correct OS_AUTH_URL'),
            ('half an address', {**_OS, 'OS_AUTH_URL': 'http://[::1/v3'}, (),
             'is not valid: correct OS_AUTH_URL'),
            ('no port', {**_OS, 'OS_AUTH_URL': 'http://k.test:x/v3'}, (),
             'is not valid: correct OS_AUTH_URL'),
            ('no user of version 1', {**_ST, 'ST_USER': _UNSET}, (),
             'so set ST_USER, too'),
            ('no scheme of version 1', {**_ST, 'ST_AUTH': 's.test/auth'}, (),
             'must begin with http:// or https://: correct ST_AUTH'),
            ('no such type', {**_OS, 'OS_AUTH_TYPE': 'nonsense'}, (),
             'correct OS_AUTH_TYPE'),
            ('no such type of an option', _OS, ('--os-auth-type', 'nonsense'),
             'nonsense'),
            ('an option that does nothing', _OS, ('--os-service-name', 'x'),
             '--os-service-name does nothing here')))

    def test_it_is_refused(self):
        self.clouds.write_text(_CLOUDS)
        self.check_refused(
            self.run_command(self.environment, *self.arguments, 'list'),
            errors.ExitCode.CONFIGURATION, self.text)
        self.assertEqual([], self.http.request_history)


class FileTest(testscenarios.WithScenarios, LoginTestCase):
    """A ``clouds.yaml`` that is none."""

    scenarios = tuple(
        (name, {'content': content, 'text': text}) for name, content, text in (
            # Some releases of openstacksdk skip such a file, others end there.
            ('not YAML', 'clouds: [a\n  b: {', 'clouds.yaml'),
            ('not text', b'\xff\xfe'.decode('latin-1'), 'clouds.yaml'),
            ('no clouds', 'clouds: 5', 'is missing or wrong'),
            ('no cloud', 'clouds: {site: 5}', 'is missing or wrong'),
            ('no login', 'clouds: {site: {auth: x}}', 'is missing or wrong'),
            ('no mapping', 'just text', 'is empty or not a valid mapping')))

    def test_it_is_said(self):
        self.clouds.write_text(self.content, encoding='latin-1')
        for environment, arguments in (({'OS_CLOUD': 'site'}, ()),
                                       ({}, ('--os-cloud', 'site'))):
            self.check_refused(
                self.run_command(environment, *arguments, 'list'),
                errors.ExitCode.CONFIGURATION, self.text)


class NobodyTest(testscenarios.WithScenarios, LoginTestCase):
    """A login that reaches nobody is not repeated."""

    scenarios = testscenarios.multiply_scenarios(
        [('keystone', {'environment': _OS, 'url': _URL}),
         ('version 1', {'environment': _ST, 'url': _ST['ST_AUTH']})],
        [(name, {'error': error, 'text': text}) for name, error, text in (
            ('refused', ConnectionRefusedError(111, 'refused'),
             '(connection refused)'),
            ('no such host', socket.gaierror(-2, 'Name or service not known'),
             '(name or service not known)'),
            ('no way', OSError(113, 'No route to host'),
             '(no route to host)'),
            ('TLS to plain', ssl.SSLError(1, 'WRONG_VERSION_NUMBER'),
             '(TLS failed)'),
            ('plain to TLS', ConnectionResetError(104, 'reset'),
             '(connection reset)'))])

    def test_it_is_told_at_once(self):
        kind = (requests.exceptions.SSLError
                if isinstance(self.error, ssl.SSLError)
                else requests.exceptions.ConnectionError)
        self.http.register_uri(requests_mock.ANY, requests_mock.ANY,
                               exc=kind(self.error))
        self.check_refused(
            self.run_command(self.environment, 'list'),
            errors.ExitCode.STORE, self.text, 'Check OS_AUTH_URL', self.url)
        self.assertEqual(1, len(self.http.request_history))


class RefusedLoginTest(LoginTestCase):
    """A server that says no."""

    def test_certificate_without_trust(self):
        self.http.register_uri(
            requests_mock.ANY, requests_mock.ANY,
            exc=requests.exceptions.SSLError(
                ssl.SSLCertVerificationError(1, 'self-signed')))
        self.check_refused(self.run_command(_OS, 'list'),
                           errors.ExitCode.CONFIGURATION,
                           'the certificate cannot be verified', 'OS_CACERT')
        self.assertLessEqual(len(self.http.request_history), 2)

    def test_token_without_a_project(self):
        self.http.get(_URL, status_code=404)
        login = self.http.post(f'{_URL}/auth/tokens', status_code=201, json={
            'token': {'expires_at': '2099-01-01T00:00:00Z', 'methods': [],
                      'user': {'id': 'u', 'name': 'u', 'domain': {}},
                      'issued_at': '2026-01-01T00:00:00Z'}},
            headers={'X-Subject-Token': 't'})
        for environment in ({**_OS, 'OS_PROJECT_NAME': _UNSET},
                            {**_OS, 'OS_PROJECT_NAME': ''}):
            self.check_refused(self.run_command(environment, 'list'),
                               errors.ExitCode.CONFIGURATION,
                               'the login names no project',
                               'Set OS_PROJECT_NAME')
        self.assertEqual(2, login.call_count)


class OptionsTest(LoginTestCase):
    """They are those of all clients."""

    def _cloud(self, environment, *arguments):
        parser = argparse.ArgumentParser()
        with mock.patch.dict(os.environ, {
                'OS_CLIENT_CONFIG_FILE': str(self.clouds), **environment},
                clear=True):
            logins.add_options(parser, arguments)
            return accounts.find_cloud(parser.parse_args(arguments), 300)

    def test_instead_of_variables(self):
        found = self._cloud(
            {}, '--os-auth-url', _URL, '--os-username', 'u', '--os-password',
            'p', '--os-project-name', 'p', '--os-user-domain-name', 'd',
            '--os-project-domain-id', 'i', '--os-region-name', 'r',
            '--os-interface', 'internal', '--insecure', '--timeout', '7')
        self.assertEqual(
            {'auth_url': _URL, 'username': 'u', 'password': 'p',
             'project_name': 'p', 'user_domain_name': 'd',
             'project_domain_id': 'i'}, found.config['auth'])
        self.assertEqual('r', found.get_region_name('object-store'))
        self.assertEqual('internal', found.get_interface('object-store'))
        self.assertIs(False, found.get_requests_verify_args()[0])
        self.assertEqual(7, found.get_session().timeout)

    def test_they_win_over_variables(self):
        found = self._cloud({**_OS, 'OS_CACERT': '/a'}, '--os-username', 'v',
                            '--os-cacert', '/b')
        self.assertEqual({'auth_url': _URL, 'username': 'v'}, {
            name: found.config['auth'][name]
            for name in ('auth_url', 'username')})
        self.assertEqual('/b', found.get_requests_verify_args()[0])

    def test_a_cloud_is_not_mixed_with_variables(self):
        self.clouds.write_text(_CLOUDS.replace(
            'username: u,', 'username: u, password: theirs,'))
        found = self._cloud(
            {**_OS, 'OS_AUTH_URL': 'http://other.test', 'OS_CACERT': '/a',
             'OS_REGION_NAME': 'other', 'OS_USERNAME': 'other'},
            '--os-cloud', 'site')
        self.assertEqual((_URL, 'u', 'theirs'), tuple(
            found.config['auth'][name]
            for name in ('auth_url', 'username', 'password')))
        self.assertIs(True, found.get_requests_verify_args()[0])
        self.assertFalse(found.get_region_name('object-store'))

    def test_those_of_another_type(self):
        found = self._cloud({}, '--os-auth-type', 'v3token', '--os-token',
                            't', '--os-auth-url', _URL)
        self.assertEqual('t', found.config['auth']['token'])

    def test_account_that_no_catalog_has(self):
        url = 'http://swift.test/v1/AUTH_x'
        swift = self.http.get(requests_mock.ANY, status_code=200)
        self.http.post(f'{_URL}/auth/tokens', status_code=201, json={
            'token': {'expires_at': '2099-01-01T00:00:00Z'}},
            headers={'X-Subject-Token': 't'})
        self.http.get(_URL, status_code=404)
        parser = argparse.ArgumentParser()
        arguments = ('--os-endpoint-override', url)
        with mock.patch.dict(os.environ, {
                'OS_CLIENT_CONFIG_FILE': str(self.clouds), **_OS},
                clear=True):
            logins.add_options(parser, arguments)
            store = accounts.open_account(
                parser.parse_args(arguments), {}, 0).store
        self.addCleanup(store.close)
        self.assertEqual('AUTH_x', store.account())
        self.assertFalse(swift.called)

    def test_certificates_for_version_1(self):
        for arguments, expected in (
                (('--insecure',), False), (('--os-cacert', '/b'), '/b'),
                ((), '/a')):
            self.http.get(_ST['ST_AUTH'], status_code=401)
            self.run_command({**_ST, 'ST_CACERT': '/a'}, *arguments, 'list')
            self.assertEqual(expected, self.http.last_request.verify)

    def test_help_needs_no_login(self):
        self.clouds.write_text('clouds: 5')
        for environment in (_OS, {'OS_CLOUD': 'nope'}, {}):
            for arguments in (('help', 'list'), ('--help',)):
                answer = self.run_command(environment, *arguments)
                self.assertEqual('', answer.err)
                self.assertFalse(answer.code)
        self.assertIn('--os-username', answer.out)

    def test_unknown_option(self):
        for option, more in (('--os-nonsense', '--os-auth-type'),
                             ('--nonsense', '--help')):
            answer = self.run_command(_OS, option, 'x', 'list')
            self.check_refused(answer, errors.ExitCode.USAGE,
                               f'Unknown option {option}:', more)
