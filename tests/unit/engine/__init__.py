# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine``.

Modules that other tests hold:

* presence: engine.backup.test_parents
"""
