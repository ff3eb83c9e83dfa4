# SPDX-License-Identifier: Apache-2.0

"""What is inside Cinder is as the driver takes it to be."""

import sys
import types as python_types
from unittest import mock

from cinder_swift_backup.cli import exporting
from cinder_swift_backup.driver import compat
from cinder_swift_backup.driver import driver
from tests.unit.driver import base


class AdoptTest(base.DriverTestCase):
    """The manager passes us the stock driver's backups."""

    def _adopt(self, mapping):
        manager = python_types.SimpleNamespace(MAPPING=mapping)
        with mock.patch.dict(sys.modules,
                             {'cinder.backup.manager': manager}):
            compat.adopt_stock_records()
        return mapping

    def test_adopted(self):
        self.assertEqual({compat.STOCK: compat.OURS,
                          compat.STOCK_OF_GRIZZLY: compat.OURS},
                         self._adopt({}))

    def test_what_is_there_stays(self):
        there = {'a': 'b', compat.STOCK: 'somebody.else'}
        self.assertEqual({**there, compat.STOCK_OF_GRIZZLY: compat.OURS},
                         self._adopt(dict(there)))

    def test_again(self):
        self.assertEqual(self._adopt({}), self._adopt(self._adopt({})))

    def test_the_command_writes_the_same_names(self):
        # It cannot ask the driver, which needs Cinder.
        self.assertEqual({'ours': compat.OURS, 'stock': compat.STOCK},
                         exporting._SERVICES)

    def test_no_manager(self):
        with mock.patch.dict(sys.modules):
            sys.modules.pop('cinder.backup.manager', None)
            compat.adopt_stock_records()
            self.assertNotIn('cinder.backup.manager', sys.modules)

    def test_paths_are_those_of_the_classes(self):
        for path in (compat.STOCK, compat.OURS):
            module, _, name = path.rpartition('.')
            __import__(module)
            self.assertTrue(hasattr(sys.modules[module], name), path)
        self.assertIs(driver.SwiftBackupDriver,
                      getattr(sys.modules['cinder_swift_backup.driver'],
                              compat.OURS.rpartition('.')[2]))
