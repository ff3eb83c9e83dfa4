# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine.volumes``.

Modules that other tests hold:

* base: engine.volumes.test_device
* unmapped: engine.volumes.test_maps
"""
