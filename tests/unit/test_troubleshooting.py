# SPDX-License-Identifier: Apache-2.0

"""The page has the lines that the code emits, word for word."""

import ast
import pathlib
import re

from oslotest import base

import cinder_swift_backup

_PRODUCT = pathlib.Path(cinder_swift_backup.__file__).parent
_PAGE = (_PRODUCT.parent / 'doc' / 'source' / 'admin' / 'troubleshooting.rst')
# What begins a paragraph of its own, and is indented below.
_LINE = re.compile(r'^``([^`\n]+)``(?=.*\n    )', re.MULTILINE)
# In a message of the log, for what is filled in.
_FILLED = re.compile(r'%(?:\.\d+f|[sdr])')


def _texts(path):
    """All texts of a module, with "..." for what is filled in."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.JoinedStr):
            yield ''.join(
                part.value if isinstance(part, ast.Constant) else '...'
                for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield _FILLED.sub('...', node.value)


class TroubleshootingTest(base.BaseTestCase):
    """Whoever searches for a line finds it."""

    def test_each_line_is_emitted(self):
        texts = [' '.join(text.split()) for path in _PRODUCT.rglob('*.py')
                 for text in _texts(path)]
        lines = _LINE.findall(_PAGE.read_text(encoding='utf-8'))
        self.assertGreater(len(lines), 15)
        for line in lines:
            parts = [part.strip() for part in line.split('...')]
            self.assertTrue(
                any(all(part in text for part in parts) for text in texts),
                f'nothing says {line!r}')
