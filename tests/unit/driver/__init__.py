# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.driver``.

Modules that other tests hold:

* keys: functional.test_encrypted
* option_values: driver.test_config_report
* settings: driver.test_options
"""
