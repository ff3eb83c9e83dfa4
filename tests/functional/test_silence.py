# SPDX-License-Identifier: Apache-2.0

"""Operations that are cancelled while Swift is silent.

Its sockets would be waited for: for 75 seconds, with the patience that is the
default.
"""

from concurrent import futures
import time

from cinder import exception as cinder_exception
from cinder import objects
from cinder.objects import fields

from tests import selection
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Moment
from tests.cloud.fault_proxy.rules import rule
from tests.cloud.fault_proxy.rules import Stall
from tests.faults import base
from tests.faults import operations
from tests.functional import tls
from tests.functional.cinder_side import OURS

_PATIENCE = 300
# Far less than a socket would be waited for.
_SOON = 30


class SilentTestCase(base.FaultTestCase):
    """A Swift that says nothing, and no longer wanted operations."""

    modes = selection.Modes.BOTH

    def setUp(self):
        super().setUp()
        self.be_patient(_PATIENCE)

    def cancel(self, work, backup, status):
        """Run it, set the backup's status when Swift is silent, and wait.

        :returns: what ``work`` returned or raised
        """
        with futures.ThreadPoolExecutor(1) as executor:
            result = executor.submit(work)
            self.wait_soon(lambda: any(self.proxy.hits()), 'it never waits')
            self.assertFalse(result.done())
            record = objects.Backup.get_by_id(self.context, backup.id)
            record.status = status
            record.save()
            begin = time.monotonic()
            found = result.exception() or result.result()
        self.assertLess(time.monotonic() - begin, _SOON)
        self.heal()
        return found

    def check_backup(self, moment):
        """A backup whose volume's user has deleted it meanwhile."""
        operation = operations.Backup(self)
        backup = self.make_backup(operation.volume)
        self.proxy.apply(rule(Stall(3600, moment), 'PUT', Kind.CHUNK,
                              first=2, count=None))

        def work():
            with open(operation.path, 'rb') as handle:
                return OURS(self.context).backup(backup, handle, False)

        self.assertIsNone(self.cancel(
            work, backup, fields.BackupStatus.DELETING))
        self.assertEqual([], self.object_names(self.container))

    def check_restore(self, moment):
        """A restore that an operator calls off."""
        operation = operations.Restore(self)
        operation.prepare()
        backup = operation.backup
        backup.status = fields.BackupStatus.RESTORING
        backup.save()
        self.proxy.apply(rule(Stall(3600, moment), 'GET', Kind.CHUNK,
                              first=2, count=None))
        self.assertIsInstance(
            self.cancel(operation.run, backup, fields.BackupStatus.AVAILABLE),
            cinder_exception.BackupRestoreCancel)
        operation.check_failed()


class PlainTestCase(SilentTestCase):
    """By HTTP."""

    def test_before_the_body_of_a_backup(self):
        self.check_backup(Moment.BEFORE)

    def test_after_the_body_of_a_backup(self):
        self.check_backup(Moment.AFTER_BODY)

    def test_before_the_answer_of_a_restore(self):
        self.check_restore(Moment.BEFORE)

    def test_in_the_answer_of_a_restore(self):
        self.check_restore(Moment.IN_ANSWER)


class TlsTestCase(SilentTestCase):
    """By HTTPS."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_auth_insecure=True)

    def find_proxy(self):
        """One that uses TLS."""
        authority = tls.make_authority(self)
        return tls.start_proxy(self, self.cloud.swift_url,
                               authority.issue())

    def test_backup(self):
        self.check_backup(Moment.AFTER_BODY)

    def test_restore(self):
        self.check_restore(Moment.IN_ANSWER)
