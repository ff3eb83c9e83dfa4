# SPDX-License-Identifier: Apache-2.0

"""The contract of a store, kept by real Swift."""

from tests.contract.test_swift import SwiftStoreTest

__all__ = ('SwiftStoreTest',)
