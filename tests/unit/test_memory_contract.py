# SPDX-License-Identifier: Apache-2.0

"""The contract of a store, kept by the one in memory."""

from tests.contract.test_memory import MemoryStoreTest

__all__ = ('MemoryStoreTest',)
