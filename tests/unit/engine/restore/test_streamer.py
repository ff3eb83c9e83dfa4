# SPDX-License-Identifier: Apache-2.0

"""A volume as a stream: in order, verified, and nothing fetched in vain."""

import random
from unittest import mock

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.restore import doubts
from cinder_swift_backup.engine.restore import streamer
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests.fakes import faulty
from tests.fakes import observers
from tests.unit.engine import base

_DATA = random.Random(6).randbytes(64 * 20 + 10)


class StreamerTest(base.EngineTestCase):
    """Blocks of 16 bytes in chunks of 64."""

    def _stream(self, *numbers, bench=None, verify=True, **options):
        bench = bench or self.bench
        written = []
        streamer.Streamer(bench.repository).stream(
            bench.resolve(*numbers),
            lambda piece: written.append(bytes(piece)),
            options.pop('observer', observers.Recorder()),
            doubts=None if verify else doubts.Doubts(), **options)
        return written

    @given(st.integers(1, 400), st.lists(st.tuples(
        st.integers(0, 1290), st.binary(min_size=1, max_size=90)),
        max_size=5), st.booleans())
    @settings(max_examples=40)
    def test_any_chain_in_any_windows(self, window, changes, zeros):
        bench = base.Bench()
        data = bytearray(_DATA)
        if zeros:
            data[200:800] = bytes(600)
        bench.archive(1, bytes(data), codec='zlib')
        numbers = [1]
        for offset, change in changes:
            piece = change[:len(data) - offset]
            data[offset:offset + len(piece)] = piece
            bench.archive(len(numbers) + 1, bytes(data), parent=numbers[-1])
            numbers.append(len(numbers) + 1)
        with mock.patch.object(streamer, 'WINDOW', window):
            for verify in (True, False):
                written = self._stream(*numbers, bench=bench, verify=verify)
                self.assertEqual(bytes(data), b''.join(written))
                most = types.whole(window, 16)
                self.assertLessEqual(max(map(len, written)), most)

    def test_objects_are_fetched_once(self):
        self.bench.archive(1, _DATA)
        self.store.heal()
        # Three chunks fit, and a part of the next.
        with mock.patch.object(streamer, 'WINDOW', 200):
            written = self._stream(1)
        self.assertEqual([192] * 6 + [138], [len(piece) for piece in written])
        read = [name for name in self.store.names('read') if '-00' in name]
        self.assertEqual(len({*read}), len(read))

    def test_zeros_are_not_fetched(self):
        self.bench.archive(1, bytes(6400), codec='zlib')
        self.store.heal()
        self.assertEqual(bytes(6400), b''.join(self._stream(1)))
        self.assertEqual([], [name for name in self.store.names('read')
                              if '-00' in name])

    def test_progress(self):
        self.bench.archive(1, _DATA)
        observer = observers.Recorder()
        with mock.patch.object(streamer, 'WINDOW', 640):
            self._stream(1, observer=observer)
        self.assertEqual([(640, 1290), (1280, 1290), (1290, 1290)],
                         observer.progress)

    def test_nothing_wrong_is_written(self):
        self.bench.archive(1, _DATA)
        self.bench.damage(naming.chunk_name(base.ref(1).prefix, 40),
                          lambda data: data[:20] + b'x' + data[21:])
        written = []
        with mock.patch.object(streamer, 'WINDOW', 320):
            self.assertRaises(
                exceptions.DigestMismatch,
                streamer.Streamer(self.bench.repository).stream,
                self.bench.resolve(1),
                lambda piece: written.append(bytes(piece)),
                observers.Recorder())
        self.assertEqual(_DATA[:640], b''.join(written))

    def test_faults(self):
        self.bench.archive(1, _DATA)
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('down'),
            matching=lambda name: name.endswith('-00040')))
        self.assertRaises(exceptions.StoreUnavailable, self._stream, 1)
        self.store.heal()
        with mock.patch.object(pipelines, 'POLL', 0):
            self.assertRaises(exceptions.Cancelled, self._stream, 1,
                              observer=observers.Recorder(cancel_at=3))
        self.bench.memory.delete(base.CONTAINER, naming.digest_file_name(
            base.ref(1).prefix))
        self.assertRaises(exceptions.IntegrityError, self._stream, 1)
        self.assertEqual(_DATA, b''.join(self._stream(1, verify=False)))
