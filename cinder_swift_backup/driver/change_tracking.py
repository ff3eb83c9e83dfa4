# SPDX-License-Identifier: Apache-2.0

"""Marks on RBD volumes, by which an incremental reads only what changed.

1. Before a volume itself is backed up, a snapshot of it is made, which is
   named for the backup. The backup is read from it, so that it has exactly
   what the backup has.
2. When the backup is stored, the marks of older ones are removed; when it
   failed, its own is.
3. When the backup is deleted, so is its mark.

The names are such that Cinder's RBD driver removes the snapshots itself before
it deletes a volume (``RBDDriver._get_backup_snaps``).

A volume in use is read from a clone that Cinder makes for the backup of a
snapshot of the volume; both end with it. The mark is made of the volume then,
and it is noted in the backup what was written in between.

There is no mark where a volume has other snapshots, and so none of a backup of
one. For a volume can be reverted to a snapshot, with the map of what is in
that, and then Ceph may not tell what differs from a later mark.
"""

import contextlib
import dataclasses
import itertools
import re

from cinder import exception as cinder_exception
from cinder import objects
from cinder.volume import rpcapi as volume_rpcapi
from cinder.volume import volume_utils
from oslo_config import cfg
from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.format import types

CONF = cfg.CONF
LOG = logging.getLogger(__name__)
# Objects of Ceph's: what was written between a snapshot and its mark.
_MOST_CHANGES = 10000
# Cinder makes these for clones, and never reverts to them.
_CLONED = re.compile(r'volume-[0-9A-Za-z-]+\.clone_snap')
_NAME = re.compile(r'backup\.[0-9A-Za-z-]+\.snap\.csb')
# What comes of it when something fails.
_STAYS = 'A mark may stay on the volume until its next backup or its deletion'
_NONE = 'The volume is backed up without a mark'
_OPEN = 'The image that the volume is a clone of cannot be closed'


def name(backup_id):
    """The name of the snapshot that is a backup's mark."""
    return f'backup.{backup_id}.snap.csb'


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A volume to back up.

    ``mark`` has what ``reader`` reads; None if there can be none, or none is
    wanted. ``track`` says whether the parent's mark may be used. ``told`` is
    what Cinder says was written since the parent; None if it does not.
    """

    reader: volumes.VolumeReader
    mark: types.Mark | None = None
    track: bool = False
    told: tuple[types.Extent, ...] | None = None


@contextlib.contextmanager
def marked(context, database, runtime, source, backup, tracked):
    """Give a volume a new mark, until the end of a block.

    Yields a :class:`Source`, whose mark stays if the block ends well.

    :param database: the :class:`observers.Database`
    :param source: what Cinder attached, to back up the volume
    :param tracked: whether changes are to be tracked
    """
    if not isinstance(source, volumes.RbdVolume):
        yield Source(source)
        return
    with _marker(context, database, runtime, source, backup,
                 tracked) as marker:
        if marker is None:
            yield Source(source, track=tracked)
            return
        mark = marker.make(name(backup.id)) if tracked else None
        try:
            yield Source(marker.reader, mark, tracked)
        except BaseException:
            if mark is not None:
                marker.remove([mark.snapshot])
            raise
        marker.remove_others(mark)


@contextlib.contextmanager
def _marker(context, database, runtime, source, backup, tracked):
    """The volume that marks are of; None if it cannot be had."""
    if backup.snapshot_id or backup.temp_snapshot_id:
        yield None
        return
    if not backup.temp_volume_id:
        yield _Marked(runtime, source)
        return
    clone_of = _try(runtime, _NONE, source.origin) if tracked else None
    if clone_of is None:
        yield None
        return
    origin, image, snapshot = clone_of
    try:
        reader = None
        if image == database.insist(
                lambda: _image_name(context, backup)):
            reader = _try(runtime, _NONE, volumes.ClonedVolume, source,
                          origin, snapshot)
        yield None if reader is None else _MarkedOrigin(
            runtime, origin, snapshot, reader)
    finally:
        _try(runtime, _OPEN, origin.close)


def _image_name(context, backup):
    """The name of a volume's image; None if the record is gone."""
    try:
        return objects.Volume.get_by_id(context.elevated(),
                                        backup.volume_id).name
    except cinder_exception.VolumeNotFound:
        return None


