# SPDX-License-Identifier: Apache-2.0

"""Each test that runs beside others runs once."""

import pathlib
import re

from oslotest import base
import yaml

_TESTS = pathlib.Path(__file__).parents[1]


def _workers(path):
    """The patterns of each worker of a file of stestr."""
    return [[re.compile(pattern) for pattern in entry['worker']]
            for entry in yaml.safe_load(path.read_text())]


class WorkersTest(base.BaseTestCase):
    """The files that say which worker runs which module."""

    def test_each_module_has_one_worker(self):
        for directory, name in (('functional', 'workers.yaml'),
                                ('functional', 'workers-short.yaml'),
                                ('project', 'workers.yaml')):
            workers = _workers(_TESTS / directory / name)
            for module in (_TESTS / directory).glob('test_*.py'):
                test = f'tests.{directory}.{module.stem}.SomeTest.test'
                count = sum(any(pattern.search(test) for pattern in worker)
                            for worker in workers)
                self.assertEqual(1, count, f'{name}: {module.name}')

    def test_each_name_is_that_of_a_module(self):
        for path in _TESTS.glob('*/workers*.yaml'):
            names = {name for group in re.findall(
                r'test_\(([\w|]+)\)|test_(\w+)\\\.', path.read_text())
                for part in group for name in part.split('|') if name}
            for name in names:
                self.assertTrue(
                    (path.parent / f'test_{name}.py').exists(), name)
