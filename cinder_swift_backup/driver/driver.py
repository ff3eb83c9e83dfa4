# SPDX-License-Identifier: Apache-2.0

"""The class that Cinder loads. It turns requests into calls of the engine.

Cinder creates an instance for each operation, with the request's context, and
one when the service starts, to check the configuration.
"""

import contextlib
import dataclasses

from cinder import exception as cinder_exception
from cinder import interface
from cinder.backup import driver as base_driver
from oslo_log import log as logging
from oslo_utils import timeutils
from oslo_utils import units

from cinder_swift_backup import engine as engines
from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import auth
from cinder_swift_backup.driver import change_tracking
from cinder_swift_backup.driver import compat
from cinder_swift_backup.driver import concurrency
from cinder_swift_backup.driver import encryption
from cinder_swift_backup.driver import errors
from cinder_swift_backup.driver import keys
from cinder_swift_backup.driver import observers
from cinder_swift_backup.driver import operation_log
from cinder_swift_backup.driver import options
from cinder_swift_backup.driver import records
from cinder_swift_backup.driver import settings
from cinder_swift_backup.driver import setup_check
from cinder_swift_backup.driver import sweeps
from cinder_swift_backup.driver import told_changes
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import needs as backup_needs
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.restore import doubts
from cinder_swift_backup.engine.restore import needs as restore_needs
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.engine.volumes import format_checks
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import container_names
from cinder_swift_backup.format import naming

LOG = logging.getLogger(__name__)
# How many parts of a volume that may be wrong are logged.
_MOST_DOUBTS = 100

compat.adopt_stock_records()


