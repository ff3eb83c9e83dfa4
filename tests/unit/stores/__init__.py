# SPDX-License-Identifier: Apache-2.0

"""Tests of ``cinder_swift_backup.stores``.

Modules that other tests hold:

* base: stores.test_memory
* clock: stores.test_swift
* connections: stores.test_swift_http
* headers: stores.test_swift_answers
* swift_exchange: stores.test_swift
* swift_session: stores.test_swift
* traffic: contract.suite
* transport: stores.test_swift
"""