class _Marked:
    """A volume that is read itself."""

    def __init__(self, runtime, image):
        self._runtime = runtime
        self._image = image
        self.reader = image

    def make(self, snapshot):
        """Make a mark; None if that cannot be done."""
        try:
            return self._runtime.call(self._make, snapshot)
        except exceptions.VolumeError as err:
            LOG.warning('Mark %s cannot be made, so the next incremental has '
                        'to read the whole volume: %s', snapshot, err)
            return None

    # These are offloaded, and must not log.

    def _make(self, snapshot):
        self._check_others()
        mark = self._image.freeze(snapshot)
        try:
            # Cinder may have begun to make one before this backup.
            self._check_others()
            return self._complete(mark)
        except BaseException:
            try:
                self._image.use(None)
            finally:
                self._image.forget(snapshot)
            raise

    def _complete(self, mark):
        return mark

    def _check_others(self):
        others = [snap for snap in self._image.snapshots()
                  if not (_NAME.fullmatch(snap) or _CLONED.fullmatch(snap))]
        if others:
            raise exceptions.VolumeError(
                f'the volume has snapshots to which it can be reverted, such '
                f'as {others[0]}')

    def remove(self, names):
        """Remove marks; what does not work now, the next backup does."""
        _try(self._runtime, _STAYS, self._image.use, None)
        for snap in names:
            _try(self._runtime, _STAYS, self._image.forget, snap)

    def remove_others(self, mark):
        """Remove all marks but one."""
        names = _try(self._runtime, _STAYS, self._image.snapshots) or []
        self.remove([snap for snap in names if _NAME.fullmatch(snap)
                     and (mark is None or snap != mark.snapshot)])


class _MarkedOrigin(_Marked):
    """A volume that is read from a clone of a snapshot of it."""

    def __init__(self, runtime, origin, snapshot, reader):
        super().__init__(runtime, origin)
        self._snapshot = snapshot
        self.reader = reader

    def _complete(self, mark):
        """Note what the volume has that the clone has not."""
        try:
            changes = tuple(itertools.islice(self._image.changed_since(
                types.Mark(mark.image, self._snapshot),
                types.Extent(0, self._image.size)), _MOST_CHANGES + 1))
            if len(changes) > _MOST_CHANGES:
                raise exceptions.VolumeError(
                    'too many parts of the volume were written since the '
                    'snapshot that is backed up', expected=_MOST_CHANGES)
        finally:
            self._image.use(self._snapshot)
        return dataclasses.replace(mark, written_since=changes)


def _try(runtime, what, function, *arguments):
    """Call a function; None if it fails, and a warning of what comes of it."""
    try:
        return runtime.call(function, *arguments)
    except exceptions.VolumeError as err:
        LOG.warning('%s: %s', what, err)
        return None


def forget(context, database, runtime, backup, mark):
    """Remove the mark of a backup from its volume, if both are there.

    :param database: the :class:`observers.Database`
    :param mark: of the backup's manifest
    """
    # Others may be able to write manifests.
    if mark.snapshot != name(backup.id):
        return
    context = context.elevated()
    try:
        volume = database.insist(lambda: objects.Volume.get_by_id(
            context, backup.volume_id))
        if volume.status != 'available':
            # What it is attached by now, we must not meddle with.
            LOG.info('The mark of backup %s stays on volume %s, which is %s, '
                     'until the next backup or deletion of the volume.',
                     backup.id, volume.id, volume.status)
            return
        with _attached(context, volume) as handle:
            source = runtime.call(volumes.open_volume, handle, runtime.lock())
            _try(runtime, _STAYS, source.forget, mark.snapshot)
    except cinder_exception.VolumeNotFound:
        # Its snapshots went with it.
        return
    except Exception as err:
        # The backup is deleted, whatever becomes of its mark.
        LOG.warning('The mark of backup %s stays on volume %s until the next '
                    'backup or deletion of the volume: %s', backup.id,
                    backup.volume_id, err)


@contextlib.contextmanager
def _attached(context, volume):
    """A volume's handle, as Cinder's manager of backups gets it.

    :raises ValueError: when it is not in Ceph any more
    """
    rpc = volume_rpcapi.VolumeAPI()
    properties = volume_utils.brick_get_connector_properties(
        CONF.use_multipath_for_image_xfer, enforce_multipath=False)
    connection = rpc.initialize_connection(context, volume, properties)
    try:
        if connection['driver_volume_type'] != 'rbd':
            raise ValueError('it was migrated')
        connector = volume_utils.brick_get_connector(
            connection['driver_volume_type'], conn=connection,
            use_multipath=CONF.use_multipath_for_image_xfer,
            device_scan_attempts=CONF.num_volume_device_scan_tries)
        device = connector.connect_volume(connection['data'])
        try:
            yield device['path']
        finally:
            connector.disconnect_volume(connection['data'], device,
                                        force=True)
    finally:
        rpc.terminate_connection(context, volume, properties, force=True)
