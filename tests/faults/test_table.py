# SPDX-License-Identifier: Apache-2.0

"""All of the table of faults, and all deaths."""

# Chooses green or native threads, so it comes before everything else.
# isort: off
import tests.functional  # noqa: F401
# isort: on

import testscenarios

from tests.faults import base
from tests.faults import cases
from tests.faults import deaths
from tests.faults import rows

# As they are found, so that workers can divide them.
load_tests = testscenarios.load_tests_apply_scenarios


class TableTestCase(testscenarios.WithScenarios, base.CaseTestCase,
                    deaths.MortalTestCase):
    """What the fault proxy breaks, in the cloud that servers die in."""

    scenarios = tuple((case.name, {'case': case}) for case in cases.CASES
                      if rows.wanted(case.name))

    def test(self):
        """One case."""
        self.check_case()


class LoginsTestCase(testscenarios.WithScenarios, base.LoginTestCase,
                     deaths.MortalTestCase):
    """What the fault proxy breaks of logins."""

    scenarios = tuple((case.name, {'case': case}) for case in cases.LOGINS
                      if rows.wanted(case.name))

    def test(self):
        """One case."""
        self.check_case()


class DeathsTestCase(testscenarios.WithScenarios, deaths.DeathTestCase):
    """What dies."""

    scenarios = tuple((death.name, {'death': death})
                      for death in deaths.DEATHS if rows.wanted(death.name))

    def test(self):
        """One death."""
        self.check_death()
