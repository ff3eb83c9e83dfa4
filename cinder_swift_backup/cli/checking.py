# SPDX-License-Identifier: Apache-2.0

"""``check-config``: what the driver would do with a ``cinder.conf``.

The one command for which Cinder has to be installed, and the one module of
the command that knows the driver. Both are only loaded when it is run.
"""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
import warnings

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors


class CheckConfig(commands.Table):
    """Check a configuration of Cinder, and show how the driver would use it.

    Run it where cinder-backup runs, as its user, with the --config-file and
    --config-dir that cinder-backup is started with, in their order: what comes
    later overrides. It writes nothing, neither there nor to Swift. Its last
    line, on the standard error output, is OK, or NOT OK with the number of
    problems.
    """

    codes = (
        (errors.ExitCode.DONE, 'OK'),
        (errors.ExitCode.CONFIGURATION,
         'NOT OK: an option or the installation is wrong'),
        (errors.ExitCode.STORE,
         'NOT OK, but only because Swift or Keystone does not answer'),
    )

    columns = ('Subject', 'Value', 'Problem')
    # "openstack" would ask for a login first.
    auth_required = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        for option, metavar, what, usual in (
                ('--config-file', 'FILE', 'a file of the configuration',
                 '/etc/cinder/cinder.conf'),
                ('--config-dir', 'DIR', 'a directory with more of such files, '
                 'whose names end in .conf', '/etc/cinder/cinder.conf.d')):
            # Both in one list, for their order counts.
            parser.add_argument(
                option, dest='sources', action='append', metavar=metavar,
                type=f'{option}={{}}'.format, default=[],
                help=f'{what}; may be repeated (default: what Cinder finds by '
                     f'itself, such as {usual})')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with warnings.catch_warnings():
            # Cinder says that what it is built on is deprecated.
            warnings.simplefilter('ignore')
            driver = _load()
        answers = driver.check(parsed_args.sources)
        problems = [answer for answer in answers if answer.problem]
        self.closing = ['OK']
        if problems:
            count = quantities.counted(len(problems), 'problem')
            self.closing = [f'NOT OK: {count}']
            self.code = _code(problems)
        return self.columns, [(answer.subject, answer.text, answer.problem)
                              for answer in answers]


def _code(problems: Sequence[Any]) -> errors.ExitCode:
    """What problems amount to: a setting that is wrong, or an outage."""
    codes = {errors.ExitCode.CONFIGURATION if problem.error is None
             else errors.code_of(problem.error) for problem in problems}
    if codes == {errors.ExitCode.STORE}:
        return errors.ExitCode.STORE
    return errors.ExitCode.CONFIGURATION


def _load() -> Any:
    """The module of the driver that knows what to say."""
    try:
        from cinder_swift_backup.driver import config_report  # noqa: PLC0415
    except ImportError as err:
        raise exceptions.ConfigurationError(
            'the driver cannot be loaded: it needs Cinder on this host',
            detail=str(err)) from err
    return config_report
