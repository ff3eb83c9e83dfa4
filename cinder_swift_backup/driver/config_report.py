# SPDX-License-Identifier: Apache-2.0

"""Tells what the driver would do with a configuration, and what is wrong.

The service stops at the first thing that is wrong. Somebody who writes a
configuration wants to know all of it, so here each part is looked at by
itself:

1. Read the files as the service does: those that its arguments name, or those
   that it finds by itself.
2. Look for names that are no options.
3. Read each option, then each setting, whatever is wrong with the others, and
   try the directory for temporary files.
4. If the account can be right, ask the cluster, as far as it can be reached
   without a user's request, for its limits and for the container. Nothing is
   written.
"""

import contextlib
import dataclasses
import io
import os

from cinder import context as cinder_context
from cinder import objects
from oslo_config import cfg
from oslo_utils import units

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import compat
from cinder_swift_backup.driver import encryption
from cinder_swift_backup.driver import errors
from cinder_swift_backup.driver import option_values
from cinder_swift_backup.driver import settings
from cinder_swift_backup.driver import setup_check
from cinder_swift_backup.engine import spool
from cinder_swift_backup.engine.backup import needs

CONF = cfg.CONF
# Whose configuration it is. More files are found by this name.
_PROGRAM = 'cinder-backup'
# Bytes of a volume whose backup takes as much memory as any.
_LARGE = units.Ti


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
    files = list(option_values.files())
    if not files:
        raise exceptions.ConfigurationError(
            'Cinder finds no configuration file: name one with --config-file')
    report = _Report()
    report.sources(files)
    report.options()
    report.values()
    report.settings()
    return report.answers


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
            detail=said.getvalue() or option_values.plain(err)) from err
    # Cinder registers what its backup service reads when it loads that.
    objects.register_all()
    CONF.import_opt('backup_driver', 'cinder.backup.manager')


