# SPDX-License-Identifier: Apache-2.0

"""Who may import whom: format <- stores <- engine <- driver and cli.

The rules are data; a failure names the file and line, the import, the rule
and the reason for it.
"""

import ast
import dataclasses
import pathlib
import pkgutil
import re
import subprocess
import sys

from oslotest import base

import cinder_swift_backup

_NAME = 'cinder_swift_backup'
_ROOT = pathlib.Path(cinder_swift_backup.__file__).parent
_EDGES = ('driver', 'cli')
_BELOW = ('exceptions', 'format', 'quantities', 'stores', 'engine')
_ROOMS = ('backup', 'restore', 'survey')


@dataclasses.dataclass(frozen=True)
class Rule:
    """What modules below ``part`` may import.

    :param allowed: parts of the package
    :param forbidden: top-level names from outside of it, and whole names of
        modules in it
    :param instead: whether the rules of what the part is in are not for it
    """

    part: str
    allowed: tuple[str, ...]
    forbidden: tuple[str, ...]
    why: str
    instead: bool = False


_RULES = (
    Rule('exceptions', (), ('cinder', 'eventlet'),
         'everybody raises these, so they know nobody'),
    Rule('quantities', (), ('cinder', 'eventlet'),
         'everybody tells these, so they know nobody'),
    Rule('format', ('exceptions', 'format'),
         ('asyncio', 'cinder', 'concurrent', 'eventlet', 'http', 'io',
          'keystoneauth1', 'logging', 'multiprocessing', 'os', 'oslo_config',
          'oslo_log', 'oslo_utils', 'pathlib', 'requests', 'select',
          'selectors', 'shutil', 'socket', 'subprocess', 'swiftclient',
          'tempfile', 'threading', 'urllib3'),
         'the stored format is pure functions: no I/O, threads or logging, '
         'so that it runs anywhere and is tested without doubles'),
    Rule('stores', ('exceptions', 'format', 'stores'),
         ('cinder', 'eventlet', 'oslo_config'),
         'a store is told everything it needs and knows neither Cinder nor '
         'what kind of threads call it'),
    Rule('engine', ('exceptions', 'format', 'stores', 'engine'),
         ('cinder', 'eventlet', 'keystoneauth1', 'oslo_config', 'requests',
          'swiftclient'),
         'the engine runs without Cinder, over any store and on any kind of '
         'threads'),
    *(Rule(f'engine/{path.stem}', _BELOW, tuple(
        f'{_NAME}.engine.{room}' for room in _ROOMS),
           'what the rooms share does not know what it is used for')
      for path in sorted((_ROOT / 'engine').glob('*.py'))
      if path.stem not in ('__init__', 'engine')),
    Rule('engine/volumes', _BELOW, tuple(
        f'{_NAME}.engine.{room}' for room in _ROOMS),
         'volumes do not know what they are read and written for'),
    Rule('engine/restore', _BELOW, tuple(
        f'{_NAME}.engine.{room}' for room in ('backup', 'survey')),
         'a restore needs nothing but what is stored'),
    Rule('engine/backup', _BELOW, (f'{_NAME}.engine.survey',),
         'a backup knows its own chain, and not what else there is'),
    Rule('driver', (*_BELOW, 'driver'),
         (f'{_NAME}.engine.survey',),
         'the two edges do not need each other, and the driver does not look '
         'into an account'),
    Rule('cli', (*_BELOW, 'cli'),
         ('cinder', 'eventlet'),
         'recovery works where Cinder is not installed'),
    Rule('cli/checking', ('exceptions', 'quantities', 'cli', 'driver'),
         ('cinder', 'eventlet'),
         'it asks the driver about a configuration, and nothing else',
         instead=True),
)


def _module_name(path):
    parts = path.relative_to(_ROOT).with_suffix('').parts
    if parts[-1] == '__init__':
        parts = parts[:-1]
    return '.'.join((_NAME, *parts))


