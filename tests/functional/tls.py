# SPDX-License-Identifier: Apache-2.0

"""Authorities and proxies, for tests of servers that use TLS."""

import pathlib

import fixtures

from tests.cloud import certificates
from tests.cloud.fault_proxy import proxy


def make_authority(test):
    """One that no system knows, for a test."""
    directory = test.useFixture(fixtures.TempDir()).path
    return certificates.Authority(pathlib.Path(directory))


def start_proxy(test, url, certificate):
    """A proxy before a service that uses TLS, for a test."""
    found = proxy.FaultProxy(url, certificate=certificate)
    test.addCleanup(found.stop)
    found.start()
    return found