@interface.backupdriver
class SwiftBackupDriver(base_driver.BackupDriver):
    """Backs volumes up to Swift and restores them.

    Stores what Cinder's own Swift driver stores, so that either driver
    restores and continues the backups of the other.
    """

    def __init__(self, context):
        super().__init__(context)
        self.support_force_delete = True

    @staticmethod
    def get_driver_options():
        """The options that are this driver's own."""
        return options.OPTS

    def check_for_setup_error(self):
        """Check the configuration and, where it can be found, the cluster.

        :raises BackupDriverException: saying in one line what is wrong
        """
        fault = None
        try:
            setup_check.check(self.context)
        except exceptions.BackupError as err:
            fault = err
        if fault is None:
            return
        # Not while it is handled: then oslo.log would append it to the line,
        # and the traceback that Cinder logs would have its causes.
        LOG.error('The backup service stays down: %s Run "cinder-swift-backup '
                  'check-config" to see everything that is wrong, and then '
                  'start the service again.', errors.sentence(fault))
        LOG.debug('Why the backup service stays down:', exc_info=fault)
        raise errors.translation(fault)

    def backup(self, backup, volume_file, backup_metadata=True):
        """Back up a volume: incrementally when the backup has a parent.

        Ends without error and leaves nothing behind when the backup is
        deleted meanwhile.

        :param backup: the :class:`cinder.objects.Backup` to make
        :param volume_file: the attached volume's handle
        :param backup_metadata: whether to save Cinder's metadata of the
            volume too
        :raises CinderException: the fitting one; nothing is left in Swift
            that can still be reached
        """
        log = operation_log.BackupLog(backup)
        log.follow(lambda: self._make(backup, volume_file, backup_metadata,
                                      log))

    def _make(self, backup, volume_file, backup_metadata, log):
        log.start(backup.size * units.Gi)
        with self._engine(backup, 'backup') as (engine, general):
            for_backup = settings.read_for_backup()
            container = backup.container or for_backup.container
            container_names.check_new(container)
            observer = observers.BackupObserver(
                self.context, backup, for_backup.notifications,
                general.transport.patience, log)
            try:
                with self._attached(backup, volume_file, engine, observer,
                                    general, for_backup) as source:
                    self._backup(backup, container, source, backup_metadata,
                                 engine, observer, for_backup,
                                 general.sweep_grace)
                log.end(source.reader.size, engine, for_backup.form,
                        container)
                if for_backup.form is chains.Form.PACKS:
                    sweeps.after_backup(
                        self.context, observer.database, engine.repository,
                        records.backup_ref(backup), general.sweep_grace)
            except exceptions.Cancelled as err:
                if not observer.deleted:
                    # If this returned, Cinder would call the backup available.
                    raise errors.translation(err, backup.id) from err
                log.cancel(err)

    @contextlib.contextmanager
    def _attached(self, backup, volume_file, engine, observer, general,
                  for_backup):
        """The volume to read, and what is known of it, once there is room."""
        source = self._source(backup, engine, volume_file)
        need = backup_needs.of_backup(
            for_backup.form, for_backup.geometry, source.size,
            incremental=bool(backup.parent_id))
        with (_admitted(engine, observer, need),
              change_tracking.marked(
                  self.context, observer.database, engine.runtime, source,
                  backup, general.track_changes) as marked):
            told = (told_changes.ask(volume_file) if backup.parent_id
                    else None)
            yield dataclasses.replace(marked, told=told)

    @staticmethod
    def _source(backup, engine, volume_file):
        source = _open(engine, volume_file)
        if not source.size:
            raise exceptions.VolumeError(
                'the volume is attached with a size of 0 bytes',
                backup_id=backup.id, detail=f'volume {backup.volume_id}',
                remedy=exceptions.Remedy.STORAGE)
        if isinstance(source, volumes.RbdVolume) and not source.tells_holes:
            LOG.warning('Reading all of volume %s, because it is a clone and '
                        'this release of librbd does not report all the data '
                        'of a clone. Upgrade librbd to 16.2.8 or newer.',
                        backup.volume_id)
        return source

    def _backup(self, backup, container, source, backup_metadata, engine,
                observer, for_backup, sweep_grace):
        repo = engine.repository.during(observer)
        repo.store.ensure_container(
            container, create=for_backup.containers.allowed,
            storage_policy=for_backup.containers.storage_policy,
            sync=for_backup.containers.sync)
        try:
            setup_check.check_sync(repo.store, container,
                                   for_backup.containers)
        except exceptions.ConfigurationError as err:
            # A backup that is not copied is better than none.
            LOG.warning('Backup %s may not be copied to the other site: %s',
                        backup.id, err)
        parent = self._parent(backup, container, for_backup, repo, observer)
        observer.log.build_on(parent and parent.ref.backup_id)
        with engine.runtime.closing(parent):
            self._archive(backup, container, source, parent, backup_metadata,
                          engine, observer, for_backup, sweep_grace)

    def _archive(self, backup, container, source, parent, backup_metadata,
                 engine, observer, for_backup, sweep_grace):
        insist = observer.database.insist
        volume_meta = (insist(lambda: self.get_metadata(backup.volume_id))
                       if backup_metadata else None)
        how = encryption.choose(
            engine.repository.operation.keys,
            encryption.KeyManager(self.context),
            for_backup.encryption_key_ids, parent)
        observer.checkpoint()
        # Checkpoints read the record again, so it only changes from here on.
        backup.container = container
        backup.service_metadata = naming.backup_prefix(
            backup.volume_id, backup.id, for_backup.availability_zone,
            timeutils.utcnow())
        backup.parent_id = parent.ref.backup_id if parent else None
        backup.object_count = records.place(engine.store, container)
        insist(backup.save)
        engine.archiver.archive(
            jobs.ArchiveJob(
                ref=records.backup_ref(backup), header=records.header(backup),
                geometry=for_backup.geometry, form=for_backup.form,
                compression=for_backup.compression, level=for_backup.level,
                parent=parent, volume_meta=volume_meta,
                containers=for_backup.containers, mark=source.mark,
                track=source.track, told=source.told,
                read_all=for_backup.read_all,
                recorded=insist(lambda: self._recorded(backup)),
                key_id=backup.encryption_key_id, grace=sweep_grace,
                encryption=how),
            source.reader, observer)

    def _recorded(self, backup):
        file_format = self._file_format(self._volume(backup.volume_id))
        return format_checks.Recorded(backup.size * units.Gi,
                                      file_format == format_checks.RAW)

    def _parent(self, backup, container, for_backup, repo, observer):
        """What an incremental builds on; None for a full backup."""
        if not backup.parent_id:
            return None
        try:
            refs = observer.database.insist(lambda: records.chain_refs(
                self.context, records.get_parent(self.context, backup)))
        except exceptions.ChainError as err:
            LOG.warning('Backup %s will be a full one: %s', backup.id, err)
            return None
        if (for_backup.form is chains.Form.CHUNKS
                and 0 < for_backup.full_after < len(refs)):
            LOG.info('Backup %s will be a full one: %d incrementals build on '
                     'backup %s, and backup_swift_full_after allows %d.',
                     backup.id, len(refs) - 1, refs[0].backup_id,
                     for_backup.full_after)
            return None
        return parents.find(
            repo, refs, for_backup.geometry.block_size, for_backup.form,
            container, for_backup.encryption_key_ids)

    def restore(self, backup, volume_id, volume_file, volume_is_new=False):
        """Restore a backup of any place in its chain.

        :param volume_id: of the volume to restore to
        :param volume_file: that volume's handle
        :param volume_is_new: whether Cinder created the volume for the
            restore. It may hold old data nevertheless, so this is ignored and
            the volume itself is asked
        :raises BackupRestoreCancel: when the backup's status was changed
        :raises CinderException: the fitting one for anything else
        """
        log = operation_log.RestoreLog(backup, volume_id)
        log.follow(lambda: self._write(backup, volume_id, volume_file, log))

    def _write(self, backup, volume_id, volume_file, log):
        size = backup.size * units.Gi
        log.start(size, backup.container)
        try:
            with self._engine(backup, 'the restore of backup') as (
                    engine, general):
                observer = observers.RestoreObserver(
                    backup, general.transport.patience, log)
                with _admitted(engine, observer,
                               restore_needs.of_restore(size)):
                    self._restore(backup, volume_id, volume_file, engine,
                                  observer, None if general.verify_restore
                                  else doubts.Doubts())
                log.end(engine)
        except exceptions.Cancelled as err:
            raise cinder_exception.BackupRestoreCancel(
                back_id=backup.id, vol_id=volume_id) from err

    def _restore(self, backup, volume_id, volume_file, engine, observer,
                 noted):
        insist = observer.database.insist
        chain = engine.repository.during(observer).resolve(
            insist(lambda: records.chain_refs(self.context, backup)))
        writer = _open(engine, volume_file)
        volume = insist(lambda: self._volume(volume_id))
        keys.check_type(chain.tip.manifest.volume_meta, volume)
        target = restorer.RestoreTarget(
            writer, backup.size * units.Gi, volume['size'] * units.Gi,
            file_format=insist(lambda: self._file_format(volume)))
        try:
            engine.restorer.restore(chain, target, observer, doubts=noted)
        finally:
            # Also where it ends half-way: what was written is there.
            if noted is not None:
                _log_doubts(backup, engine.runtime.call(noted.found))
        insist(lambda: self._restore_metadata(
            backup, volume_id, chain.tip.manifest.volume_meta))

    def _volume(self, volume_id):
        return self.db.volume_get(self.context, volume_id)

    def _file_format(self, volume):
        """What Cinder is going to read a volume's file as, if it says so.

        It does not of one that is encrypted: its record says "raw", and its
        file is qcow2.
        """
        if not compat.FORMATS_ARE_RECORDED or volume['encryption_key_id']:
            return None
        return self.db.volume_admin_metadata_get(
            self.context.elevated(), volume['id']).get('format')

    def _restore_metadata(self, backup, volume_id, volume_meta):
        if not volume_meta:
            return
        try:
            self.put_metadata(volume_id, volume_meta)
        except (cinder_exception.BackupMetadataUnsupportedVersion,
                # These are what Cinder raises for damaged metadata.
                AttributeError, KeyError, TypeError, ValueError) as err:
            raise cinder_exception.BackupDriverException(
                reason=f'The data of backup {backup.id} was restored to '
                       f'volume {volume_id}; its metadata was not '
                       f'({type(err).__name__}: {err}). If Cinder does not '
                       'know the version of the metadata, restore with the '
                       'release of Cinder that made the backup, or a newer '
                       'one.') from err

    def delete_backup(self, backup):
        """Delete all objects of a backup, unless another record needs them.

        :raises CinderException: when not all of them can be found and
            deleted; Cinder keeps the record, and the delete can be repeated
        """
        log = operation_log.DeleteLog(backup)
        log.follow(lambda: self._remove(backup, log))

    def _remove(self, backup, log):
        log.start(backup.container)
        database = observers.Database(f'the delete of backup {backup.id}',
                                      settings.read_patience())
        with _told(backup):
            database.insist(lambda: records.check_no_dependents(
                self.context, backup))
        if not backup.service_metadata or not backup.container:
            log.end_with_nothing()
            return
        with self._engine(backup, 'the delete of backup') as (engine, general):
            twins = database.insist(
                lambda: records.twins(self.context, backup))
            self._delete(backup, engine, general, database, twins, log)
            keys.leave_shared(backup, twins)

    def _delete(self, backup, engine, general, database, twins, log):
        one_account = general.account.login is not None
        for twin in twins:
            if one_account or twin.project_id == backup.project_id:
                log.keep(twin)
                return
        ref = records.backup_ref(backup)
        try:
            remains = self._find_objects(backup, ref, engine.repository,
                                         database)
        except (exceptions.ContainerNotFound, exceptions.ObjectNotFound):
            if not twins:
                raise
            # They are in the account of another project.
            log.keep(twins[0])
            return

        def expect_nothing():
            # If Cinder repeats this delete here, it is no error to find
            # nothing.
            backup.object_count = records.place(engine.store, ref.container)
            database.insist(backup.save)

        engine.repository.discard(ref, remains.names,
                                  before_last=expect_nothing)
        if general.track_changes and remains.mark is not None:
            change_tracking.forget(self.context, database, engine.runtime,
                                   backup, remains.mark)
        # Also of one in chunks, for the volume may have had others.
        sweeps.after_delete(self.context, database, engine.repository, ref,
                            general.sweep_grace, remains.makers)
        log.end(len(remains.names), engine.store.traffic)

    def _find_objects(self, backup, ref, repository, database):
        count = backup.object_count or 0
        if count:
            here = count == records.place(repository.store, ref.container)
            return repository.find_objects(ref, complete=not here)
        try:
            parent = database.insist(
                lambda: records.parent_ref(self.context, backup))
        except exceptions.ChainError:
            # Nothing tells that this is the right account.
            return repository.find_objects(ref, complete=True)
        return repository.find_objects(ref, complete=False, parent=parent)

    @contextlib.contextmanager
    def _engine(self, backup, operation):
        """The engine for one operation, and the settings that it has.

        Errors are told as by :func:`_told`.

        :param operation: what it is called in the log
        """
        with _told(backup):
            general = settings.read()
            where = self.context, backup.project_id, general
            purpose = f'{operation} {backup.id}'
            with (auth.explained(*where),
                  contextlib.closing(auth.make_store(
                      *where, purpose)) as store):
                yield engines.Engine(store, concurrency.runtime(self.context),
                                     general.workers, general.spool_directory,
                                     encryption.KeyManager(self.context),
                                     general.memory), general


