# SPDX-License-Identifier: Apache-2.0

"""How a command ends: its exit code, and the one line of an error."""

from collections.abc import Iterable
import enum

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import run_lock
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.stores import swift_errors


class ExitCode(enum.IntEnum):
    """The exit codes of all commands. Others are those of the shell."""

    DONE = 0
    # Any unexpected error; its type is printed.
    FAILED = 1
    # The command line is wrong.
    USAGE = 2
    # There is no such backup, or more than one.
    SELECTION = 3
    # The login, the account or an option is wrong.
    CONFIGURATION = 4
    # The store failed.
    STORE = 5
    # A backup is not complete yet, and may be later.
    ARRIVING = 6
    # Something is damaged, orphaned, or missing for good.
    DAMAGED = 7
    # The target cannot be written to.
    TARGET = 8
    # Another run is going on.
    BUSY = 9
    # Ctrl-C.
    INTERRUPTED = 130


# What they mean to any command.
_MEANINGS = {
    ExitCode.DONE: 'success',
    ExitCode.FAILED: 'an unexpected error',
    ExitCode.USAGE: 'the command line is wrong',
    ExitCode.CONFIGURATION:
        'the login, the account or the installation is wrong',
    ExitCode.STORE: 'Swift or Keystone failed, or cannot be reached',
    ExitCode.INTERRUPTED: 'interrupted',
}
# What begins the exit codes in a help text.
TITLE = 'exit codes:'

# The first match counts, so subclasses come before their bases.
_TABLE = (
    (exceptions.SelectionError, ExitCode.SELECTION),
    (exceptions.ConfigurationError, ExitCode.CONFIGURATION),
    (exceptions.AccessDenied, ExitCode.CONFIGURATION),
    (exceptions.KeyUnavailable, ExitCode.CONFIGURATION),
    (exceptions.ContainerNotFound, ExitCode.SELECTION),
    (exceptions.StoreError, ExitCode.STORE),
    (cinder_api.CinderError, ExitCode.STORE),
    (run_lock.Busy, ExitCode.BUSY),
    (exceptions.VolumeError, ExitCode.TARGET),
    (exceptions.SpoolError, ExitCode.TARGET),
    (exceptions.IntegrityError, ExitCode.DAMAGED),
    (exceptions.FormatError, ExitCode.DAMAGED),
    (exceptions.StillArriving, ExitCode.ARRIVING),
    (exceptions.ChainError, ExitCode.DAMAGED),
    (exceptions.BackupError, ExitCode.FAILED),
)

_REMEDIES = {
    exceptions.Remedy.OTHER_BACKUP:
        'Another backup may be intact: see "list".',
    exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED:
        'Another backup may be intact: see "list". To restore this one as it '
        'is, use --unverified.',
    exceptions.Remedy.NEW_BACKUP: 'Another backup may be intact: see "list".',
    exceptions.Remedy.REPEAT: 'Repeat the command.',
    exceptions.Remedy.NEWER_RELEASE:
        'Use the release that wrote the backup, or a newer one.',
    exceptions.Remedy.LARGER_VOLUME: 'Restore to a larger target.',
    exceptions.Remedy.CONVERT:
        'Restore to a file, and convert that with "qemu-img convert".',
    exceptions.Remedy.WHOLE_TARGET: 'Restore to another file.',
    exceptions.Remedy.STORAGE: 'Look for the cause in the storage.',
    exceptions.Remedy.SPOOL:
        'Make room for temporary files, or set TMPDIR to another directory.',
    exceptions.Remedy.SPOOL_DIRECTORY:
        'Set TMPDIR to a directory that you may write to.',
    exceptions.Remedy.CREATE_CONTAINER:
        'Check its name, and that the login is for the account it is in.',
    exceptions.Remedy.CONTAINER_NAME: 'Name another container.',
    exceptions.Remedy.KEY: 'Give a file that has it with --key-file.',
    exceptions.Remedy.ROOM: 'Raise the quota of the account.',
    exceptions.Remedy.ROLE:
        'The user needs a role that may use the account.',
    exceptions.Remedy.ROLE_OR_NAME:
        'The user needs a role that may use the account. In Ceph without '
        'implicit tenants, another project may have a container of this name.',
    exceptions.Remedy.LOGIN: 'Check the login.',
    exceptions.Remedy.LOGIN_URL:
        'Check OS_AUTH_URL, auth_url in clouds.yaml, or ST_AUTH.',
    exceptions.Remedy.PROJECT:
        'Set OS_PROJECT_NAME, or project_name in clouds.yaml.',
    exceptions.Remedy.CERTIFICATE:
        'Name its CA in OS_CACERT, in clouds.yaml, or in ST_CACERT.',
    exceptions.Remedy.TOKEN: 'Get another token.',
    exceptions.Remedy.ENDPOINT:
        'Check the region and the interface of the cloud.',
    exceptions.Remedy.OTHER_ACCOUNT:
        'The login may be for a different account from the one with the '
        'backups.',
    exceptions.Remedy.CORRECT_RECORDS: 'Another backup may be intact.',
    exceptions.Remedy.NEWER_FIRST: 'Delete those first.',
}

