# SPDX-License-Identifier: Apache-2.0

"""The program: global options, and where its commands are."""

from collections.abc import Sequence
import importlib.metadata
import io
import logging
import sys
from typing import Any

from cliff import app
from cliff import command
from cliff import commandmanager

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import checking
from cinder_swift_backup.cli import comparing
from cinder_swift_backup.cli import converting
from cinder_swift_backup.cli import deleting
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import exporting
from cinder_swift_backup.cli import forgetting
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import listing
from cinder_swift_backup.cli import logins
from cinder_swift_backup.cli import metrics
from cinder_swift_backup.cli import recovering
from cinder_swift_backup.cli import reporting
from cinder_swift_backup.cli import restoring
from cinder_swift_backup.cli import running
from cinder_swift_backup.cli import showing
from cinder_swift_backup.cli import sweeping
from cinder_swift_backup.cli import verifying

_NAME = 'cinder-swift-backup'
_COMMANDS: dict[str, type[command.Command]] = {
    'check-config': checking.CheckConfig,
    'convert': converting.Convert,
    'delete': deleting.Delete,
    'diff': comparing.Diff,
    'estimate': comparing.Estimate,
    'export-record': exporting.ExportRecord,
    'forget': forgetting.Forget,
    'list': listing.List,
    'metrics': metrics.Metrics,
    'orphans': deleting.Orphans,
    'recover': recovering.Recover,
    'report': reporting.Report,
    'restore': restoring.Restore,
    'run': running.Run,
    'show': showing.Show,
    'sweep': sweeping.Sweep,
    'verify': verifying.Verify,
}


class _Lines(logging.Formatter):
    """Messages that do nothing to a terminal, a line each."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """See logging."""
        return formatting.line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """See logging; a traceback has more lines."""
        return formatting.printable(super().format(record))


class Shell(app.App):
    """Finds and runs commands."""

    NAME = _NAME

    def __init__(self, **streams: Any) -> None:
        manager = commandmanager.CommandManager('cinder_swift_backup.cli')
        for name, kind in _COMMANDS.items():
            manager.add_command(name, kind)
        super().__init__(
            description='Find, check and restore backups in Swift, without '
                        'Cinder. The commands log in with --os-cloud, or '
                        'with OS_* or ST_* variables.',
            version=importlib.metadata.version(_NAME),
            command_manager=manager, deferred_help=True, **streams)
        self.stdout = formatting.Printable(self.stdout)

    def run(self, argv: list[str]) -> int:
        """See cliff; the command line tells which login has which options."""
        try:
            logins.add_options(self.parser, argv)
        except exceptions.ConfigurationError as err:
            self.stderr.write(f'{errors.line_of(err)}\n')
            return errors.code_of(err)
        return super().run(argv)

    def run_subcommand(self, argv: list[str]) -> int:
        """See cliff, which would take an option for the name of a command."""
        if argv[0].startswith('-'):
            more = (' Which --os-* options exist depends on --os-auth-type.'
                    if argv[0].startswith('--os-') else '')
            self.stderr.write(
                f'Unknown option {formatting.line(argv[0])}: see "{_NAME} '
                f'--help".{more}\n')
            return errors.ExitCode.USAGE
        return super().run_subcommand(argv)

    def configure_logging(self) -> None:
        """See cliff; what libraries tell each other is for nobody."""
        super().configure_logging()
        for handler in logging.getLogger().handlers:
            if getattr(handler, 'stream', None) is self.stderr:
                handler.setFormatter(_Lines(self.CONSOLE_MESSAGE_FORMAT))
        if not self.options.debug:
            for name in ('keystoneauth', 'openstack', 'stevedore', 'urllib3',
                         'swiftclient', 'requests', 'oslo_service'):
                logging.getLogger(name).setLevel(logging.CRITICAL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    # A name that the terminal cannot show is no reason to show nothing.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Without any, cliff would ask for commands.
    return Shell().run(words or ['help'])
