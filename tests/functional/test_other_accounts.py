# SPDX-License-Identifier: Apache-2.0

"""Deletes with the settings of another account than the backup is in.

There is a container of the same name there, and nothing in it.
"""

from cinder import exception as cinder_exception

from tests.cloud.fault_proxy.rules import Answer
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Moment
from tests.cloud.fault_proxy.rules import Reset
from tests.cloud.fault_proxy.rules import rule
from tests.faults import base
from tests.faults import operations
from tests.functional import base as functional_base
from tests.functional import cinder_side


class OtherAccountTestCase(base.FaultTestCase):
    """They must fail as long as there may be anything in the right one."""

    def setUp(self):
        super().setUp()
        self.need('other')
        self.be_patient(0)
        other = functional_base.swift_store(
            functional_base.swift_credentials(self.cloud.other, self.cloud))
        self.addCleanup(other.close)
        other.ensure_container(self.container, create=True)

    def fail(self, operation, *rules):
        """Run an operation with faults, so that it fails."""
        self.proxy.apply(*rules)
        self.assertRaises(cinder_exception.CinderException, operation.run)
        self.assertNotIn(0, self.proxy.hits())
        self.heal()

    def check_delete(self, operation):
        """It is refused there, and can be done here."""
        names = self.object_names(self.container)
        self.configure(backup_swift_auth='single_user',
                       **cinder_side.version_3_options(self.cloud,
                                                       self.cloud.other))
        error = self.assertRaises(cinder_exception.InvalidBackup,
                                  operation.delete, operation.backup)
        self.assertIn('another account', str(error))
        self.assertEqual(names, self.object_names(self.container))
        self.configure(backup_swift_auth='per_user')
        operation.delete(operation.backup)
        self.assertEqual([], operation.objects_of(operation.backup))

    def test_backup_that_could_not_be_cleaned_up(self):
        for operation in (operations.Backup(self),
                          operations.Incremental(self)):
            operation.prepare()
            self.fail(operation,
                      rule(Answer(403), 'PUT', Kind.DIGESTS, count=None),
                      rule(Answer(403), 'DELETE', count=None))
            self.assertLess(0, operation.left())
            self.check_delete(operation)

    def test_backup_that_left_nothing(self):
        operation = operations.Backup(self)
        self.fail(operation, rule(Answer(403), 'PUT', Kind.DIGESTS))
        self.assertEqual(0, operation.left())
        operation.delete(operation.backup)

    def test_incremental_that_stored_nothing(self):
        operation = operations.Incremental(self)
        operation.parent = operation.back_up()
        operation.run()
        self.assertEqual(0, operation.backup.object_count)
        self.check_delete(operation)

    def test_delete_that_left_the_manifest(self):
        operation = operations.Delete(self)
        operation.prepare()
        self.fail(operation,
                  rule(Answer(403), 'DELETE', Kind.MANIFEST, count=None))
        self.assertEqual(1, operation.left())
        self.check_delete(operation)

    def test_delete_that_does_not_know_how_it_ended(self):
        operation = operations.Delete(self)
        operation.prepare()
        self.fail(operation, rule(Reset(Moment.ANSWERED), 'DELETE',
                                  Kind.MANIFEST, count=None))
        self.assertEqual(0, operation.left())
        self.check_delete(operation)
