# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.engine.survey``.

Modules that other tests hold:

* backups: engine.survey.test_quick
* packed: cli.test_sweeping
"""
