# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.format``.

Modules that other tests hold:

* chains: engine.restore.test_planner
* long_list: format.test_manifest
* runs: format.test_zeros
* streams: format.test_codecs
"""
