# SPDX-License-Identifier: Apache-2.0

"""The loop that restores, streams and verifies."""

import random

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.restore import doubts
from cinder_swift_backup.engine.restore import fetching
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import types
from tests.fakes import faulty
from tests.unit.engine import base

_DATA = random.Random(7).randbytes(64) + bytes(64) + b'the end.' * 8


class _Sink(fetching.Discard):
    """Keeps what it is told, in an order that does not matter."""

    def __init__(self, present=()):
        self.zeros = []
        self.data = bytearray(b'\xa5' * len(_DATA))
        self.lengths = []
        self._present = frozenset(present)

    def zero(self, extents):
        """Keep them."""
        self.zeros += extents

    def present(self, extents, stop):
        """What the test says."""
        return self._present.intersection(extents)

    def write(self, offset, data, *, repeated):
        """Keep the data."""
        self.data[offset:offset + len(data)] = data

    def wrote(self, length):
        """Keep the length."""
        self.lengths.append(length)


class FetchTest(base.EngineTestCase):
    """Three chunks of 64 bytes, the second of zeros."""

    def setUp(self):
        super().setUp()
        self.bench.archive(1, _DATA)
        self.chain = self.bench.resolve(1)
        self.plan = planner.plan_restore(self.chain)
        self.store.heal()

    def _check(self, noted=None):
        if noted is None:
            check = verification.strict(self.bench.repository, self.chain.tip,
                                        len(_DATA), self.plan.chunks)
        else:
            check = verification.lenient(self.bench.repository,
                                         self.chain.tip, len(_DATA), noted)
        self.addCleanup(check.close)
        self.store.heal()
        return check

    def _fetch(self, sink, check):
        done = []
        fetching.make(self.bench.repository.operation, check).fetch(
            self.plan.chunks, sink, done.append)
        self.assertEqual(len(_DATA), sum(done))
        return len(self.store.names('read'))

    def test_zeros_are_not_fetched(self):
        sink = _Sink()
        self.assertEqual(2, self._fetch(sink, self._check()))
        self.assertEqual([types.Extent(64, 64)], sink.zeros)
        self.assertEqual(_DATA[:64] + b'\xa5' * 64 + _DATA[128:],
                         bytes(sink.data))
        self.assertEqual([64, 64], sink.lengths)

    def test_what_is_present_is_not_fetched(self):
        sink = _Sink([types.Extent(0, 64)])
        self.assertEqual(1, self._fetch(sink, self._check()))
        self.assertEqual([64], sink.lengths)

    def test_all_is_fetched_where_something_is_doubtful(self):
        noted = doubts.Doubts()
        sink = _Sink()
        self.assertEqual(3, self._fetch(sink, self._check(noted)))
        self.assertEqual(([], _DATA), (sink.zeros, bytes(sink.data)))
        self.assertEqual([], noted.found())

    def test_digests_that_cannot_be_had(self):
        # What can be saved is saved all the same.
        for err in (exceptions.StoreUnavailable('gone'),
                    exceptions.AccessDenied('no'),
                    exceptions.SpoolError('full'),
                    exceptions.FormatError('damaged')):
            self.store.script(faulty.fail('read', err, matching=(
                lambda name: name.endswith('_sha256file'))))
            self.assertRaises(type(err), self._check)
            noted = doubts.Doubts()
            check = self._check(noted)
            self.assertFalse(noted.has_digests)
            sink = _Sink()
            self._fetch(sink, check)
            self.assertEqual(_DATA, bytes(sink.data))

    def test_damage(self):
        record = self.chain.tip.manifest.chunks[2]
        self.bench.damage(record.name, lambda data: data[::-1])
        self.assertRaises(exceptions.IntegrityError, self._fetch, _Sink(),
                          self._check())
        noted = doubts.Doubts()
        self._fetch(_Sink(), self._check(noted))
        self.assertEqual([record.name] * len(noted.found()),
                         [doubt.name for doubt in noted.found()])
        self.assertNotEqual([], noted.found())
