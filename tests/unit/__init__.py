# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Tests that need no cloud: ``stestr --test-path tests/unit run``."""

import hypothesis

# The machine decides how long an example takes, so no example has a
# deadline. Failures print the blob that repeats them anywhere.
hypothesis.settings.register_profile(
    'unit', deadline=None, max_examples=60, print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile('unit')
