# SPDX-License-Identifier: Apache-2.0

"""The command line: ``python -m tests.cloud up | run | demo``."""

import argparse
from collections.abc import Mapping
import functools
import os
import shlex
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from typing import Any
from typing import NoReturn

from tests.cloud import demo
from tests.cloud import demo_recovery
from tests.cloud import processes
from tests.cloud import volumes
from tests.cloud.cinder import CONCURRENCY_MODES
from tests.cloud.cinder import DRIVER
from tests.cloud.cloud import Cloud
from tests.cloud.errors import BackendMissing
from tests.cloud.errors import CloudError
from tests.cloud.info import CloudInfo
from tests.cloud.info import Credentials
from tests.cloud.info import VARIABLE
from tests.guest import guest

# What a shell returns for a command that it cannot find.
NOT_FOUND = 127
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMAND_GRACE = 10.0


def main() -> int:
    """Parse the command line, run the chosen command, return its status."""
    _stop_on_signals()
    arguments = _parser().parse_args()
    try:
        status: int = arguments.function(arguments)
        return status
    except BackendMissing as error:
        # Nobody's fault, and no reason to fail where others run it, too.
        print(f'SKIPPED: {error}', file=sys.stderr)
        return 0
    except CloudError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        '--concurrency',
        choices=CONCURRENCY_MODES,
        default=CONCURRENCY_MODES[0],
        help='how Cinder runs (default: %(default)s)',
    )
    common.add_argument(
        '--backup-driver',
        metavar='CLASS',
        default=DRIVER,
        help="Cinder's backup driver (default: %(default)s)",
    )
    common.add_argument(
        '--volumes',
        choices=('files', 'ceph', 'lvm', 'lvm-thick'),
        default='files',
        help='where volumes are (default: %(default)s)',
    )
    common.add_argument(
        '--objects',
        choices=('swift', 'rgw'),
        default='swift',
        help='what stores objects (default: %(default)s)',
    )
    common.add_argument(
        '--option',
        metavar='NAME=VALUE',
        action='append',
        type=_option,
        default=[],
        help="an option of Cinder's; may be repeated",
    )
    parser = argparse.ArgumentParser(
        prog='python -m tests.cloud',
        description="Keystone, Swift and Cinder on this machine's loopback "
        "address, in a temporary directory, for as long as the command runs.",
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    up = commands.add_parser(
        'up', parents=[common], help='start the cloud; stop it on Ctrl-C'
    )
    up.set_defaults(function=_up)
    run = commands.add_parser(
        'run', parents=[common], help='run a command while the cloud is up'
    )
    run.add_argument('command', nargs='+', metavar='-- COMMAND')
    run.set_defaults(function=_run)
    show = commands.add_parser(
        'demo', parents=[common], help='back up and restore, and compare'
    )
    show.add_argument(
        '--keep',
        action='store_true',
        help='leave the cloud up afterwards, until Ctrl-C',
    )
    show.add_argument(
        '--form',
        choices=demo.FORMS,
        default=demo.CHUNKS,
        help='the form of backups (default: %(default)s)',
    )
    show.set_defaults(function=_demo)
    recovery = commands.add_parser(
        'demo-dr',
        parents=[common],
        help='lose a site, and get the volumes back at another',
    )
    recovery.set_defaults(function=_demo_recovery)
    return parser


def _option(text: str) -> tuple[str, str]:
    """Split what the user gave."""
    name, found, value = text.partition('=')
    if not found:
        raise argparse.ArgumentTypeError(f'{text!r} is not NAME=VALUE')
    return name, value


def _cloud(
    arguments: argparse.Namespace,
    extra_options: Mapping[str, object] | None = None,
    **options: Any,
) -> Cloud:
    """Make a cloud as the command line tells."""
    return Cloud(
        backup_driver=arguments.backup_driver,
        concurrency=arguments.concurrency,
        volumes=arguments.volumes,
        objects=arguments.objects,
        extra_options={**dict(arguments.option), **(extra_options or {})},
        **options,
    )


def _up(arguments: argparse.Namespace) -> int:
    """Start the cloud and keep it until a signal comes."""
    with _cloud(arguments) as cloud:
        _stay(cloud)


def _run(arguments: argparse.Namespace) -> int:
    """Run a command in a cloud; return its exit status as a shell would."""
    if CloudInfo.from_environment() is not None:
        print('The environment names a cloud; it is used.', file=sys.stderr)
        return _run_with(arguments.command, {})
    with _cloud(arguments) as cloud:
        _write_openrcs(cloud)
        return _run_with(
            arguments.command, {VARIABLE: str(cloud.info_file)}
        )


def _run_with(arguments: list[str], variables: dict[str, str]) -> int:
    """Run a command with more variables; return its exit status."""
    # Unlike a service of ours, the command keeps all of the caller's
    # variables: those for test runners begin with OS_ too.
    kept = {k: v for k, v in os.environ.items() if k.startswith('OS_')}
    variables = {**kept, **variables}
    try:
        command = subprocess.Popen(
            arguments,
            env=processes.environment(variables),
            preexec_fn=processes.die_with_parent(),  # noqa: PLW1509
        )
    except OSError as error:
        print(f'error: {error}', file=sys.stderr)
        return NOT_FOUND
    try:
        status = command.wait()
    finally:
        _end(command)
    return status if status >= 0 else 128 - status


def _demo(arguments: argparse.Namespace) -> int:
    """Show what the driver does; optionally leave the cloud up."""
    if arguments.volumes.startswith('lvm') and guest.is_needed():
        return guest.run([sys.executable, '-m', 'tests.cloud', *sys.argv[1:]])
    _announce()
    with _cloud(arguments, {'backup_swift_form': arguments.form}) as cloud:
        demo.run(cloud.info, arguments.form)
        if arguments.keep:
            _stay(cloud)
    return 0


def _demo_recovery(arguments: argparse.Namespace) -> int:
    """Show what a second site is for."""
    _announce()
    demo_recovery.run(functools.partial(_cloud, arguments))
    return 0


def _announce() -> None:
    """Say beforehand what a demo takes."""
    print(
        f'Starting Keystone, Swift and Cinder, and using them: this takes '
        f'about a minute, and up to 1 GB in {tempfile.gettempdir()}. Ctrl-C '
        f'ends it, and leaves nothing behind.',
        flush=True,
    )


def _stay(cloud: Cloud) -> NoReturn:
    """Tell how to use the cloud, and wait for the signal to stop."""
    print('The cloud is up. In another terminal:')
    for path in _write_openrcs(cloud):
        print(f'    . {path}')
    print('then for example')
    print('    cinder create 1 --name one')
    print('    cinder backup-create one')
    print(f'Volumes are {volumes.of_cloud(cloud.info).where("<id>")}.')
    print(
        f'The administrator owns nothing here. As one in the project '
        f'{cloud.info.demo.project_name}, set OS_PROJECT_NAME to that.'
    )
    # From now on that is the end that was asked for.
    signal.signal(signal.SIGINT, functools.partial(_leave, 0))
    print('Ctrl-C stops the cloud and deletes everything.', flush=True)
    while True:
        time.sleep(3600)


def _write_openrcs(cloud: Cloud) -> list[str]:
    """Write a file for each user who may log in; return their paths."""
    info = cloud.info
    return [_write_openrc(cloud, credentials)
            for credentials in (info.demo, info.admin, info.other)
            if credentials is not None]


def _write_openrc(cloud: Cloud, credentials: Credentials) -> str:
    """Write a file to be sourced by a shell; return its path."""
    scripts = sysconfig.get_path('scripts')
    variables = {
        **cloud.info.os_environment(credentials),
        VARIABLE: str(cloud.info_file),
        'no_proxy': processes.HOST,
        'NO_PROXY': processes.HOST,
    }
    lines = [
        '# What is left from another cloud would get in the way.',
        "for name in $(env | sed -n 's/^\\(OS_[A-Z_]*\\)=.*/\\1/p'); do",
        '    unset "$name"',
        'done',
        *(f'export {k}={shlex.quote(v)}' for k, v in variables.items()),
        f'export PATH={shlex.quote(scripts)}:$PATH',
    ]
    path = cloud.info_file.with_name(f'openrc-{credentials.username}')
    path.touch(mode=0o600)
    path.write_text('\n'.join(lines) + '\n')
    return str(path)


def _end(command: subprocess.Popen[bytes]) -> None:
    """End a command that may still be running when we are told to stop."""
    if command.poll() is None:
        command.terminate()
        try:
            command.wait(COMMAND_GRACE)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()


def _stop_on_signals() -> None:
    """Turn the first signal into an orderly exit, and ignore the others.

    Another Ctrl-C while the cloud is being stopped would leave half of it.
    """
    for number in _SIGNALS:
        signal.signal(number, functools.partial(_leave, 128 + number))


def _leave(status: int, number: int, frame: Any) -> NoReturn:
    """Exit; to be called by a signal."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(status)


if __name__ == '__main__':
    sys.exit(main())
