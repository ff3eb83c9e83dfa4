# SPDX-License-Identifier: Apache-2.0

"""One finds the tests of a module: by its name, or where its package says."""

import ast
import pathlib
import re
import sys

from oslotest import base

import cinder_swift_backup

_PRODUCT = pathlib.Path(cinder_swift_backup.__file__).parent
_UNIT = pathlib.Path(__file__).parent
_HELD = re.compile(r'^\* (\w+): ([\w.]+)$', re.MULTILINE)


def _held(package):
    """By the modules of a package, the tests that hold them."""
    source = _UNIT / package / '__init__.py'
    return dict(_HELD.findall(ast.get_docstring(
        ast.parse(source.read_text())) or ''))


def _exists(test):
    """Whether there is a test module, in tests.unit or in tests."""
    path = pathlib.Path(*test.split('.')).with_suffix('.py')
    return (_UNIT / path).exists() or (_UNIT.parent / path).exists()


class ModulesTest(base.BaseTestCase):
    """Every module of the product, and every package of unit tests."""

    def test_each_module_has_tests(self):
        for path in sorted(_PRODUCT.rglob('*.py')):
            package = path.parent.relative_to(_PRODUCT)
            if path.stem == '__init__':
                continue
            own = _UNIT / package / f'test_{path.stem}.py'
            self.assertNotEqual(
                own.exists(), path.stem in _held(package),
                f'{path}: either there is a {own.name}, or the docstring of '
                f'its package says which tests hold it.')

    def test_what_packages_say_is_true(self):
        for source in sorted(_UNIT.rglob('__init__.py')):
            package = source.parent.relative_to(_UNIT)
            for module, test in _held(package).items():
                self.assertTrue((_PRODUCT / package / f'{module}.py').exists(),
                                f'{source}: there is no {module}.')
                self.assertTrue(_exists(test), f'{source}: no {test}.')

    def test_no_test_imports_another(self):
        imports = re.compile(r'^\s*(?:from|import) tests\.[^\n]*\btest_\w+',
                             re.MULTILINE)
        self.assertTrue(imports.search('from tests.unit.test_x import Y'))
        self.assertTrue(imports.search('from tests.unit import test_x'))
        for path in sorted(_UNIT.parent.rglob('*.py')):
            self.assertIsNone(
                imports.search(path.read_text(encoding='utf-8')),
                f'{path}: what several tests need belongs to a module '
                f'without test_ in its name.')


class NativeTest(base.BaseTestCase):
    """Unit tests run as most programs do."""

    def test_no_module_has_patched_the_process(self):
        # Importing a command of Cinder does, and with it functional tests.
        patcher = sys.modules.get('eventlet.patcher')
        self.assertFalse(patcher and patcher.is_monkey_patched('thread'))