# What to do about those for which nobody knows anything better, the first
# match again. The others are about what the user has typed, and say it.
_DEFAULTS = (
    (inventory.NoSuchBackup, 'Run "list --long" to see ids and names.'),
    (inventory.NotABackup,
     'Run "list --volume" to see its backups, or restore its newest complete '
     'one with "restore --latest-complete".'),
    (swift_errors.Slowed, 'Repeat the command later, or raise --patience.'),
    (swift_errors.Passing,
     "Repeat the command, or look for the cause in Swift's logs."),
    (exceptions.StoreUnavailable,
     'Check that Swift and Keystone can be reached, or raise --patience.'),
    (exceptions.AccessDenied, 'Check the login, and the role of the user.'),
    (exceptions.QuotaExceeded, _REMEDIES[exceptions.Remedy.ROOM]),
    (exceptions.ContainerNotFound,
     _REMEDIES[exceptions.Remedy.CREATE_CONTAINER]),
    (exceptions.ObjectNotFound, 'The object may have been deleted meanwhile. '
                                'Repeat the command.'),
    (exceptions.StoreError, "Look for the cause in Swift's logs."),
    (exceptions.StillArriving, 'Repeat the command later.'),
    (exceptions.ChainError, _REMEDIES[exceptions.Remedy.OTHER_BACKUP]),
    (exceptions.FormatError, _REMEDIES[exceptions.Remedy.OTHER_BACKUP]),
    (exceptions.IntegrityError, _REMEDIES[exceptions.Remedy.OTHER_BACKUP]),
    (exceptions.SpoolError, _REMEDIES[exceptions.Remedy.SPOOL]),
)


def described(codes: Iterable[tuple[ExitCode, str]]) -> str:
    """The exit codes of a command, a line for each.

    :param codes: what the command has besides those of all, or instead
    """
    meanings = sorted({**_MEANINGS, **dict(codes)}.items())
    return '\n'.join((TITLE, *(f'  {code:<4} {meaning}'
                               for code, meaning in meanings)))


def code_of(err: exceptions.BackupError) -> ExitCode:
    """The exit code for an error."""
    return next(code for kind, code in _TABLE if isinstance(err, kind))


def line_of(err: exceptions.BackupError) -> str:
    """What is wrong, what to do, and the names of what it is about."""
    return err.sentence(_remedy(err))


def values_of(err: exceptions.BackupError, more: str) -> dict[str, object]:
    """The same for programs: each of its fields that applies.

    :param more: sentences
    """
    values = {
        'error': err.what, 'detail': err.detail, 'remedy': _remedy(err),
        'note': more or None, 'backup': err.backup_id,
        'container': err.container, 'object': err.name, 'offset': err.offset,
        'end': err.end, 'expected': err.expected, 'actual': err.actual,
        'transaction': err.transaction, 'code': int(code_of(err))}
    return {name: value for name, value in values.items()
            if value is not None}


def _remedy(err: exceptions.BackupError) -> str | None:
    if err.remedy in _REMEDIES:
        return _REMEDIES[err.remedy]
    return next((words for kind, words in _DEFAULTS
                 if isinstance(err, kind)), None)
