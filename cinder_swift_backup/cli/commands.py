# SPDX-License-Identifier: Apache-2.0

"""What all commands have in common: an account, and how they end."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
from contextlib import AbstractContextManager
import datetime
import functools
import json
import math
import os
import pathlib
import re
import textwrap
from typing import Any

from cliff import columns
from cliff import command
from cliff import display
from cliff import lister
from cliff import show
from cliff import utils as cliff_utils

from cinder_swift_backup import engine as engines
from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import accounts
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import interrupts
from cinder_swift_backup.cli import key_files
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import stacking
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.survey import survey as surveys
from cinder_swift_backup.format import container_names
from cinder_swift_backup.stores import bandwidth

BY_LISTINGS = ('"complete" means that listings show every object; "verify" '
               'checks the objects themselves.')
# The formats in which the end of a line means something.
_LINES = ('table', 'value', 'shell')
# Hours or seconds: what dates can take.
_MOST = 1e6
# Seconds.
_PATIENCE = 300
# Seconds: clocks that differ by no more are the same.
_SAME = 60
_UNCHANGED = 'Nothing was changed.'
_WORKERS = 4


# Not generic before cliff 4.9.
class Size(columns.FormattableColumn):  # type: ignore[type-arg]
    """Bytes: a number for programs, a size for people."""

    def human_readable(self) -> str:
        """See cliff."""
        return quantities.size(self._value)


class InferredSize(Size):
    """The same, if nobody noted it."""

    def human_readable(self) -> str:
        """See cliff."""
        return f'~{super().human_readable()}'


class Known(columns.FormattableColumn):  # type: ignore[type-arg]
    """A value that may not be known: null for programs, a dash for people."""

    def human_readable(self) -> str:
        """See cliff."""
        return '-' if self._value is None else str(self._value)


class Age(columns.FormattableColumn):  # type: ignore[type-arg]
    """A span of time: seconds for programs, days and hours for people."""

    def human_readable(self) -> str:
        """See cliff."""
        return '-' if self._value is None else quantities.duration(self._value)

    def machine_readable(self) -> int | None:
        """See cliff."""
        return (None if self._value is None
                else round(self._value.total_seconds()))


def _number_of(unit: str, text: str, least: float = 0) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of '
                                         f'{unit}')
    if value < 0:
        raise argparse.ArgumentTypeError(f'{text} must not be negative')
    if value < least:
        raise argparse.ArgumentTypeError(f'{text} must be at least {least:g}')
    if value > _MOST:
        raise argparse.ArgumentTypeError(f'{text} must be at most {_MOST:.0f}')
    return value


hours = functools.partial(_number_of, 'hours')
_seconds = functools.partial(_number_of, 'seconds')


def positive(text: str) -> int:
    """A number of things of which there is one at least."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'{text!r} must be a whole number, '
                                         f'at least 1')
    return int(text)


def identifier(text: str) -> str:
    """An id or its beginning; an empty one would be that of everything."""
    if not text:
        raise argparse.ArgumentTypeError('the id is empty')
    return text


def age(text: str) -> datetime.timedelta:
    """A span of time, such as 30d or 12h."""
    match = re.fullmatch(r'(\d{1,6})(h|d|w)', text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not an age, such as 12h, 30d or 4w')
    hours = {'h': 1, 'd': 24, 'w': 168}[match[2]]
    return datetime.timedelta(hours=int(match[1]) * hours)


def amount(text: str) -> int:
    """Bytes, such as 500G or 2T, of which a K has 1024."""
    match = re.fullmatch(r'(\d{1,15})([KMGT]?)', text)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a number of bytes, such as 500G or 2T')
    return int(match[1]) << 10 * ' KMGT'.index(match[2] or ' ')


def rate(text: str) -> int:
    """Bytes a second, as the user types them."""
    value = amount(text)
    if value < bandwidth.LEAST:
        raise argparse.ArgumentTypeError(
            f'{text!r} is too slow for Swift: use at least '
            f'{bandwidth.LEAST >> 10}K')
    return value


def percent(text: str) -> float:
    """A part of something, from above 0 to 1, as the user types it."""
    try:
        value = float(text.removesuffix('%'))
    except ValueError:
        value = 0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f'{text!r} must be above 0, and '
                                         f'at most 100')
    return value / 100


def _container(text: str) -> str:
    if fault := container_names.fault(text):
        raise argparse.ArgumentTypeError(
            f'{text!r} cannot be a container: it {fault}')
    return text


