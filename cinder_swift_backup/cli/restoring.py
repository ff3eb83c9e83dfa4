# SPDX-License-Identifier: Apache-2.0

"""``restore``: a backup to a file, a block device or a pipe."""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import os
import pathlib
import stat
import sys

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import selection
from cinder_swift_backup.cli import targets
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import doubts
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.engine.restore import streamer
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import survey as surveys
from cinder_swift_backup.format import chains


class Restore(selection.BackupCommand):
    """Restore a backup to a file, a block device or the standard output.

    Every block is compared with its digest before it is written. Backups from
    before Cinder 2015.1 have no digests; their objects are compared with their
    MD5. A new file is sparse. What exists already is overwritten only with
    --force, or with --resume, which continues an earlier restore of the same
    backup.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no backup matches, several do, or there is no such container'),
        (errors.ExitCode.ARRIVING, 'the backup is still arriving'),
        (errors.ExitCode.DAMAGED,
         'the backup is damaged, or was restored unverified'),
        (errors.ExitCode.TARGET,
         'the target or temporary files cannot be written'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument('target', metavar='TARGET', type=_path,
                            help='a file, a block device, or - for the '
                                 'standard output')
        parser.add_argument(
            '--latest-complete', action='store_true',
            help='take BACKUP as the id of a volume, or the beginning of '
                 'one: restore its newest complete backup, as "latest" does '
                 'with --volume')
        existing = parser.add_mutually_exclusive_group()
        existing.add_argument('--force', action='store_true',
                              help='overwrite a file or device that exists')
        existing.add_argument(
            '--resume', action='store_true',
            help='overwrite only what differs from the backup')
        parser.add_argument(
            '--dry-run', action='store_true',
            help='say what would be restored, and write nothing')
        parser.add_argument(
            '--unverified', action='store_true',
            help='also restore data that does not match or cannot be '
                 'verified, and report which')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """See cliff."""
        target = parsed_args.target
        to_pipe = str(target) == '-'
        is_new = False
        if to_pipe:
            _check_output()
        else:
            is_new = targets.check(
                target, force=parsed_args.force or parsed_args.resume)
        with self.opened(parsed_args) as survey:
            repo = survey.repository
            with self.looking() as observer:
                lineage, backup = self._find(survey, parsed_args, observer)
            if not parsed_args.unverified:
                lineage.check_usable(backup)
            ref = backup.ref
            chain = repo.resolve([link.ref for link in lineage.chain(backup)])
            size = lineage.size(backup) or 0
            if parsed_args.dry_run:
                self.say(f'Backup {ref.backup_id} of volume {ref.volume_id}, '
                         f'made at '
                         f'{formatting.moment(backup.listed.created)}, would '
                         f'be restored to {target}: {quantities.size(size)}.')
                return
            noted = doubts.Doubts() if parsed_args.unverified else None
            with progress_bar.shown(self.app.stderr, 'restoring') as bar:
                if to_pipe:
                    self.left = 'The output is incomplete.'
                    _stream(repo, chain, bar, noted)
                else:
                    self._restore(repo, chain, size, bar, parsed_args, noted,
                                  is_new=is_new)
        restored = (f'Backup {ref.backup_id} of volume {ref.volume_id} was '
                    f'restored{"" if to_pipe else f" to {target}"}')
        doubtful = [] if noted is None else noted.found()
        if not doubtful:
            self.say(f'{restored}, and {_checked(chain, noted)}.')
            return
        for doubt in doubtful:
            self.say(str(doubt))
        self.say(f'{restored}, but {_sum(doubtful)}')
        self.code = errors.ExitCode.DAMAGED

    def _find(self, survey: surveys.Survey, arguments: argparse.Namespace,
              observer: operations.Observer,
              ) -> tuple[lineages.Lineage, backups.Backup]:
        if arguments.latest_complete:
            return survey.latest(arguments.backup, observer)
        (name,) = self.named(survey, arguments, observer)
        return survey.one(name, observer)

    def _restore(self, repo: repository.Repository, chain: chains.Chain,
                 size: int, observer: operations.Observer,
                 arguments: argparse.Namespace,
                 noted: doubts.Doubts | None, *, is_new: bool) -> None:
        target = arguments.target
        try:
            with targets.opened(target, is_new=is_new) as volume:
                self.left = (f'{target} may be incomplete. To continue, '
                             'repeat the command with --resume.')
                restorer.Restorer(repo).restore(
                    chain, restorer.RestoreTarget(
                        volume, 0, size, volume if arguments.resume else None),
                    observer, doubts=noted)
                room = volume.capacity
        except BaseException:
            if is_new and not target.exists():
                self.left = ''
            raise
        if room is None:
            return
        if room > size:
            self.say(f'{target} is larger than the backup: its last '
                     f'{room - size} bytes were not changed.')
        elif room < size:
            self.say(f'{target} is smaller than the backup: the last '
                     f'{size - room} bytes of the backup, which are zeros, '
                     'were left out.')


def _path(text: str) -> pathlib.Path:
    if not text:
        raise argparse.ArgumentTypeError('the name of the target is empty')
    return pathlib.Path(text)


def _checked(chain: chains.Chain, noted: doubts.Doubts | None) -> str:
    """What is known of what was restored.

    :param noted: nothing, where it was restored unverified
    """
    if chain.tip.manifest.era is chains.Era.BEFORE_DIGESTS:
        return 'every object matches its MD5'
    if noted is None or noted.has_digests:
        return 'every block is verified'
    return ('every object matches its MD5. Without digests, its blocks were '
            'not compared')


def _sum(doubtful: Sequence[doubts.Doubt]) -> str:
    """How much of it all is doubtful, in a sentence."""
    parts = []
    for is_wrong, how in ((True, 'do not match what was backed up'),
                          (False, 'cannot be checked')):
        alike = [doubt for doubt in doubtful if doubt.is_wrong is is_wrong]
        if alike:
            objects = quantities.counted(len({doubt.name for doubt in alike}),
                                        'object')
            size = sum(doubt.extent.length for doubt in alike)
            parts.append(f'{size} bytes of {objects} {how}')
    return f'{", and ".join(parts)}.'


def _stream(repo: repository.Repository, chain: chains.Chain,
            observer: operations.Observer,
            noted: doubts.Doubts | None) -> None:
    """Restore to the standard output, to the last byte."""
    fd = sys.stdout.fileno()

    def write(data: memoryview) -> None:
        with _writing():
            while data:
                data = data[os.write(fd, data):]

    streamer.Streamer(repo).stream(chain, write, observer, doubts=noted)
    with _writing():
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.fsync(fd)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise exceptions.VolumeError(
            f'standard output cannot be written ({err.strerror})',
        ) from err


def _check_output() -> None:
    """Refuse to fill a terminal with a volume.

    :raises VolumeError: when the standard output is one
    """
    if sys.stdout.isatty():
        raise exceptions.VolumeError(
            'standard output is a terminal: redirect it to a program or a '
            'file')
