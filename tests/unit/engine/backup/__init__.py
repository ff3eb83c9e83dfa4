# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine.backup``.

Modules that other tests hold:

* archiver: engine.scenarios.test_archiver_faults
* jobs: engine.backup.test_chunk_writer
* layout: engine.backup.test_changes
* worklist: engine.scenarios.test_round_trip
"""
