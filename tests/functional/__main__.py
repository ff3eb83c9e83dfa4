# SPDX-License-Identifier: Apache-2.0

"""Prints which functional tests README's test command runs, and where."""

import collections
import pathlib
import sys
import unittest

from tests import selection


def _where(test: unittest.TestCase, scenario: str) -> selection.Modes:
    if type(test).__module__.endswith('.test_faults'):
        return selection.of_fault(scenario)
    return selection.of(test)


def main() -> None:
    """Print each test class, and how many tests it has."""
    here = pathlib.Path(__file__).parent
    found = collections.defaultdict(collections.Counter)
    for test in selection.each(unittest.defaultTestLoader.discover(
            str(here), top_level_dir=str(here.parents[1]))):
        name = test.id().removeprefix(f'{__package__}.').rpartition('.')[0]
        scenarios = getattr(test, 'scenarios', None) or [('', {})]
        for scenario, _ in scenarios:
            found[_where(test, scenario)][name] += 1
    for where in selection.Modes:
        tests = found[where]
        print(f'{tests.total()} functional tests {where.value}:')
        for name, count in sorted(tests.items()):
            print(f'    {name} ({count})')


if __name__ == '__main__':
    sys.exit(main())
