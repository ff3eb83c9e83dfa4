# SPDX-License-Identifier: Apache-2.0

"""What the tests of commands have in common."""

import dataclasses
import io
import json
import pathlib
import random
import re
import tempfile
from unittest import mock

from cinder_swift_backup.cli import accounts
from cinder_swift_backup.cli import app
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import commands
from tests.unit.engine import base as engine_base

DATA = random.Random(5).randbytes(512)
NOW = DATA[:100] + b'changed' + DATA[107:]
ref = engine_base.ref
CONTAINER = engine_base.CONTAINER
# What goes beside an output in which all is well.
_SAID = (rf'\A({re.escape(commands.BY_LISTINGS)}|There are .*|'
         r'No backups match .*|'
         r'(Checked )?\d+ backups? in account memory.*)\Z')


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    """Somebody is there."""

    def isatty(self):
        """See io."""
        return True


def run(*arguments, said=None, terminal=None):
    """Run the command as from a shell.

    :param said: what the user types; None if there is no terminal
    :param terminal: where the user types, if that is somewhere else
    """
    if said is not None:
        terminal = Terminal(said)
    out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
    try:
        code = app.Shell(stdin=terminal, stdout=out, stderr=err).run(
            [str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    return Answer(code, out.getvalue(), err.getvalue())


class CommandTestCase(engine_base.EngineTestCase):
    """An account with a full backup, and an incremental on it."""

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.bench.archive(1, DATA, codec='zlib')
        self.bench.archive(2, NOW, parent=1)
        self.enterContext(mock.patch.object(
            accounts, 'open_account',
            side_effect=lambda *_: accounts.Account(self.store, None)))

    def run_command(self, *arguments, **terminal):
        """Run a command as from a shell."""
        return run(*arguments, **terminal)

    def run_json(self, *arguments):
        """The output of a command that ends well, as values."""
        answer = self.run_command(*arguments, '-f', 'json')
        self.assertEqual(0, answer.code, answer.err)
        for line in answer.err.splitlines():
            self.assertRegex(line, _SAID)
        return json.loads(answer.out)


class RecordsTestCase(CommandTestCase):
    """There is a Cinder that tells some records."""

    def setUp(self):
        super().setUp()
        self.records = self.enterContext(mock.patch.object(
            cinder_api, 'read', return_value={}))

    def _has_record(self, backup, status, container=CONTAINER,
                    volume='vol-1', *, is_incremental=False,
                    has_dependents=False, tags=None):
        self.records.return_value[backup] = cinder_api.record(mock.Mock(
            id=backup, volume_id=volume, status=status, container=container,
            is_incremental=is_incremental,
            has_dependent_backups=has_dependents, metadata=tags or {}))
