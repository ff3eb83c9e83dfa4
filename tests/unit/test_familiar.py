# SPDX-License-Identifier: Apache-2.0

"""What the table of ``tests.bench.familiar`` tells, and what it measures."""

import pathlib
import tempfile

from oslotest import base

from tests.bench import familiar
from tests.bench import familiar_figures as figures

MIB = 1 << 20


def results():
    """Made-up ones: the other driver takes a quarter, and restic half."""
    found = figures.Results(100, {'machine': 'a small one'})
    for round_trip in figures.ROUND_TRIPS:
        for contender, divisor in ((figures.STOCK, 1), (figures.CHUNKS, 4),
                                   ('restic', 2)):
            for number, operation in enumerate(figures.OPERATIONS):
                found.add(
                    figures.Case(round_trip, contender, operation),
                    figures.Figure((40 + round_trip) / divisor / (number + 1),
                                   MIB * 40 // divisor, MIB * 8 // divisor))
        for operation in figures.THERE_AND_BACK:
            found.add(figures.Case(round_trip, figures.STOCK, operation,
                                   curve=True), figures.Figure(20))
            for workers in figures.WORKERS:
                found.add(figures.Case(
                    round_trip, figures.CHUNKS, operation, workers,
                    curve=True), figures.Figure(16 / workers))
    return found


class ResultsTest(base.BaseTestCase):
    """Rows and ratios of made-up results."""

    def test_rows(self):
        self.assertEqual(
            [('stock', '40 s', '20 s', '13 s', '10 s'),
             ('chunks', '10 s (4.0 x)', '5.0 s (4.0 x)', '3.3 s (4.0 x)',
              '2.5 s (4.0 x)'),
             ('restic', '20 s (2.0 x)', '10 s (2.0 x)', '6.7 s (2.0 x)',
              '5.0 s (2.0 x)')], list(results().rows(0)))
        self.assertEqual(
            ('stock', '140 s', '70 s', '47 s', '35 s'),
            next(results().rows(100)))

    def test_rows_of_the_curve(self):
        stock, *rows = results().curve_rows()
        self.assertEqual(('stock', *['5.2 MB/s'] * 4), stock)
        self.assertEqual(
            [('1', *['6.6 MB/s (1.2 x)'] * 4),
             ('2', *['13 MB/s (2.5 x)'] * 4),
             ('4', *['26 MB/s (5.0 x)'] * 4),
             ('8', *['52 MB/s (10 x)'] * 4),
             ('16', *['105 MB/s (20 x)'] * 4)], rows)

    def test_rows_of_the_traffic(self):
        self.assertEqual(
            [('stock', *['48 MiB'] * 4), ('chunks', *['12 MiB'] * 4),
             ('restic', *['24 MiB'] * 4)], list(results().traffic_rows(100)))

    def test_slower_than_the_stock_driver(self):
        found = results()
        case = figures.Case(0, 'restic', 'full')
        found.add(case, figures.Figure(80))
        self.assertEqual(0.5, found.times_as_fast(case))
        self.assertEqual('80 s (0.50 x)', list(found.rows(0))[2][1])

    def test_saved_and_loaded(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / 'familiar.json'
            results().save(path)
            found = figures.Results.load(path)
        self.assertEqual((100, {'machine': 'a small one'}),
                         (found.mib, found.about))
        for round_trip in figures.ROUND_TRIPS:
            self.assertEqual(list(results().rows(round_trip)),
                             list(found.rows(round_trip)))
        self.assertEqual(list(results().curve_rows()),
                         list(found.curve_rows()))

    def test_sizes(self):
        for size, text in ((5734, '5.6 KiB'), (MIB - 2000, '1,022 KiB'),
                           (MIB, '1.0 MiB'), (26 * MIB, '26 MiB'),
                           (2048 * MIB, '2,048 MiB')):
            self.assertEqual(text, figures.size_text(size))


class RewriteTest(base.BaseTestCase):
    """A volume of which some was written anew."""

    def _changed_stretches(self, count, part):
        with tempfile.TemporaryDirectory() as directory:
            image = pathlib.Path(directory) / 'image'
            changed = image.with_name('changed')
            image.write_bytes(bytes(count * MIB))
            familiar.rewrite('noise', image, changed, part)
            content = changed.read_bytes()
        self.assertEqual(count * MIB, len(content))
        return sum(any(content[start:start + MIB])
                   for start in range(0, len(content), MIB))

    def test_part(self):
        self.assertEqual(4, self._changed_stretches(20, 0.2))

    def test_at_least_one_stretch(self):
        self.assertEqual(1, self._changed_stretches(4, 0.05))
