# SPDX-License-Identifier: Apache-2.0

"""What counts as growth of a process, and what is counted."""

import dataclasses

from oslotest import base

from tests.fakes import process_memory
from tests.soak import judgement

MIB = judgement.MIB
FLAT = judgement.Sample(resident=100 * MIB, used=60 * MIB, blocks=100000,
                        threads=1, descriptors=4, connections=1)
NAMES = (*judgement.MARGINS, *judgement.COUNTS)


def samples(count, **changes):
    """Samples of which each field is a function of the number."""
    found = []
    for number in range(count):
        found.append(dataclasses.replace(FLAT, **{
            name: change(number) for name, change in changes.items()}))
    return found


class GrowthTest(base.BaseTestCase):
    """Made-up samples."""

    def test_flat(self):
        self.assertEqual([], judgement.growth([FLAT] * 200))

    def test_memory_that_leaks(self):
        for name, margin in judgement.MARGINS.items():
            with self.subTest(name):
                [found] = self._grown(name, lambda number, margin=margin:
                                      number * (margin // 100 + 1))
                self.assertTrue(found.startswith(f'{name}: from '), found)

    def test_memory_within_the_margin(self):
        for name, margin in judgement.MARGINS.items():
            self.assertEqual([], self._grown(
                name, lambda number, margin=margin: number * margin // 100))

    def test_text(self):
        self.assertEqual(
            ['blocks: from 74,500 to 174,500, more than 20,000 above'],
            self._grown('blocks', lambda number: number * 1000))

    def test_memory_that_warms_up(self):
        for name in judgement.MARGINS:
            self.assertEqual([], self._grown(
                name, lambda number: min(number, 50) * MIB))

    def test_memory_that_goes_up_and_down(self):
        for name in judgement.MARGINS:
            self.assertEqual([], self._grown(
                name, lambda number: number % 25 * MIB))

    def test_memory_that_is_given_back(self):
        for name in judgement.MARGINS:
            self.assertEqual([], self._grown(
                name, lambda number: (300 - number) * MIB))

    def test_memory_in_a_few_rounds(self):
        leak = dict.fromkeys(judgement.MARGINS, lambda number: number * MIB)
        for count, expected in ((200, ['resident', 'used', 'blocks']),
                                (199, ['used', 'blocks']),
                                (100, ['used', 'blocks']), (99, ['used'])):
            self.assertEqual(expected, [
                found.partition(':')[0]
                for found in judgement.growth(samples(count, **leak))])

    def _grown(self, name, change):
        return judgement.growth(samples(200, **{name: change}))

    def test_counts_that_leak(self):
        for name in judgement.COUNTS:
            found = judgement.growth(samples(
                200, **{name: lambda number: 4 + number // 50}))
            self.assertEqual(
                [f'{name}: from 4 to 7, more than 2 above'], found)

    def test_counts_within_the_slack(self):
        for name in judgement.COUNTS:
            self.assertEqual([], judgement.growth(samples(
                200, **{name: lambda number: 4 + (number > 2) * 2})))

    def test_counts_of_a_while(self):
        self.assertEqual([], judgement.growth(samples(
            200, threads=lambda number: 9 if number == 100 else 1)))

    def test_all_that_grows_is_told(self):
        change = dict.fromkeys(NAMES, lambda number: number * MIB)
        self.assertEqual(list(NAMES), [
            found.partition(':')[0]
            for found in judgement.growth(samples(200, **change))])

    def test_fewest(self):
        judgement.growth([FLAT] * judgement.FEWEST)
        self.assertRaises(ValueError, judgement.growth,
                          [FLAT] * (judgement.FEWEST - 1))

    def test_before_and_after(self):
        one_more = samples(1, threads=lambda number: 4)
        self.assertEqual([], judgement.more([FLAT], [FLAT]))
        self.assertEqual(['threads: from 1 to 4, more than 2 above'],
                         judgement.more([FLAT], [FLAT, *one_more]))


class GaugesTest(base.BaseTestCase):
    """A process of its own, for others leave to the collector what they had.

    Each word is what there is more than before.
    """

    def test_connection(self):
        self._check('''
with socket.create_server(('127.0.0.1', 0)) as server:
    before = gauges.sample()
    with socket.create_connection(server.getsockname()) as one:
        tell()
        # One whose peer has closed it is one that was left.
        server.accept()[0].close()
        one.recv(1)
        tell()
    tell()
''', '0 1 1', '0 1 1', '0 0 0')

    def test_file(self):
        self._check('''
with open('/dev/null', 'rb'):
    tell()
tell()
''', '0 1 0', '0 0 0')

    def test_thread(self):
        self._check('''
done = threading.Event()
thread = threading.Thread(target=done.wait)
thread.start()
tell()
done.set()
''', '1 0 0')

    def test_memory(self):
        resident, used, blocks = map(int, process_memory.printed(
            _GAUGES + '''
kept = b'x' * (64 << 20), [object() for _ in range(50000)]
after = gauges.sample()
for name in judgement.MARGINS:
    print(getattr(after, name) - getattr(before, name))
'''))
        self.assertGreater(resident, 60 * MIB)
        self.assertGreater(used, 60 * MIB)
        self.assertGreater(blocks, 49000)

    def _check(self, script, *expected):
        self.assertEqual(' '.join(expected).split(),
                         process_memory.printed(_GAUGES + script))


_GAUGES = '''
import socket
import threading
from tests.soak import gauges
from tests.soak import judgement

before = gauges.sample()

def tell():
    after = gauges.sample()
    for name in judgement.COUNTS:
        print(getattr(after, name) - getattr(before, name))

'''
