# SPDX-License-Identifier: Apache-2.0

"""What of a volume has to be made zeros."""

import time
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.restore import filling
from cinder_swift_backup.engine.volumes import base as volumes_base
from cinder_swift_backup.format import types
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base


class AskedVolume(volumes.RamVolume):
    """Notes what it was asked about."""

    def __init__(self, data, seconds=0):
        super().__init__(data, sparse=True)
        self.asked = []
        self._seconds = seconds

    def data_extents(self, within):
        """See the engine's VolumeReader; takes a while."""
        self.asked.append(within)
        time.sleep(self._seconds)
        return super().data_extents(within)


class FillerTest(base.EngineTestCase):
    """A volume with data here and there, as a restore begins."""

    def _make(self, volume, length, observer=None):
        return filling.make(
            volume, types.Extent(0, length),
            self.bench.repository.during(
                observer or observers.Recorder()).operation)

    def _fill(self, window):
        volume = AskedVolume(b'x' * 40 + bytes(40) + b'y' * 16 + bytes(32))
        with mock.patch.object(volumes_base, 'WINDOW', window):
            filler = self._make(volume, 160)
        filler.zero([types.Extent(offset, 16) for offset in range(0, 128, 16)])
        return volume

    def test_windows_change_nothing(self):
        whole = self._fill(1000)
        self.assertEqual(bytes(128), bytes(whole.data))
        self.assertEqual([0, 16, 32, 80],
                         [extent.offset for extent in whole.zeroed])
        for window in (1, 16, 48):
            self.assertEqual(whole.zeroed, self._fill(window).zeroed)

    def test_asked_in_windows(self):
        asked = self._fill(48).asked[:4]
        self.assertEqual([(0, 48), (48, 48), (96, 48), (144, 16)],
                         [(extent.offset, extent.length) for extent in asked])

    def test_cancelled_while_it_is_asked(self):
        volume = AskedVolume(bytes(10_000), seconds=0.01)
        with (mock.patch.object(volumes_base, 'WINDOW', 1),
              mock.patch.object(pipelines, 'POLL', 0.01)):
            self.assertRaises(exceptions.Cancelled, self._make, volume, 10_000,
                              observers.Recorder(cancel_at=2))
        self.assertLess(len(volume.asked), 5_000)
