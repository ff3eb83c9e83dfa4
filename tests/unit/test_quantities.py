# SPDX-License-Identifier: Apache-2.0

"""Quantities for people."""

import datetime

from oslotest import base

from cinder_swift_backup import quantities


class QuantitiesTest(base.BaseTestCase):
    """They have a unit, and as many digits as anybody needs."""

    def test_sizes(self):
        for count, text in ((None, '-'), (0, '0 B'), (999, '999 B'),
                            (1000, '0.98 KiB'), (10 << 20, '10.0 MiB'),
                            (500 << 30, '500 GiB'), (4500 << 50, '4500 PiB')):
            self.assertEqual(text, quantities.size(count))

    def test_durations(self):
        for seconds, text in ((-5, '0 min 0 s'), (61, '1 min 1 s'),
                              (3700, '1 h 1 min'), (90000, '1 d 1 h')):
            self.assertEqual(text, quantities.duration(
                datetime.timedelta(seconds=seconds)))

    def test_counted(self):
        for number, thing, text in (
                (1, 'retry', '1 retry'), (0, 'retry', '0 retries'),
                (2, 'day', '2 days'), (3, 'pack', '3 packs')):
            self.assertEqual(text, quantities.counted(number, thing))
