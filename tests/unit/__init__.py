# SPDX-License-Identifier: Apache-2.0

"""Tests that need no cloud: ``stestr --test-path tests/unit run``."""

import hypothesis

from tests import selection

# The machine decides how long an example takes, so no example has a
# deadline. Failures print the blob that repeats them anywhere.
hypothesis.settings.register_profile(
    'unit', deadline=None, max_examples=selection.examples(60),
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile('unit')
