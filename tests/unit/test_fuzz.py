# SPDX-License-Identifier: Apache-2.0

"""All targets of ``tests/fuzz``, over their examples and what is near them.

The same inputs each time; ``tox -e fuzz`` is for others.
"""

import hypothesis
from oslotest import base
import testscenarios

from tests.fuzz import mutations
from tests.fuzz import targets

_SAME = hypothesis.settings(
    derandomize=True, database=None, deadline=None, max_examples=40,
    suppress_health_check=list(hypothesis.HealthCheck))

_SCENARIOS = [(name, {'name': name}) for name in targets.TARGETS]


class TargetTest(testscenarios.WithScenarios, base.BaseTestCase):
    """Whatever comes in, a value or an error of ours comes out."""

    scenarios = _SCENARIOS

    def setUp(self):
        super().setUp()
        self.target = targets.TARGETS[self.name]
        self.examples = targets.read_examples(self.name)

    def test_examples(self):
        self.assertGreater(len(self.examples), 0)
        for data in self.examples:
            self.target(data)

    def test_near_examples(self):
        @_SAME
        @hypothesis.given(mutations.inputs(self.examples))
        def run(data):
            self.target(data)
        run()
