# SPDX-License-Identifier: Apache-2.0

"""Tells what the driver would do with a configuration, and what is wrong.

The service stops at the first thing that is wrong. Somebody who writes a
configuration wants to know all of it, so here each part is looked at by
itself:

1. Read the files as the service does: those that its arguments name, or those
   that it finds by itself.
2. Look for names that are no options.
3. Read the settings, and try the directory for temporary files.
4. Ask the cluster, as far as it can be reached without a user's request, for
   its limits and for the container. Nothing is written.
"""

import contextlib
import dataclasses
import difflib
import glob
import io
import os

from cinder import context as cinder_context
from cinder import objects
from oslo_config import cfg
from oslo_utils import units

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import compat
from cinder_swift_backup.driver import errors
from cinder_swift_backup.driver import options
from cinder_swift_backup.driver import settings
from cinder_swift_backup.driver import setup_check
from cinder_swift_backup.engine import spool

CONF = cfg.CONF
# Whose configuration it is. More files are found by this name.
_PROGRAM = 'cinder-backup'
# How much the name of no option is like that of one, of 1.
_ALIKE = 0.9
# What a worker takes besides its chunk, in bytes.
_WORKER = 20 * units.Mi


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What is so in one respect; ``problem`` is empty if that is all right.

    ``error`` is what a problem comes from, where it is an error of ours.
    """

    subject: str
    text: str = ''
    problem: str = ''
    error: exceptions.BackupError | None = None


def check(arguments=()):
    """What the driver would do, as a list of answers.

    :param arguments: each ``--config-file=FILE`` and ``--config-dir=DIR``
        that the service is started with
    :raises ConfigurationError: when a file cannot be read, or there is none
    """
    _load(arguments)
    files = list(_files())
    if not files:
        raise exceptions.ConfigurationError(
            'there is no configuration where Cinder looks for one: name it '
            'with --config-file')
    checkup = _Checkup()
    checkup.sources(files)
    checkup.options(_given(files))
    checkup.values()
    checkup.settings()
    return checkup.answers


def _load(arguments):
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            CONF(arguments, project='cinder', prog=_PROGRAM)
    except (cfg.Error, OSError, ValueError, SystemExit) as err:
        # It is said, and not raised, what is wrong with options that a service
        # also takes as arguments.
        raise exceptions.ConfigurationError(
            'the configuration cannot be read',
            detail=said.getvalue() or _one_line(err)) from err
    # Cinder registers what its backup service reads when it loads that.
    objects.register_all()
    CONF.import_opt('backup_driver', 'cinder.backup.manager')


def _directories():
    # The latter has those that are found, and no more than one that is named.
    return [os.path.expanduser(path)
            for path in CONF.config_dirs or CONF.config_dir]


def _files():
    """The files that are read."""
    for path in CONF.config_file:
        yield os.path.expanduser(path)
    for directory in _directories():
        yield from sorted(glob.glob(os.path.join(directory, '*.conf')))


def _given(files):
    """The names that stand in the section DEFAULT of files, and in which."""
    found = {}
    for path in files:
        sections = {}
        cfg.ConfigParser(path, sections).parse()
        for name in sections.get('DEFAULT', {}):
            found.setdefault(name, []).append(path)
    return dict(sorted(found.items()))


def _known():
    """The names of all options that the driver reads, old names too."""
    return {name
            for _, found in options.list_opts()
            for option in found
            for name in (option.dest, *(
                old.name.replace('-', '_')
                for old in option.deprecated_opts if old.name))}


class _Checkup:
    """Collects the answers."""

    def __init__(self):
        self.answers = []

    def sources(self, files):
        """Which files are read, and whether there may be more."""
        self._say('Configuration', ', '.join(files))
        for directory in _directories():
            if not os.access(directory, os.R_OK | os.X_OK):
                self._say('Configuration', directory,
                          'It may not be read, so what is in there is passed '
                          'over. Run this as the user of cinder-backup, and '
                          'let that read it.')

    def options(self, given):
        """Whether the driver is ours, and all names are those of options.

        :param given: the files in which a name stands, by name
        """
        driver = CONF.backup_driver
        self._say('Driver', driver, '' if driver == compat.OURS else
                  f'It is not this one. Set backup_driver = {compat.OURS}.')
        known = _known()
        for name, files in given.items():
            if name in known or name in CONF:
                continue
            (like,) = difflib.get_close_matches(
                name, known, 1, _ALIKE) or ('',)
            where = f'in {", ".join(files)}'
            if like:
                self._say(name, where, f'There is no such option. If it is to '
                                       f'be {like}, correct it.')
            elif name.startswith('backup_swift_'):
                self._say(name, where, 'There is no such option. Remove it.')

    def values(self):
        """Whether each option has a value of its type."""
        for name in sorted(_known()):
            with self._asking(name):
                getattr(CONF, name, None)

    def settings(self):
        """What the options say, and what the cluster says to it."""
        found = for_backup = None
        with self._asking('Account'):
            self._account(settings.read_account())
            found = settings.read()
        with self._asking('Backups'):
            for_backup = settings.read_for_backup()
            self._backups(for_backup)
        if found is None:
            return
        self._resources(found, for_backup)
        with self._asking('Cluster'), self._store(found) as store:
            if store is not None:
                self._cluster(store, found, for_backup)

    def _say(self, subject, text='', problem='', error=None):
        self.answers.append(Answer(subject, str(text), problem, error))

    @contextlib.contextmanager
    def _asking(self, subject):
        """Make an answer of what goes wrong in a block."""
        try:
            yield
        except exceptions.BackupError as err:
            self._say(subject, problem=errors.sentence(err), error=err)
        except (cfg.Error, ValueError) as err:
            # The value of an option, which is only read when it is used.
            text = f'{_one_line(err)}. Correct it.'
            if all(text != each.problem for each in self.answers):
                self._say(subject, problem=text)

    def _account(self, account):
        login = account.login
        if login is None:
            self._say('Account', 'that of the project that owns the backup, '
                      + (f'at {account.url}' if account.url else
                         'found in the catalog of each request'))
            return
        whose = f'project {login.project}' if login.project else 'itself'
        self._say('Account',
                  f'that of {whose}, as user {login.user} by version '
                  f'{login.version} at '
                  f'{login.auth_url or "what the catalog of a request says"}')
        if not account.verify:
            self._say('TLS', 'certificates are not verified',
                      'Set backup_swift_auth_insecure = False.')

    def _backups(self, found):
        geometry = found.geometry
        self._say('Objects',
                  f'of {geometry.chunk_size} bytes of the volume, in blocks '
                  f'of {geometry.block_size}')
        self._say('Compression', f'{found.compression}, {found.level.value}')

    def _resources(self, found, for_backup):
        if for_backup is not None:
            size = for_backup.geometry.chunk_size + _WORKER
            self._say('Workers', f'{found.workers}; a backup takes up to '
                                 f'{found.workers * size // units.Mi} MiB')
        with self._asking('Temporary files'):
            spool.check(found.spool_directory)
            self._say('Temporary files', f'in {found.spool_directory}')
        if not found.verify_restore:
            self._say('Restores', 'are not verified',
                      'Set backup_swift_verify_restore = True.')

    @contextlib.contextmanager
    def _store(self, found):
        store = setup_check.open_store(cinder_context.get_admin_context(),
                                       found)
        if store is None:
            self._say('Cluster', 'not asked: each request says where it is')
            yield None
            return
        with contextlib.closing(store):
            yield store

    def _cluster(self, store, found, for_backup):
        limits = setup_check.ask_capabilities(store)
        self._say('Cluster', f'largest object: '
                             f'{limits.max_object_size or "it does not say"}; '
                             f'storage policies: '
                             f'{", ".join(limits.storage_policies or "-")}')
        if for_backup is None:
            return
        with self._asking('Cluster'):
            setup_check.check_capabilities(limits, for_backup)
        if found.account.login is None:
            self._say('Container', f'{for_backup.container}, in the account '
                                   f'of each project')
            return
        with self._asking('Container'):
            self._container(store, for_backup)
        with self._asking('Copy'):
            setup_check.check_sync(store, for_backup.container,
                                   for_backup.containers)
            if for_backup.containers.sync is not None:
                self._say('Copy', store.sync_target(
                    for_backup.container, for_backup.containers.sync).to)

    def _container(self, store, found):
        try:
            store.ensure_container(found.container, create=False)
        except exceptions.ContainerNotFound:
            if not found.containers.allowed:
                raise
            self._say('Container', f'{found.container}; it will be made, of '
                                   f'storage policy '
                                   f'{found.containers.storage_policy or "-"}')
            return
        self._say('Container', f'{found.container}, which exists')


def _one_line(err):
    return ' '.join(str(err).split()).rstrip('.')
