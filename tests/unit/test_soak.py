# SPDX-License-Identifier: Apache-2.0

"""What counts as growth of a process, and what is counted."""

from oslotest import base

from tests.fakes import process_memory
from tests.soak import judgement

MIB = judgement.MIB
FLAT = judgement.Sample(memory=100 * MIB, threads=1, descriptors=4,
                        connections=1)


def samples(count, **changes):
    """Samples of which each field is a function of the number."""
    found = []
    for number in range(count):
        values = {name: getattr(FLAT, name)
                  for name in ('memory', *judgement.COUNTS)}
        found.append(judgement.Sample(**values | {
            name: change(number) for name, change in changes.items()}))
    return found


class GrowthTest(base.BaseTestCase):
    """Made-up samples."""

    def test_flat(self):
        self.assertEqual([], judgement.growth([FLAT] * 200))

    def test_memory_that_leaks(self):
        leak = 100 * 1024
        [found] = judgement.growth(samples(
            200, memory=lambda number: 100 * MIB + number * leak))
        self.assertEqual('memory has grown from 107.3 to 117.0 MiB, by more '
                         'than 8', found)

    def test_memory_that_warms_up(self):
        self.assertEqual([], judgement.growth(samples(
            200, memory=lambda number: min(100 + number, 150) * MIB)))

    def test_memory_that_goes_up_and_down(self):
        self.assertEqual([], judgement.growth(samples(
            200, memory=lambda number: (100 + number % 20) * MIB)))

    def test_memory_that_is_given_back(self):
        self.assertEqual([], judgement.growth(samples(
            200, memory=lambda number: (300 - number) * MIB)))

    def test_counts_that_leak(self):
        for name in judgement.COUNTS:
            found = judgement.growth(samples(
                200, **{name: lambda number: 4 + number // 50}))
            self.assertEqual(
                [f'{name} have grown from 4 to 7, by more than 2'], found)

    def test_counts_within_the_slack(self):
        for name in judgement.COUNTS:
            self.assertEqual([], judgement.growth(samples(
                200, **{name: lambda number: 4 + (number > 2) * 2})))

    def test_counts_of_a_while(self):
        self.assertEqual([], judgement.growth(samples(
            200, threads=lambda number: 9 if number == 100 else 1)))

    def test_all_that_grows_is_told(self):
        change = dict.fromkeys(('memory', *judgement.COUNTS),
                               lambda number: number * MIB)
        self.assertEqual(4, len(judgement.growth(samples(200, **change))))

    def test_fewest(self):
        judgement.growth([FLAT] * judgement.FEWEST)
        self.assertRaises(ValueError, judgement.growth,
                          [FLAT] * (judgement.FEWEST - 1))

    def test_before_and_after(self):
        one_more = samples(1, threads=lambda number: 4)
        self.assertEqual([], judgement.more([FLAT], [FLAT]))
        self.assertEqual(['threads have grown from 1 to 4, by more than 2'],
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
        [found] = process_memory.printed(_GAUGES + '''
kept = b'x' * (64 << 20)
print((gauges.sample().memory - before.memory) >> 20)
''')
        self.assertGreater(int(found), 60)

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
