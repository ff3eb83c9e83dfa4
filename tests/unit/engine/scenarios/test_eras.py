# SPDX-License-Identifier: Apache-2.0

"""Backups of all eras since Grizzly come back byte for byte."""

import itertools

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from tests.fakes import eras
from tests.unit.engine import base

_CHUNK, _BLOCK = 64, 16
_VOLUMES = strategies.lists(strategies.sampled_from(
    [bytes(16), b'a' * 16, bytes(range(16)), b'short']), min_size=1,
    max_size=20).map(b''.join)


_WORDS = ('zlib', 'bz2', 'none')
# All of them with each volume: so a few volumes are enough.
_KINDS = tuple(itertools.product(eras.ERAS, _WORDS))
_FEW = settings(max_examples=10)


def _write(bench, era, word, number, data, **options):
    """Write a backup of an era; returns the number of objects it noted."""
    writer = eras.Writer(era, bench.put, word, _CHUNK, _BLOCK)
    return writer.write(
        base.ref(number), lambda extent: data[extent.offset:extent.end],
        len(data), **options)


class EraTest(base.EngineTestCase):
    """All of them, with the codecs of their time."""

    def setUp(self):
        super().setUp()
        self.have_volumes_of_any_size()

    @_FEW
    @given(data=_VOLUMES)
    def test_full(self, data):
        for era, word in _KINDS:
            self._check_full(era, word, data)

    def _check_full(self, era, word, data):
        bench = base.Bench()
        noted = _write(bench, era, word, 1, data)
        chain = bench.resolve(1)
        self.assertEqual(
            chains.Era.DIGESTS if era.incrementals
            else chains.Era.BEFORE_DIGESTS, chain.tip.manifest.era)
        self.assertEqual(data, bytes(bench.restore(
            chain, b'\xa5' * len(data)).data))
        self.assertEqual(noted + era.incrementals,
                         bench.delete(base.ref(1)))
        self.assertEqual([], bench.names())

    @_FEW
    @given(data=_VOLUMES, later=_VOLUMES)
    def test_continued(self, data, later):
        for era, word in _KINDS:
            self._check_continued(era, word, data, later)

    def _check_continued(self, era, word, data, later):
        bench = base.Bench()
        _write(bench, era, word, 1, data)
        later = later[:len(data)].ljust(len(data), b'\0')
        above = bench.find_parent(1, block_size=_BLOCK)
        # Without digests there is nothing to compare with, so that a full
        # backup is made.
        self.assertEqual(era.incrementals, above is not None)
        if above is None:
            return
        bench.archive(2, later, parent=1)
        for numbers, expected in (((1,), data), ((1, 2), later)):
            self.assertEqual(expected, bytes(bench.restore(
                bench.resolve(*numbers), b'\xa5' * len(data)).data))

    def test_incremental(self):
        data = bytes(range(200))
        later = bytearray(data)
        later[32:50] = bytes(18)
        later[150:160] = b'changed no'
        for era, word in itertools.product(eras.ERAS[-2:], _WORDS):
            self.assertTrue(era.incrementals)
            bench = base.Bench()
            _write(bench, era, word, 1, data)
            _write(bench, era, word, 2, bytes(later), parent_id='bak-1',
                   changes=[types.Extent(32, 32), types.Extent(144, 16)])
            self.assertEqual(bytes(later), bytes(bench.restore(
                bench.resolve(1, 2), b'\xa5' * 200).data))

    @given(era=strategies.sampled_from(eras.ERAS),
           word=strategies.sampled_from(_WORDS), data=_VOLUMES,
           choice=strategies.data())
    def test_damage_is_noticed(self, era, word, data, choice):
        bench = base.Bench()
        _write(bench, era, word, 1, data)
        name = choice.draw(strategies.sampled_from(
            [each for each in bench.names() if each[-1].isdigit()]))
        stored = bytearray(bench.get(name))
        at = choice.draw(strategies.integers(0, len(stored) - 1))
        stored[at] ^= 1 << choice.draw(strategies.integers(0, 7))
        bench.put(name, bytes(stored))
        try:
            found = bytes(bench.restore(
                bench.resolve(1), b'\xa5' * len(data)).data)
        except exceptions.BackupError:
            return
        # Not all bits of a compressed stream matter.
        self.assertEqual(data, found)
