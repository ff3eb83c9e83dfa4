# SPDX-License-Identifier: Apache-2.0

"""A test of one case of the table.

1. Prepare the operation without faults.
2. Run it with them, behind the fault proxy.
3. See that each fault has happened, that the outcome is a right one, that
   nothing was sent again that was confirmed, and that no thread and no
   connection was left.
4. See without faults that all is well: what is there, what is left, and that
   the next backup works.
"""

import atexit
import collections
import functools
import gc
import tempfile
import threading
import time
from unittest import mock

from cinder import exception as cinder_exception
from oslo_config import cfg
from testtools import content
from testtools import matchers

from cinder_swift_backup.driver import concurrency
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from tests.cloud.fault_proxy import proxy as fault_proxy
from tests.cloud.fault_proxy import rules
from tests.faults import cases
from tests.faults import operations
from tests.faults import rows
from tests.functional import cinder_side

CONF = cfg.CONF
NONE_CHOSEN = f'{rows.CASES} has chosen none'
# Seconds, for what ends at once: a socket that waits does not.
_SOON = 10
# And for what begins soon, also on a machine that is very busy.
_BEGINS = 60
# The proxy outlives the temporary directory of a test.
_TEMPORARY = tempfile.gettempdir()


@functools.cache
def proxy_before(url):
    """The proxy before a service, one for all tests of this process."""
    found = fault_proxy.FaultProxy(url, _TEMPORARY)
    atexit.register(found.stop)
    found.start()
    return found


class FaultTestCase(cinder_side.CinderSideTestCase):
    """A test whose driver goes through the fault proxy."""

    def setUp(self):
        super().setUp()
        self.need('swift_url')
        if self.cloud.objects != 'swift':
            self.skipTest('only a Swift is known to the proxy')
        self.proxy = self.find_proxy()
        self.heal()
        self.addCleanup(self.heal)
        self.configure(backup_swift_url=f'{self.proxy.url}/v1/AUTH_',
                       backup_swift_retry_backoff=0.1)
        self.store.ensure_container(self.container, create=True)
        # Eventlet's pool of native threads stays, once there is one.
        concurrency.runtime().call(int)

    def find_proxy(self):
        """The proxy that the test is for."""
        return proxy_before(self.cloud.swift_url)

    def heal(self):
        """Have everything work again."""
        self.proxy.accept()
        self.proxy.apply()

    def be_patient(self, seconds):
        """Have the driver ride out what lasts so long."""
        if 'backup_swift_patience' in CONF:
            self.configure(backup_swift_patience=seconds)

    def check(self, operation, fault, outcomes, left, within):
        """Run an operation that was prepared, and look at all of it.

        :param fault: does the work that it is given while it happens
        """
        row = rows.Row(self.id(), fault.fault, operation.title)
        self.addCleanup(rows.record, row)
        threads = set(threading.enumerate())
        connections = self.proxy.connections()
        begin = time.monotonic()
        row.outcome = fault.run(self, lambda: self.run_operation(operation))
        row.seconds = time.monotonic() - begin
        # The rest of the row is told, too, whatever came of it.
        self.expectThat(outcomes, matchers.Contains(row.outcome))
        self.expectThat(row.seconds, matchers.LessThan(within))
        if row.outcome == cases.DONE:
            self._check_done(operation, row)
        else:
            self._check_failed(operation, row, left)
        self._next_backup(operation)
        row.next = 'works'
        self.wait_soon(lambda: not set(threading.enumerate()) - threads,
                       'threads are left', _SOON)
        self.wait_soon(lambda: self.are_closed(connections),
                       'connections are open', _SOON)

    def run_operation(self, operation):
        """Run it; returns what came of it."""
        try:
            operation.run()
        except cinder_exception.CinderException as err:
            self.addDetail('error', content.text_content(str(err)))
            return type(err).__name__
        return cases.DONE

    def check_sent_once(self):
        """What Swift has confirmed was not sent again."""
        confirmed = collections.Counter(
            each.target for each in self.proxy.requests()
            if (each.method, each.result) == ('PUT', '201')
            and each.kind in rules.OBJECTS)
        self.expectThat(confirmed.values(), matchers.AllMatch(
            matchers.Equals(1)))

    def are_closed(self, before):
        """Whether no connections are open besides those from before."""
        return not self.proxy.connections() - before

    def wait_soon(self, holds, otherwise, seconds=_BEGINS):
        """Wait for what should come soon, for so many seconds at most."""
        end = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), end, otherwise)
            time.sleep(0.02)

    @staticmethod
    def _check_done(operation, row):
        row.outcome = 'completed, but wrong'
        operation.check_done()
        row.outcome, row.left = cases.DONE, 0

    def _check_failed(self, operation, row, left):
        """See what a failed operation has left, and that it can go."""
        row.left = operation.left()
        expected = {cases.NOTHING: 0, cases.EVERYTHING: operation.objects}
        if left in expected:
            self.expectThat(row.left, matchers.Equals(expected[left]))
        operation.check_failed()

    def _next_backup(self, operation):
        backup = operation.back_up()
        self.assertEqual(operation.count, backup.object_count)


