# SPDX-License-Identifier: Apache-2.0

"""The command, on a store in memory.

Modules that other tests hold:

* cinder_api: cli.test_accounts
* cinder_records: cli.test_deleting
* commands: cli.test_app
* conversion_needs: cli.test_converting
* expectations: cli.test_verifying
* openstack_plugin: cli.test_app
* output_files: cli.test_reporting
* policies: cli.test_forgetting
* questions: cli.test_deleting
* record_statements: cli.test_converting
* report_page: cli.test_reporting
* retaining: cli.test_forgetting
* summaries: cli.test_listing
* targets: cli.test_restoring
"""