class _Report:
    """Collects the answers."""

    def __init__(self):
        self.answers = []

    def sources(self, files):
        """Which files are read, and whether there may be more."""
        self._say('Configuration', ', '.join(files))
        for directory in option_values.directories():
            if not os.access(directory, os.R_OK | os.X_OK):
                self._say('Configuration', directory,
                          'This user cannot read the directory, so its files '
                          'were skipped. Run the command as the user of '
                          'cinder-backup, who must be able to read the '
                          'directory.')

    def options(self):
        """Whether the driver is ours, and all names are those of options."""
        driver = CONF.backup_driver
        self._say('Driver', driver, '' if driver == compat.OURS else
                  'This is another driver. Set backup_driver = '
                  f'{compat.OURS}.')
        for fault in option_values.unknown():
            self._say(fault.name, f'in {", ".join(fault.files)}',
                      fault.problem)

    def values(self):
        """Whether each option has a value of its type."""
        for name, err in option_values.check_all():
            self._problem(name, err)

    def settings(self):
        """What the options say, and what the cluster says to it."""
        general = for_backup = None
        if not self._faults('Account', settings.account_faults()):
            general = settings.read()
            self._account(general.account)
        if not self._faults('Backups', settings.backup_faults()):
            for_backup = settings.read_for_backup()
            self._backups(for_backup)
        self._resources(for_backup)
        if general is None:
            self._say('Cluster', 'not contacted, because of the problems '
                                 'above')
            return
        with self._asking('Cluster'), self._store(general) as store:
            if store is not None:
                self._cluster(store, general, for_backup)

    def _say(self, subject, text='', problem='', error=None):
        self.answers.append(Answer(subject, str(text), problem, error))

    def _problem(self, subject, err):
        """Say what is wrong, once: also what is read for several reasons."""
        text = errors.sentence(err)
        if all(text != answer.problem for answer in self.answers):
            self._say(subject, problem=text, error=err)

    def _faults(self, subject, faults):
        """Say everything that is wrong in one respect; whether there is."""
        named = list(faults)
        for err in named:
            self._problem(subject, err)
        return bool(named)

    @contextlib.contextmanager
    def _asking(self, subject):
        """Make an answer of what goes wrong in a block."""
        try:
            yield
        except exceptions.BackupError as err:
            self._problem(subject, err)
        except (cfg.Error, ValueError) as err:
            # An option of Cinder's, such as those of [service_user].
            self._say(subject, problem=f'{option_values.plain(err)}. '
                                       f'Correct it.')

    def _account(self, account):
        login = account.login
        if login is None:
            self._say('Account', 'that of the project that owns the backup, '
                      + (f'at {account.url}' if account.url else
                         'found in the catalog of each request'))
            return
        whose = f'project {login.project}' if login.project else 'the user'
        self._say('Account',
                  f'that of {whose}; login as user {login.user}, auth version '
                  f'{login.version}, at '
                  f'{login.auth_url or "the URL in the catalog of a request"}')
        if not account.verify:
            self._say('TLS', 'certificates are not verified',
                      'Set backup_swift_auth_insecure = False.')

    def _backups(self, for_backup):
        geometry = for_backup.geometry
        self._say('Objects',
                  f'chunks of {geometry.chunk_size} bytes of the volume, in '
                  f'blocks of {geometry.block_size} bytes')
        self._say('Form', for_backup.form.value)
        self._say('Compression',
                  f'{for_backup.compression}, {for_backup.level.value}')
        with self._asking('Encryption'):
            self._encryption(for_backup.encryption_key_ids)

    def _encryption(self, key_ids):
        if not key_ids:
            self._say('Encryption', 'none')
            return
        today = f'with key {key_ids[0]}'
        ring = encryption.of_service()
        if ring is None:
            self._say('Encryption', f'{today}, which each user must be able '
                                    f'to read: [key_manager] has no login')
            return
        encryption.get(ring, key_ids[0])
        self._say('Encryption', f'{today}, which the key manager has')
        for key_id in key_ids[1:]:
            with self._asking('Encryption'):
                encryption.get(ring, key_id)
                self._say('Encryption', f'incrementals also build on key '
                                        f'{key_id}')

    def _resources(self, for_backup):
        with self._asking('Workers'):
            workers = option_values.read('backup_swift_workers')
            if for_backup is not None:
                need = needs.of_backup(
                    for_backup.form, for_backup.geometry, _LARGE,
                    incremental=True)
                most = need.always + workers * need.task
                self._say('Workers', f'{workers}; a backup takes up to '
                                     f'{most // units.Mi} MiB')
        with self._asking('Temporary files'):
            directory = option_values.read('backup_swift_spool_directory')
            spool.check(directory)
            self._say('Temporary files', f'in {directory}')
        with self._asking('Restores'):
            if not option_values.read('backup_swift_verify_restore'):
                self._say('Restores', 'not verified',
                          'Set backup_swift_verify_restore = True.')

    @contextlib.contextmanager
    def _store(self, general):
        store = setup_check.open_store(cinder_context.get_admin_context(),
                                       general)
        if store is None:
            self._say('Cluster', 'not contacted: each request says where it '
                                 'is')
            yield None
            return
        with contextlib.closing(store):
            yield store

    def _cluster(self, store, general, for_backup):
        limits = setup_check.ask_capabilities(store)
        self._say('Cluster', f'largest object: '
                             f'{limits.max_object_size or "not reported"}; '
                             f'storage policies: '
                             f'{", ".join(limits.storage_policies or "-")}')
        if for_backup is None:
            return
        with self._asking('Cluster'):
            setup_check.check_capabilities(limits, for_backup)
        if general.account.login is None:
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

    def _container(self, store, for_backup):
        try:
            store.ensure_container(for_backup.container, create=False)
        except exceptions.ContainerNotFound:
            if not for_backup.containers.allowed:
                raise
            policy = for_backup.containers.storage_policy or '-'
            self._say('Container', f'{for_backup.container}; the first backup '
                                   f'creates it; storage policy: {policy}')
            return
        self._say('Container', f'{for_backup.container}, which exists')
