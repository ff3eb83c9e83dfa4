# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.format``.

Modules that other tests hold:

* chains: engine.restore.test_planner
* condemned: engine.test_sweeping
* entries: format.test_manifest
* long_list: format.test_manifest
* manifest_fields: format.test_manifest
* manifests: format.test_points
* runs: format.test_zeros
* streams: format.test_codecs
"""
