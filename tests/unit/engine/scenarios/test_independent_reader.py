# SPDX-License-Identifier: Apache-2.0

"""What the specification of chunks says is what is stored.

:mod:`tests.independent_reader` was written from the page alone. It restores
backups of all eras and of ours, and gives back no wrong data of what is
damaged.
"""

from hypothesis import given
from hypothesis import strategies as st

from tests import independent_reader
from tests.fakes import eras
from tests.fakes import volumes
from tests.unit.engine import base

_WORDS = st.sampled_from(('none', 'zlib', 'gzip', 'bz2', 'bzip2', 'zstd'))
_VOLUMES = st.lists(st.sampled_from(
    [bytes(16), bytes(64), b'a' * 16, bytes(range(16))]), min_size=1,
    max_size=20).map(b''.join)


def _restore(bench, number):
    """What the reader makes of a backup."""
    objects = {name: bench.get(name) for name in bench.names()}
    return independent_reader.restore(
        {base.CONTAINER: objects}, base.CONTAINER, base.ref(number).prefix)


def _found(bench):
    """The backups that the reader finds."""
    return independent_reader.find(
        {name: bench.get(name) for name in bench.names()})


class ReaderTest(base.EngineTestCase):
    """Chains of any volumes, by any writer."""

    def setUp(self):
        super().setUp()
        self.have_volumes_of_any_size()

    def _archive(self, history, word):
        bench = base.Bench()
        for number, held in enumerate(history):
            bench.archive(number, volumes.RamVolume(held), codec=word,
                          parent=number - 1 if number else None)
        return bench

    @given(st.lists(_VOLUMES, min_size=1, max_size=4), _WORDS)
    def test_any_history(self, history, word):
        history.sort(key=len)
        bench = self._archive(history, word)
        self.assertEqual([base.ref(number).prefix
                          for number in range(len(history))], _found(bench))
        for number, held in enumerate(history):
            self.assertEqual(held, _restore(bench, number))

    @given(_VOLUMES, st.sampled_from(('zlib', 'bz2', 'none')))
    def test_eras(self, held, word):
        for era in eras.ERAS:
            bench = base.Bench()
            eras.Writer(era, bench.put, word, 64, 16).write(
                base.ref(1), lambda extent: held[extent.offset:extent.end],
                len(held))
            self.assertEqual([base.ref(1).prefix], _found(bench), era)
            self.assertEqual(held, _restore(bench, 1), era)

    @given(st.lists(_VOLUMES, min_size=1, max_size=3), _WORDS, st.data())
    def test_no_damage_gives_wrong_data(self, history, word, data):
        history.sort(key=len)
        bench = self._archive(history, word)
        last = len(history) - 1
        name = data.draw(st.sampled_from(bench.names()))
        damaged = bytearray(bench.get(name))
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] ^= data.draw(st.integers(1, 255))
        bench.put(name, bytes(damaged))
        try:
            held = _restore(bench, last)
        except independent_reader.Unreadable:
            return
        self.assertEqual(history[last], held)