@contextlib.contextmanager
def _told(backup):
    """Raise Cinder's errors instead of ours, when Cinder can note them."""
    with (errors.translated(backup.id),
          observers.noted(backup, settings.read_patience())):
        yield


@contextlib.contextmanager
def _admitted(engine, observer, need):
    """Wait until there is room in memory, and hold it for a block."""
    operation = engine.repository.during(observer).operation
    with operation.admitted(need, observer.log.wait_for_memory):
        observer.log.admit()
        yield


def _log_doubts(backup, noted):
    """Log what of a restore may be wrong, since it was not refused."""
    if not noted:
        return
    for doubt in noted[:_MOST_DOUBTS]:
        LOG.warning('%s', doubt)
    if len(noted) > _MOST_DOUBTS:
        LOG.warning('And %d more.', len(noted) - _MOST_DOUBTS)
    wrong = sum(doubt.extent.length for doubt in noted if doubt.is_wrong)
    LOG.error('Of what was restored of backup %s without '
              'backup_swift_verify_restore, %d bytes do not match what was '
              'backed up, and %d cannot be checked.', backup.id, wrong,
              sum(doubt.extent.length for doubt in noted) - wrong)


def _open(engine, volume_file):
    # Even asking an RBD image for its size blocks.
    return engine.runtime.call(volumes.open_volume, volume_file,
                               engine.runtime.lock())
