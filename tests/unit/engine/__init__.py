# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine``.

Modules that other tests hold:

* engine: engine.scenarios.test_round_trip
* presence: engine.backup.test_parents
"""
