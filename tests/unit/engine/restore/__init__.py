# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine.restore``.

Modules that other tests hold:

* doubts: engine.restore.test_fetching
* kept_pieces: engine.restore.test_stored_volume
* lookup: engine.restore.test_stored_volume
* needs: engine.scenarios.test_memory
* planning: engine.scenarios.test_points
* restorer: engine.scenarios.test_restorer_faults
* salvage: engine.restore.test_fetching
* verification: engine.scenarios.test_restorer_faults
* windows: engine.restore.test_streamer
"""