class CaseTestCase(FaultTestCase):
    """A test of a case that the proxy makes."""

    case = None

    def setUp(self):
        if self.case is None:
            # Then a class is a test of its own, without scenarios.
            self.skipTest(NONE_CHOSEN)
        super().setUp()

    def _empty_container(self):
        # A few hundred KiB are not worth the time.
        if self.case.many:
            super()._empty_container()

    def _divide_digests(self):
        """Have segments that need no terabytes to be filled."""
        for owner, name, value in (
                (digest_segments, 'LEAST', 8), (digest_segments, 'NORMAL', 16),
                (digest_objects, 'WORTH_SEGMENTS', 0), (digests, 'STEP', 8)):
            self.enterContext(mock.patch.object(owner, name, value))

    def check_case(self):
        """Do all of it."""
        case = self.case
        self.be_patient(case.patience)
        self.configure(**case.options)
        if case.segmented:
            self._divide_digests()
        kinds = operations.PACKED if case.packed else operations.KINDS
        operation = kinds[case.operation](self, many=case.many)
        operation.prepare()
        faults = case.rules
        if case.late is not None:
            faults += (case.late(operation.backup, operation.parent),)
        self.check(operation, _Fault(case.fault, faults), case.outcomes,
                   case.left, case.within)


class LoginTestCase(CaseTestCase):
    """A test of a case whose proxy is before Keystone."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_auth='single_user',
                       **{**cinder_side.version_3_options(self.cloud,
                                                          self.cloud.demo),
                          'backup_swift_auth_url': self.proxy.url})

    def find_proxy(self):
        """See the base class."""
        return proxy_before(self.cloud.auth_url)

    def are_closed(self, before):
        """See the base class; keystoneauth leaves it to the collector."""
        gc.collect()
        return super().are_closed(before)


class _Fault:
    """Rules that break requests, for as long as an operation runs."""

    def __init__(self, fault, faults):
        self.fault = fault
        self._rules = faults

    def run(self, test, work):
        """Do the work, and see that each of the faults has happened."""
        test.proxy.apply(*self._rules)
        found = work()
        hits, requests = test.proxy.hits(), test.proxy.requests()
        if not any(isinstance(each.action, rules.Refuse | rules.Alone)
                   for each in self._rules):
            # Connections that end together lose answers, and so may one that
            # is served at the moment at which the driver gives it up.
            test.check_sent_once()
        test.heal()
        test.addDetail('requests', content.text_content('\n'.join(
            f'{each.connection} {each.method} {each.kind} {each.result}'
            for each in requests)))
        # Else the test would show nothing.
        test.expectThat(hits, matchers.Not(matchers.Contains(0)))
        if any(isinstance(each.action, rules.Forget) for each in self._rules):
            test.expectThat([each.result for each in requests],
                            matchers.Contains('forgotten'))
        return found
