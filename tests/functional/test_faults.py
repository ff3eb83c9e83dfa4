# SPDX-License-Identifier: Apache-2.0

"""The quick half of the table of faults, see :mod:`tests.faults`.

The environment variable ``CSB_FAULT_CASES``, a regular expression, chooses
some of them by their names.
"""

import testscenarios

from tests import selection
from tests.faults import base
from tests.faults import cases
from tests.faults import deaths
from tests.faults import rows


def wanted(name):
    """Whether a case is to be run."""
    return rows.wanted(name) and selection.is_wanted_fault(name)


class QuickTestCase(testscenarios.WithScenarios, base.CaseTestCase):
    """Faults that are over soon, or that soon end an operation."""

    modes = selection.Modes.BOTH

    scenarios = tuple((case.name, {'case': case}) for case in cases.QUICK
                      if wanted(case.name))

    def test(self):
        self.check_case()


class LoginTestCase(testscenarios.WithScenarios, base.LoginTestCase):
    """Faults of Keystone, where the driver logs in by itself."""

    modes = selection.Modes.BOTH

    scenarios = tuple(
        (case.name, {'case': case}) for case in cases.QUICK_LOGINS
        if wanted(case.name))

    def test(self):
        self.check_case()


class DeathTestCase(testscenarios.WithScenarios, deaths.DeathTestCase):
    """The only object server is away for a moment."""

    modes = selection.Modes.BOTH

    # Or it would be away for a minute.
    shuns = False
    scenarios = tuple(
        (death.name, {'death': death}) for death in deaths.DEATHS
        if (death.server, death.how, death.seconds) == (
            'object.1', 'killed', 3)
        and wanted(death.name))

    def test(self):
        self.check_death()
