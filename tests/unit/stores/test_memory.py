# SPDX-License-Identifier: Apache-2.0

"""The store in memory keeps the contract, and so does the one that fails."""

from oslotest import base as test_base

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import memory
from tests.contract import suite
from tests.fakes import blobs
from tests.fakes import faulty


def _make():
    return memory.MemoryStore(base.Capabilities(
        max_object_size=16 << 20, storage_policies=('gold', 'tin')))


class MemoryStoreTest(suite.StoreContract, test_base.BaseTestCase):
    """The contract, and the limit of what an object may hold."""

    def make_store(self):
        return _make()

    def test_object_above_the_limit(self):
        store = memory.MemoryStore(base.Capabilities(max_object_size=10))
        store.ensure_container('c', create=True)
        blobs.put(store, 'c', 'a', bytes(10))
        self.assertRaises(exceptions.QuotaExceeded, blobs.put, store,
                          'c', 'b', bytes(11))
        self.assertRaises(
            exceptions.QuotaExceeded, store.put, 'c', 'b',
            base.Body(11, lambda: iter((bytes(11),))))
        self.assertEqual(['a'], [info.name for info in store.list('c', '')])


class FaultyStoreTest(suite.StoreContract, test_base.BaseTestCase):
    """Without a script nothing goes wrong."""

    def make_store(self):
        return faulty.FaultyStore(_make())