class _Help(argparse.HelpFormatter):
    """Gives each exit code lines of its own."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(errors.TITLE):
            return '\n'.join(
                textwrap.fill(line, width, subsequent_indent=' ' * 7)
                for line in text.splitlines())
        return super()._fill_text(text, width, indent)


def _wants_json(arguments: argparse.Namespace) -> bool:
    return getattr(arguments, 'formatter', None) == 'json'


class OurCommand(command.Command):
    """A command that ends as :mod:`.errors` says.

    Subclasses come before those of cliff. They set ``code`` where a command
    ends well and has something bad to tell.
    """

    code = errors.ExitCode.DONE
    # What exit codes mean besides those that all commands have.
    codes: Sequence[tuple[errors.ExitCode, str]] = ()
    # What it has changed so far, to be said if it does not end well.
    left = ''
    # What to say when it has ended well, below its output.
    closing: Sequence[str] = ()
    _is_for_programs = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff; the help ends with the exit codes."""
        parser = super().get_parser(prog_name)
        parser.epilog = errors.described(self.codes)
        parser.formatter_class = _Help
        if not isinstance(self, display.DisplayCommandBase):
            # The others have one, for their output.
            parser.add_argument(
                '-f', '--format', dest='formatter', choices=('text', 'json'),
                default='text', help='how to report an error (default: '
                                     '%(default)s)')
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """See cliff; turns our errors into a line and an exit code."""
        self._is_for_programs = _wants_json(parsed_args)
        try:
            with interrupts.raised():
                answer = super().run(parsed_args)
        except exceptions.BackupError as err:
            self.tell(err, self.left)
            return errors.code_of(err)
        except KeyboardInterrupt:
            return self.give_up(
                parsed_args, f'Interrupted. {self.left or _UNCHANGED}',
                errors.ExitCode.INTERRUPTED)
        # Below the output also where both go to one file.
        self.app.stdout.flush()
        for line in self.closing:
            self.say(line)
        return answer or self.code

    def give_up(self, arguments: argparse.Namespace, why: str,
                code: errors.ExitCode = errors.ExitCode.USAGE) -> int:
        """Tell why a command does nothing more; returns the exit code.

        With "-f json" it is an object of JSON.
        """
        if _wants_json(arguments):
            self.app.stderr.write(
                f'{json.dumps({"error": why, "code": int(code)})}\n')
        else:
            self.say(why)
        return code

    @property
    def login(self) -> argparse.Namespace:
        """What the program was told of the login, see :mod:`.logins`."""
        # Of "openstack", these are others, and it has found the cloud.
        cloud = getattr(self.app, 'cloud', None)
        if cloud is not None:
            return argparse.Namespace(cloud=cloud)
        options: argparse.Namespace = self.app.options
        return options

    def tell(self, err: exceptions.BackupError, more: str = '') -> None:
        """Tell the user of an error that is being handled, and what is left.

        With "-f json" it is an object of JSON.

        :param more: sentences
        """
        if self.app.options.debug:
            self.app.LOG.error(err, exc_info=err)
        if self._is_for_programs:
            self.app.stderr.write(f'{json.dumps(errors.values_of(err, more))}'
                                  '\n')
        else:
            self.say(f'{errors.line_of(err)} {more}'.strip())

    def say(self, line: str) -> None:
        """Tell the user something, beside the output."""
        self.app.stderr.write(f'{formatting.line(line)}\n')


class _Columns(OurCommand):
    """A command whose columns or fields can be chosen.

    A column it does not have is an error, reported before anything is done.
    cliff would leave it out.
    """

    # All that there may be.
    columns: Sequence[str] = ()

    def columns_of(self, arguments: argparse.Namespace) -> Sequence[str]:
        """All that can be chosen with these arguments."""
        return self.columns

    def run(self, parsed_args: argparse.Namespace) -> int:
        """See cliff; has it find columns as it would spell them."""
        known = {_normal(name): name
                 for name in self.columns_of(parsed_args)}
        for chosen in (parsed_args.columns,
                       getattr(parsed_args, 'sort_columns', [])):
            for at, name in enumerate(chosen):
                if _normal(name) not in known:
                    return self.give_up(parsed_args, _unknown(name, known))
                chosen[at] = known[_normal(name)]
        return super().run(parsed_args)


def _unknown(name: str, known: Mapping[str, str]) -> str:
    meant = (f' Did you mean {known["backup"]}?'
             if _normal(name) == 'id' and 'backup' in known else '')
    return (f'Unknown column {name!r}.{meant} The columns are '
            f'{", ".join(known.values())}.')


def _normal(name: str) -> str:
    """The name of a column as one may write it."""
    return name.strip().lower().replace(' ', '_')


class Table(_Columns, lister.Lister):
    """A table. A row is one line, whatever its names are.

    On a narrow terminal, several columns share one, as the groupings say.
    """

    groupings: Sequence[stacking.Grouping] = ()

    def produce_output(self, parsed_args: argparse.Namespace,
                       column_names: Sequence[str],
                       data: Iterable[Sequence[Any]]) -> int:
        """See cliff, which prints an empty line where there is no row."""
        rows = [_in_lines(row, parsed_args) for row in data]
        if not rows and parsed_args.formatter == 'table':
            return 0
        width = self._width(parsed_args)
        if width is None:
            return super().produce_output(parsed_args, column_names, rows)
        return super().produce_output(parsed_args, *stacking.narrowed(
            column_names, rows, self.groupings, width))

    def _width(self, arguments: argparse.Namespace) -> int | None:
        """How wide the table may be; None if it does not matter."""
        if (not self.groupings or arguments.formatter != 'table'
                or arguments.columns or arguments.sort_columns):
            return None
        return arguments.max_width or cliff_utils.terminal_width() or None


