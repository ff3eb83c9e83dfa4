# SPDX-License-Identifier: Apache-2.0

"""All of the table of faults, and all deaths."""

import testscenarios

from tests.faults import base
from tests.faults import cases
from tests.faults import deaths
from tests.faults import rows


class TableTestCase(testscenarios.WithScenarios, base.CaseTestCase):
    """What the fault proxy breaks."""

    scenarios = tuple((case.name, {'case': case}) for case in cases.CASES
                      if rows.wanted(case.name))

    def find_cloud(self):
        """The one that servers die in, so that there is only one."""
        return deaths.mortal_cloud().info

    def find_proxy(self):
        """The proxy before it."""
        return deaths.mortal_proxy()

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
