# SPDX-License-Identifier: Apache-2.0

"""Servers that use TLS: whom the driver trusts, and what it says to others.

The servers are the cloud's, behind proxies with certificates of an authority
that no system knows.
"""

import time

from cinder import context as cinder_context
from cinder import exception as cinder_exception

from tests import selection
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Moment
from tests.cloud.fault_proxy.rules import Reset
from tests.cloud.fault_proxy.rules import rule
from tests.faults import operations
from tests.functional import cinder_side
from tests.functional import tls
from tests.functional.cinder_side import OURS

# Seconds: an outage would be waited for so long, and a refusal is not.
_PATIENCE = 300
_SOON = 60
# How much of an error Cinder's users see.
_SHOWN = 255


class TlsTestCase(cinder_side.CinderSideTestCase):
    """A test with a proxy that uses TLS."""

    modes = selection.Modes.BOTH

    def setUp(self):
        super().setUp()
        self.need('swift_url')
        self.authority = tls.make_authority(self)
        self.configure(backup_swift_patience=_PATIENCE)
        self.operation = operations.Backup(self)

    def serve(self, url, **certificate):
        """Have a proxy use TLS, with a certificate of the authority."""
        self.proxy = tls.start_proxy(self, url,
                                     self.authority.issue(**certificate))

    def trust(self, file):
        """Have the driver take this for the file of authorities."""
        self.configure(backup_swift_ca_cert_file=str(file))

    def check_refused(self, server):
        """The driver says so soon, and sends nothing."""
        backup = self.make_backup(self.operation.volume)
        backup.update({'container': self.container,
                       'service_metadata': 'volume_x/2026/az_nova_backup_x'})
        context = cinder_context.get_admin_context()
        begin = time.monotonic()
        for work in (OURS(context).check_for_setup_error,
                     self.operation.back_up,
                     lambda: self.operation.restore_and_compare(backup),
                     lambda: self.operation.delete(backup)):
            error = str(self.assertRaises(
                cinder_exception.BackupDriverException, work))
            for text in (f'{server} is not trusted', 'certificate',
                         'Set backup_swift_ca_cert_file to its CA '
                         'certificate.'):
                self.assertIn(text, error[:_SHOWN])
        self.assertLess(time.monotonic() - begin, _SOON)
        self.assertEqual([], self.proxy.requests())

    def check_accepted(self):
        """All operations work, and go through the proxy."""
        OURS(cinder_context.get_admin_context()).check_for_setup_error()
        backup = self.operation.back_up()
        self.operation.restore_and_compare(backup)
        self.operation.delete(backup)
        self.assertEqual([], self.operation.objects_of(backup))
        self.assertNotEqual([], self.proxy.requests())


class SwiftTestCase(TlsTestCase):
    """A Swift that uses TLS."""

    def serve_swift(self, **certificate):
        """Have the driver use such a Swift."""
        self.serve(self.cloud.swift_url, **certificate)
        self.configure(backup_swift_url=f'{self.proxy.url}/v1/AUTH_')

    def check_swift_refused(self):
        """The driver does not trust it."""
        self.check_refused(f'Swift at {self.proxy.url.rpartition("/")[2]}')

    def test_nobody_vouches_for_it(self):
        self.serve_swift()
        self.check_swift_refused()

    def test_another_vouches_for_it(self):
        self.trust(tls.make_authority(self).file)
        self.serve_swift()
        self.check_swift_refused()

    def test_of_another_name(self):
        self.trust(self.authority.file)
        self.serve_swift(host='swift.example.com')
        self.check_swift_refused()

    def test_expired(self):
        self.trust(self.authority.file)
        self.serve_swift(days=-1)
        self.check_swift_refused()

    def test_file_that_is_not_there(self):
        self.trust(f'{self.authority.file}.old')
        self.serve_swift()
        self.check_swift_refused()

    def test_trusted(self):
        self.trust(self.authority.file)
        self.serve_swift()
        self.check_accepted()

    def test_insecure(self):
        self.configure(backup_swift_auth_insecure=True)
        self.serve_swift()
        self.check_accepted()

    def test_broken_connections_are_no_matter_of_trust(self):
        self.trust(self.authority.file)
        self.serve_swift()
        faults = (rule(Reset(), 'PUT', Kind.CHUNK),
                  rule(Reset(Moment.IN_ANSWER), 'GET', Kind.CHUNK))
        self.proxy.apply(*faults)
        self.check_accepted()
        self.assertEqual([1] * len(faults), self.proxy.hits())


class KeystoneTestCase(TlsTestCase):
    """A Keystone that uses TLS, where the driver logs in by itself."""

    def serve_keystone(self, **certificate):
        """Have the driver use such a Keystone."""
        self.serve(self.cloud.auth_url, **certificate)
        self.configure(
            backup_swift_auth='single_user',
            **{**cinder_side.version_3_options(self.cloud, self.cloud.demo),
               'backup_swift_auth_url': self.proxy.url})

    def test_nobody_vouches_for_it(self):
        self.serve_keystone()
        self.check_refused('the identity service')

    def test_of_another_name(self):
        self.trust(self.authority.file)
        self.serve_keystone(host='keystone.example.com')
        self.check_refused('the identity service')

    def test_file_that_is_not_there(self):
        self.trust(f'{self.authority.file}.old')
        self.serve_keystone()
        self.check_refused('the identity service')

    def test_trusted(self):
        self.trust(self.authority.file)
        self.serve_keystone()
        self.check_accepted()

    def test_insecure(self):
        self.configure(backup_swift_auth_insecure=True)
        self.serve_keystone()
        self.check_accepted()