class Fields(_Columns, show.ShowOne):
    """The fields of one thing, each a line unless it is a list."""

    def produce_output(self, parsed_args: argparse.Namespace,
                       column_names: Sequence[str],
                       data: Sequence[Any]) -> int:
        """See cliff; a chosen field that this thing lacks is empty.

        In a table, what is empty is not shown unless it was chosen.
        """
        if parsed_args.formatter == 'table' and not parsed_args.columns:
            shown = [(name, value) for name, value
                     in zip(column_names, data, strict=True)
                     if not _is_empty(value)]
            column_names = [name for name, _ in shown]
            data = [value for _, value in shown]
        lacking = [name for name in parsed_args.columns
                   if name not in column_names]
        return super().produce_output(
            parsed_args, [*column_names, *lacking],
            _in_lines([*data, *[''] * len(lacking)], parsed_args))


def _is_empty(value: object) -> bool:
    """Whether there is nothing to read in a cell; a 0 is something."""
    if isinstance(value, columns.FormattableColumn):
        return not value.human_readable()
    return value is None or value == ''


def _in_lines(cells: Sequence[Any],
              arguments: argparse.Namespace) -> list[Any]:
    """Texts in one line each, where a new one would seem to be another cell.

    The other formats have quotes, and whoever reads them wants the text.
    """
    if arguments.formatter not in _LINES:
        return list(cells)
    return [formatting.line(cell) if isinstance(cell, str) else cell
            for cell in cells]


class AccountCommand(OurCommand):
    """A command that looks into an account."""

    # Whether it asks for the objects themselves that listings show.
    closely = False
    # What the grace period means, and how many hours it has at least.
    grace_help = ('how long after its last write an incomplete backup may '
                  'still be in progress (default: %(default)g)')
    least_grace = 0

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--container', type=_container, action='append', default=[],
            metavar='NAME',
            help='a container to look in; may be repeated (default: all)')
        parser.add_argument(
            '--grace', metavar='HOURS', help=self.grace_help,
            type=functools.partial(hours, least=self.least_grace),
            default=surveys.GRACE.total_seconds() / 3600)
        parser.add_argument(
            '--workers', type=positive, default=_WORKERS, metavar='N',
            help='how many objects to process at once (default: %(default)s)')
        parser.add_argument(
            '--key-file', type=pathlib.Path, action='append', default=[],
            metavar='FILE',
            help='a file with the keys of encrypted backups: lines of an id, '
                 'a space, and 64 hexadecimal digits; may be repeated')
        parser.add_argument(
            '--limit', type=rate, default=0, metavar='RATE',
            help='the most bytes per second to send to Swift, and the most to '
                 'receive, such as 50M (default: no limit)')
        parser.add_argument(
            '--patience', type=_seconds, default=_PATIENCE, metavar='SECONDS',
            help='how long to wait for Swift or Keystone to recover; 0 '
                 'retries only a few times (default: %(default)g)')
        return parser

    def looking(self) -> AbstractContextManager[operations.Observer]:
        """Shows how many backups were looked at, until the end of a block."""
        return progress_bar.counted(self.app.stderr, 'looking', 'backups')

    @contextlib.contextmanager
    def opened(self,
               arguments: argparse.Namespace) -> Iterator[surveys.Survey]:
        """The backups in the account, until the end of a block."""
        options = self.login
        ring = key_files.KeyFiles(arguments.key_file)
        account = accounts.open_account(
            options, os.environ, arguments.patience, arguments.limit)
        self._region = account.region
        with contextlib.closing(account.store) as store:
            repo = engines.Engine(store, pipelines.Runtime(),
                                  arguments.workers, ring=ring).repository
            yield surveys.Survey(
                repo, arguments.container,
                datetime.timedelta(hours=arguments.grace),
                closely=self.closely, compare_clocks=self._compare_clocks)

    def place(self, survey: surveys.Survey) -> str:
        """Where a survey looks, in words.

        :raises StoreError: when there is no access to the account
        """
        words = f'account {survey.repository.store.account()}'
        if self._region:
            words += f' of region {self._region}'
        if survey.containers:
            words += f', container {", ".join(survey.containers)}'
        return words

    def _compare_clocks(self, told: datetime.datetime | None,
                        ours: datetime.datetime) -> None:
        """Say by which clock the command goes, if there are two."""
        if told is None:
            self.say('Swift does not report its time; the command uses this '
                     "host's clock.")
            return
        apart = round((ours - told).total_seconds())
        if abs(apart) <= _SAME:
            return
        how_far = quantities.duration(datetime.timedelta(seconds=abs(apart)))
        self.say(f"This host's clock is {how_far} "
                 f"{'ahead of' if apart > 0 else 'behind'} Swift's; the "
                 "command uses Swift's.")
