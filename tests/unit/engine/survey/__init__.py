# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine.survey``.

Modules that other tests hold:

* backups: engine.survey.test_quick
* findings: engine.survey.test_scrubbing
* figures: cli.test_staleness
* pack_rounds: engine.survey.test_scrubbing
* packed: cli.test_sweeping
* pieces: engine.survey.test_scrubbing
* verified: cli.test_verifying
"""
