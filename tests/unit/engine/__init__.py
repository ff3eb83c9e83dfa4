# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine``.

Modules that other tests hold:

* keys: engine.scenarios.test_encrypted
* volume_traffic: driver.test_driver
* presence: engine.backup.test_parents
"""
