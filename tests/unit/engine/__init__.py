# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine``.

Modules that other tests hold:

* point_objects: engine.scenarios.test_points
* presence: engine.backup.test_parents
"""
