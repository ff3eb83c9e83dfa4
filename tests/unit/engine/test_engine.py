# SPDX-License-Identifier: Apache-2.0

"""The example of the design document is right."""

import contextlib
import io
import pathlib
import random
import re
import textwrap
import threading

import fixtures
from oslotest import base

from cinder_swift_backup import engine
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import memory

_PAGE = (pathlib.Path(__file__).parents[3]
         / 'doc' / 'source' / 'contributor' / 'design.rst')
_EXAMPLE = re.compile(r'^\.\. code-block:: python\n\n((?:    .*\n|\n)+)',
                      re.MULTILINE)
_NAMES = {
    module.__name__.rpartition('.')[2]: module
    for module in (engine, jobs, memory, operations, pipelines, restorer,
                   threading, types, volumes)}


class ExampleTest(base.BaseTestCase):
    """It runs as it stands there, but for the imports."""

    def test_volume_comes_back(self):
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.enterContext(contextlib.chdir(directory))
        noise = random.Random(1).randbytes(3 << 20)
        data = noise + bytes(1 << 20) + b'the end'
        (directory / 'volume').write_bytes(data)
        (example,) = _EXAMPLE.findall(_PAGE.read_text())
        output = self.enterContext(contextlib.redirect_stdout(io.StringIO()))
        exec(textwrap.dedent(example), dict(_NAMES))
        self.assertEqual(data, (directory / 'copy').read_bytes())
        self.assertIn('chunks', output.getvalue())