def _imports(path):
    """Pairs of line number and the full name of what is imported there."""
    package = _module_name(path)
    if path.name != '__init__.py':
        package = package.rpartition('.')[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base_name = node.module or ''
            if node.level:
                up = package.split('.')[:len(package.split('.'))
                                        - node.level + 1]
                base_name = '.'.join((*up, *filter(None, [node.module])))
            for alias in node.names:
                yield node.lineno, f'{base_name}.{alias.name}'


def _breaches(rule, path):
    """What ``path`` imports against ``rule``, as sentences."""
    for line, name in _imports(path):
        top, _, rest = name.partition('.')
        if top == _NAME:
            part = rest.partition('.')[0]
            # "from cinder_swift_backup import x" of something that is no
            # module takes it from the package itself, which holds nothing.
            wrong = part not in rule.allowed or any(
                name == each or name.startswith(f'{each}.')
                for each in rule.forbidden)
        else:
            wrong = top in rule.forbidden
        if wrong:
            yield (f'{path.relative_to(_ROOT.parent)}:{line} imports {name}, '
                   f'and {_NAME}.{rule.part} must not: {rule.why}.')


def _needs():
    """By the name of each module, which others it imports.

    A package is not counted where something below it is imported, for its own
    imports are of what it offers to others.
    """
    paths = {_module_name(path): path for path in _ROOT.rglob('*.py')}
    needs = {}
    for name, path in paths.items():
        needs[name] = {
            imported if imported in paths else imported.rpartition('.')[0]
            for _, imported in _imports(path)} & set(paths)
    return needs


def _circles(needs):
    """What is left of them where nobody can be the first."""
    while free := {name for name in needs if not needs[name] & set(needs)}:
        needs = {name: needs[name] for name in set(needs) - free}
    return needs


def _with_packages(name):
    """All that is loaded where a module is imported."""
    parts = name.split('.')
    return ['.'.join(parts[:count + 1]) for count in range(len(parts))]


# Options of Cinder and advice to its operators, which only the edges give.
_EDGE_WORDS = re.compile(
    r'backup_(?:swift|create|compression|timer|object)_|_catalog_info'
    r'|storage_availability_zone|(?:single|per|service)_user'
    r'|\b[Uu]se another|other backup|[Rr]epeat the|[Rr]estore to|[Cc]heck the'
    r'|backup-import|cinder\.conf')


def _texts(path):
    """Pairs of line and text, of all texts that are no docstrings."""
    tree = ast.parse(path.read_text())
    docs = {found.body[0].value for found in ast.walk(tree)
            if isinstance(found, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and isinstance(found.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if (isinstance(node, ast.Constant) and isinstance(node.value, str)
                and node not in docs):
            yield node.lineno, node.value


def _edge_words(path):
    return [f'{path.relative_to(_ROOT.parent)}:{line} says {text!r}'
            for line, text in _texts(path) if _EDGE_WORDS.search(text)]


def _files(part):
    """The modules that a rule is for."""
    single = _ROOT / f'{part}.py'
    if single.exists():
        return [single]
    own = {_ROOT / f'{rule.part}.py' for rule in _RULES if rule.instead}
    return sorted(set((_ROOT / part).rglob('*.py')) - own)


class ImportRulesTest(base.BaseTestCase):
    """The source keeps the rules."""

    def test_rules(self):
        breaches = [breach for rule in _RULES for path in _files(rule.part)
                    for breach in _breaches(rule, path)]
        self.assertEqual([], breaches, '\n'.join(breaches))

    def test_only_the_edges_give_advice(self):
        found = [text for part in ('exceptions', 'format', 'stores', 'engine')
                 for path in _files(part) for text in _edge_words(path)]
        self.assertEqual([], found, '\n'.join(found))
        # The checker itself can fail.
        self.assertNotEqual([], _edge_words(_ROOT / 'driver/errors.py'))

    def test_every_module_has_a_rule(self):
        known = {rule.part for rule in _RULES}
        for entry in pkgutil.iter_modules([str(_ROOT)]):
            self.assertIn(entry.name, known,
                          f'{entry.name} is new: say in {__name__} who may '
                          f'import it and what it may import.')
        for rule in _RULES:
            self.assertNotEqual([], _files(rule.part), rule.part)
        # Rules of rooms are besides those of the engine, and not instead.
        self.assertIn(_ROOT / 'engine/repository.py', _files('engine'))
        self.assertNotIn(_ROOT / 'cli/checking.py', _files('cli'))

    def test_only_the_driver_knows_cinder_and_eventlet(self):
        for path in _ROOT.rglob('*.py'):
            if path.relative_to(_ROOT).parts[0] == 'driver':
                continue
            for line, name in _imports(path):
                self.assertNotIn(
                    name.partition('.')[0], ('cinder', 'eventlet'),
                    f'{path}:{line} imports {name}: only the driver runs '
                    f'inside Cinder and may know of it or of eventlet.')

    def test_the_root_of_the_package_imports_nothing(self):
        self.assertEqual(
            [], list(_imports(_ROOT / '__init__.py')),
            'importing any part imports the root, so it must be free.')

    def test_the_driver_never_comes_to_survey(self):
        # Not by way of others either.
        survey = f'{_NAME}.engine.survey'
        needs = _needs()
        seen = {name for name in needs if name.startswith(f'{_NAME}.driver')}
        waiting = list(seen)
        while waiting:
            reached = {package for name in needs[waiting.pop()]
                       for package in _with_packages(name)}
            waiting += reached - seen
            seen |= reached
        self.assertIn(f'{_NAME}.engine.restore.planner', seen)
        self.assertEqual([], [name for name in seen
                              if name.startswith(survey)])

    def test_no_circles(self):
        self.assertEqual(
            {}, _circles(_needs()),
            'of these modules each needs another of them')
        self.assertEqual({'b', 'c'}, set(_circles(
            {'a': {'b'}, 'b': {'c'}, 'c': {'b', 'd'}, 'd': set()})) - {'a'})

    def test_a_breach_is_found(self):
        # The checker itself can fail: put each layer under a stricter rule.
        (engine,) = (rule for rule in _RULES if rule.part == 'engine')
        strict = dataclasses.replace(engine, allowed=('exceptions',))
        found = [breach for path in _files('engine')
                 for breach in _breaches(strict, path)]
        self.assertTrue(any('chunk_backup.py' in text and 'stores' in text
                            and strict.why in text for text in found))
        strict = Rule('format', ('exceptions', 'format'), ('json',), 'why')
        found = [breach for path in _files('format')
                 for breach in _breaches(strict, path)]
        self.assertTrue(any('imports json' in text for text in found))


def _run(code, *flags):
    return subprocess.run(
        [sys.executable, *flags, '-c', code], cwd=_ROOT.parent,
        capture_output=True, text=True, timeout=120, check=False)


class FreshInterpreterTest(base.BaseTestCase):
    """What is really loaded, also by others on our behalf."""

    def _modules(self, *parts):
        return [
            entry.name for part in parts
            for entry in pkgutil.walk_packages(
                [str(_ROOT / part)], prefix=f'{_NAME}.{part}.')]

    def test_the_layers_load_neither_cinder_nor_eventlet(self):
        names = self._modules('format', 'stores', 'engine', 'cli')
        self.assertGreater(len(names), 15)
        # Libraries of 2024.1 load eventlet themselves where they find it.
        answer = _run(
            f'import importlib, sys\n'
            f'import keystoneauth1.session\n'
            f'others = {{"cinder", "eventlet"}} - set(sys.modules)\n'
            f'for name in {names!r}:\n'
            f'    importlib.import_module(name)\n'
            f'    for other in others:\n'
            f'        if other in sys.modules:\n'
            f'            sys.exit(name + " loads " + other)\n')
        self.assertEqual((0, ''), (answer.returncode, answer.stderr))

    def test_the_format_loads_no_logging_and_no_http(self):
        names = self._modules('format')
        answer = _run(
            f'import importlib, sys\n'
            f'for name in {names!r}:\n'
            f'    importlib.import_module(name)\n'
            f'for other in ("logging", "socket", "requests", "oslo_log"):\n'
            f'    if other in sys.modules:\n'
            f'        sys.exit("the format loads " + other)\n')
        self.assertEqual((0, ''), (answer.returncode, answer.stderr))

    def test_import_without_warnings(self):
        answer = _run('import cinder_swift_backup', '-W', 'error')
        self.assertEqual((0, ''), (answer.returncode, answer.stderr))
