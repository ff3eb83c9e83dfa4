# SPDX-License-Identifier: Apache-2.0

"""The note of packs that nobody names, in the store."""

import datetime
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import condemned_packs
from cinder_swift_backup.format import condemned
from tests.fakes import faulty
from tests.unit.engine import base

_VOLUME = condemned_packs.Volume(base.CONTAINER, base.ref(1).prefix)
_NOTED = {'bak-1-000001': datetime.datetime(2026, 1, 2, 3, 4, 5,
                                            tzinfo=datetime.UTC)}


class CondemnedPacksTest(base.EngineTestCase):
    """A note is written, read and deleted."""

    def setUp(self):
        super().setUp()
        self.operation = self.bench.repository.operation

    def test_the_volume(self):
        self.assertEqual('volume_vol-1/', _VOLUME.root)
        self.assertEqual('volume_vol-1/packs/', _VOLUME.packs)

    def test_there_and_back(self):
        self.assertEqual({}, condemned_packs.read(self.operation, _VOLUME))
        condemned_packs.write(self.operation, _VOLUME, _NOTED)
        self.assertEqual(['volume_vol-1/packs/condemned'],
                         self.bench.names())
        self.assertEqual(_NOTED,
                         condemned_packs.read(self.operation, _VOLUME))
        condemned_packs.write(self.operation, _VOLUME, {})
        self.assertEqual({}, condemned_packs.read(self.operation, _VOLUME))
        self.assertEqual(['volume_vol-1/packs/condemned'],
                         self.bench.names())
        for _ in range(2):
            condemned_packs.remove(self.operation, _VOLUME)
            self.assertEqual([], self.bench.names())

    def test_a_404_that_is_wrong(self):
        condemned_packs.write(self.operation, _VOLUME, _NOTED)
        self.store.script(faulty.fail('read', exceptions.ObjectNotFound(
            'there is no such object'), nth=1))
        self.assertEqual(_NOTED,
                         condemned_packs.read(self.operation, _VOLUME))

    def test_one_that_is_too_large(self):
        condemned_packs.write(self.operation, _VOLUME, _NOTED)
        with mock.patch.object(condemned, 'LARGEST', 10):
            self.assertEqual({}, condemned_packs.read(self.operation,
                                                      _VOLUME))

    def test_the_time_is_the_stores(self):
        self.bench.memory.ahead = datetime.timedelta(days=400)
        ahead = (condemned_packs.now(self.store)
                 - datetime.datetime.now(datetime.UTC))
        self.assertGreater(ahead, datetime.timedelta(days=399))
        with mock.patch.object(self.bench.memory, 'now', return_value=None):
            ahead = (condemned_packs.now(self.bench.memory)
                     - datetime.datetime.now(datetime.UTC))
        self.assertLess(abs(ahead), datetime.timedelta(days=1))
