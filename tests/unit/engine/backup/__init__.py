# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine.backup``.

Modules that other tests hold:

* archiver: engine.scenarios.test_archiver_faults
* asking: engine.scenarios.test_round_trip
* block_reader: engine.backup.test_chunk_writer
* chunk_backup: engine.scenarios.test_round_trip
* committing: engine.scenarios.test_archiver_faults
* jobs: engine.backup.test_chunk_writer
* layout: engine.backup.test_changes
* needs: engine.scenarios.test_memory
* pack_backup: engine.scenarios.test_packs
* pack_encoder: engine.scenarios.test_packs
* pack_worklist: engine.scenarios.test_packs
* packer: engine.scenarios.test_packs
* page_writer: engine.scenarios.test_packs
* point_assembly: engine.scenarios.test_packs
* storing: engine.scenarios.test_archiver_faults
* traces: engine.scenarios.test_packs
* worklist: engine.scenarios.test_round_trip
"""
