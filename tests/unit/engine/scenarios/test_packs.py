# SPDX-License-Identifier: Apache-2.0

"""Backups in the form of packs, from a volume to the store and back."""


from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import packs
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base
from tests.unit.engine import strategies

_PACKS = chains.Form.PACKS
_WORDS = st.sampled_from(('none', 'zlib', 'zstd', 'bz2'))


def _check_point(case, bench, number):
    """What a manifest tells of packs is what pages and packs tell."""
    manifest = bench.repository.load(base.ref(number))
    point = manifest.point
    living, by_word = {}, {}
    for page in point.pages:
        for record in point_objects.PointObjects(
                bench.repository.operation).page(base.ref(number), point,
                                                 page):
            chunks, stored = living.get(record.name, (0, 0))
            living[record.name] = (chunks + 1, stored + record.place.length)
            before = by_word.get(record.compression, (0, 0, 0))
            by_word[record.compression] = tuple(map(
                int.__add__, before, (1, record.extent.length,
                                      record.place.length)))
    case.assertEqual(living, {
        pack.name: (pack.living, pack.living_bytes) for pack in point.packs})
    case.assertEqual(by_word, {
        word: (stored.chunks, stored.bytes, stored.stored_bytes)
        for word, stored in point.stored.items()})
    for pack in point.packs:
        stored = bench.get(pack.name)
        case.assertEqual(len(stored), pack.length)
        index = packs.decode(pack, stored[-pack.index_length:])
        offsets = list(index.chunks.offsets)
        case.assertEqual(sorted(offsets), offsets)
    return manifest


class HistoryTest(base.EngineTestCase):
    """Any history comes back, whatever it is compared with."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    @given(strategies.histories(), _WORDS, st.booleans())
    @settings(max_examples=150)
    def test_each_backup(self, history, word, sparse):
        bench = base.Bench()
        for number, (data, parent) in enumerate(history):
            bench.archive(
                number, volumes.RamVolume(data, sparse=sparse),
                parent=parent, codec=word, form=_PACKS)
            _check_point(self, bench, number)
        checker = deep.Checker(bench.repository)
        for number, (data, _) in enumerate(history):
            chain = bench.resolve(number)
            target = bench.restore(chain, b'\xa5' * len(data))
            self.assertEqual(data, bytes(target.data))
            self.assertEqual([], checker.check(
                deep.Subject(chain.tip, len(data)), None,
                observers.Recorder()))
        # Each stands alone.
        kept = len(history) // 2
        for number in range(len(history)):
            if number != kept:
                bench.delete(base.ref(number))
        target = bench.restore(bench.resolve(kept),
                               b'\xa5' * len(history[kept][0]))
        self.assertEqual(history[kept][0], bytes(target.data))
