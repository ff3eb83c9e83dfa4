# SPDX-License-Identifier: Apache-2.0

"""Logins that cannot work, and options that log in, with a real Keystone.

Each ends in one line with the cause and what to do. How soon is told by the
number of connections, not by a clock.
"""

import contextlib
import pathlib
import socket
import threading

import fixtures

from tests import selection
from tests.cloud import certificates
from tests.cloud import processes
from tests.cloud.fault_proxy import proxy
from tests.functional import base
from tests.functional import command


class _Closing:
    """A server that closes each connection at once, and counts them."""

    def __init__(self, test):
        self._listener = socket.create_server((processes.HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.count = 0
        thread = threading.Thread(target=self._run)
        thread.start()
        test.addCleanup(thread.join)
        test.addCleanup(self._stop)

    def _run(self):
        with self._listener:
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    if connection.recv(1) == b'!':
                        return
                self.count += 1

    def _stop(self):
        with contextlib.suppress(OSError), socket.create_connection(
                (processes.HOST, self.port)) as connection:
            connection.send(b'!')


class LoginTestCase(base.FunctionalTestCase):
    """A demo user's login, with something changed."""

    def setUp(self):
        super().setUp()
        self.login = self.cloud.os_environment(self.cloud.demo)

    def refused(self, code, *texts, **changed):
        """A command ends in one line that has these texts.

        :param changed: variables; those of None are not set
        """
        login = {name: value for name, value
                 in {**self.login, **changed}.items() if value is not None}
        done = command.Command(self, login).run('list', code=code)
        self.assertEqual(1, done.stderr.count('\n'), done.stderr)
        self.assertEqual('', done.stdout)
        for text in texts:
            self.assertIn(text, done.stderr)

    def _tls(self):
        """The URL of Keystone behind TLS, and the authority's file."""
        authority = certificates.Authority(pathlib.Path(
            self.useFixture(fixtures.TempDir()).path))
        found = proxy.FaultProxy(self.cloud.auth_url,
                                 certificate=authority.issue())
        self.addCleanup(found.stop)
        found.start()
        return found, authority.file

    def test_no_project(self):
        self.refused(4, 'the login names no project', 'Set OS_PROJECT_NAME',
                     OS_PROJECT_NAME=None, OS_PROJECT_DOMAIN_NAME=None)

    def test_no_such_project(self):
        self.refused(4, 'refused the credentials', OS_PROJECT_NAME='none')

    def test_no_domain(self):
        self.refused(4, 'domain', OS_USER_DOMAIN_NAME=None)

    def test_nobody_is_there(self):
        (port,) = processes.free_ports(1)
        url = f'http://{processes.HOST}:{port}/v3'
        self.refused(5, 'cannot be reached (connection refused)',
                     'Check OS_AUTH_URL', url, OS_AUTH_URL=url)

    def test_somebody_else_is_there(self):
        for scheme in ('http', 'https'):
            server = _Closing(self)
            self.refused(
                5, 'cannot be reached', 'Check OS_AUTH_URL',
                OS_AUTH_URL=f'{scheme}://{processes.HOST}:{server.port}/v3')
            self.assertEqual(1, server.count)

    def test_swift_is_there(self):
        # It answers 401, after which keystoneauth would wait for itself.
        url = f'{self.cloud.swift_url}/v1/AUTH_any'
        self.refused(4, 'is not Keystone', 'Check OS_AUTH_URL', url,
                     OS_AUTH_URL=url)

    def test_wrong_path(self):
        url = f'{self.cloud.auth_url}/nowhere/v3'
        self.refused(4, 'Check OS_AUTH_URL', url, OS_AUTH_URL=url)

    def test_tls_where_there_is_none(self):
        url = self.cloud.auth_url.replace('http://', 'https://')
        self.refused(5, 'cannot be reached (TLS failed',
                     'Check OS_AUTH_URL', OS_AUTH_URL=url)

    def test_no_tls_where_there_is(self):
        found, _ = self._tls()
        url = found.url.replace('https://', 'http://')
        self.refused(5, 'cannot be reached', 'Check OS_AUTH_URL',
                     OS_AUTH_URL=url)
        self.assertEqual([], found.requests())

    def test_certificate_without_trust(self):
        found, file = self._tls()
        self.refused(4, 'the certificate cannot be verified', 'OS_CACERT',
                     OS_AUTH_URL=found.url)
        self.assertEqual([], found.requests())
        self.refused(4, 'TLS CA certificate', 'OS_CACERT',
                     OS_AUTH_URL=found.url, OS_CACERT='/nowhere')
        command.Command(self, {**self.login, 'OS_AUTH_URL': found.url}).run(
            '--os-cacert', file, 'list')
        self.assertNotEqual([], found.requests())

    @selection.modes(selection.Modes.EVERYTHING)
    def test_login_of_options(self):
        user = self.cloud.demo
        command.Command(self, {}).run(
            '--os-auth-url', self.cloud.auth_url,
            '--os-username', user.username, '--os-password', user.password,
            '--os-project-name', user.project_name,
            '--os-user-domain-name', user.user_domain_name,
            '--os-project-domain-name', user.project_domain_name,
            '--os-region-name', self.cloud.region, 'list')
        # They win over variables.
        program = command.Command(
            self, {**self.login, 'OS_USERNAME': 'nobody'})
        program.run('list', code=4)
        program.run('--os-username', user.username, 'list')
        done = program.run('--os-username', user.username,
                           '--os-region-name', 'none', 'list', code=4)
        self.assertIn('Region none is not', done.stderr)
