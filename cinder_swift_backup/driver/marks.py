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

A backup of a snapshot, or of a volume in use, is read from a clone that Cinder
makes for it of a snapshot of the volume, which ends with the backup. The mark
is made of the volume then, and it is noted in the backup what was written in
between.
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
_NAME = re.compile(r'backup\.[0-9A-Za-z-]+\.snap\.csb')


def name(backup_id):
    """The name of the snapshot that is a backup's mark."""
    return f'backup.{backup_id}.snap.csb'


@contextlib.contextmanager
def marked(context, runtime, source, backup, wanted):
    """Give a volume a new mark, until the end of a block.

    Yields what to read, and the mark, which stays if the block ends well. The
    mark is None if there can be none, or none is wanted.

    :param source: what Cinder attached, to back up the volume
    :param wanted: whether changes are to be tracked
    """
    if not isinstance(source, volumes.ImageVolume):
        yield source, None
        return
    with _found(context, runtime, source, backup, wanted) as found:
        if found is None:
            yield source, None
            return
        mark = found.make(name(backup.id)) if wanted else None
        try:
            yield found.reader, mark
        except BaseException:
            if mark is not None:
                found.remove([mark.snapshot])
            raise
        found.remove_others(mark)


@contextlib.contextmanager
def _found(context, runtime, source, backup, wanted):
    """The volume that marks are of; None if it cannot be had."""
    if not _elsewhere(backup):
        yield _Marked(runtime, source)
        return
    found = None
    if wanted:
        found = _try(runtime, source.origin)
    if found is None:
        yield None
        return
    origin, image, snapshot = found
    try:
        volume = objects.Volume.get_by_id(context.elevated(),
                                          backup.volume_id)
        if image != volume.name:
            yield None
            return
        yield _MarkedOrigin(runtime, source, origin, snapshot)
    finally:
        runtime.call(origin.close)


def _elsewhere(backup):
    """Whether it is not the volume itself that is read."""
    return bool(backup.snapshot_id or backup.temp_volume_id
                or backup.temp_snapshot_id)


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
            LOG.warning('There is no mark %s, so the next incremental has to '
                        'read all of the volume: %s', snapshot, err)
            return None

    def _make(self, snapshot):
        # This is offloaded, and must not log.
        return self._image.freeze(snapshot)

    def remove(self, names):
        """Remove marks; what does not work now, the next backup does."""
        _try(self._runtime, self._image.use, None)
        for each in names:
            _try(self._runtime, self._image.forget, each)

    def remove_others(self, mark):
        """Remove all marks but one."""
        found = _try(self._runtime, self._image.snapshots) or []
        self.remove([each for each in found if _NAME.fullmatch(each)
                     and (mark is None or each != mark.snapshot)])


class _MarkedOrigin(_Marked):
    """A volume that is read from a clone of a snapshot of it."""

    def __init__(self, runtime, clone, origin, snapshot):
        super().__init__(runtime, origin)
        self._snapshot = snapshot
        self.reader = runtime.call(volumes.ClonedVolume, clone, origin,
                                   snapshot)

    def _make(self, snapshot):
        mark = self._image.freeze(snapshot)
        try:
            changes = tuple(itertools.islice(self._image.changed_since(
                types.Mark(mark.image, self._snapshot),
                types.Extent(0, self._image.size)), _MOST_CHANGES + 1))
            if len(changes) > _MOST_CHANGES:
                raise exceptions.VolumeError(
                    'too much was written to the volume since the snapshot '
                    'that is backed up', expected=_MOST_CHANGES)
        except BaseException:
            self._image.use(None)
            self._image.forget(snapshot)
            raise
        finally:
            self._image.use(self._snapshot)
        return dataclasses.replace(mark, changes=changes)


def _try(runtime, function, *arguments):
    try:
        return runtime.call(function, *arguments)
    except exceptions.VolumeError as err:
        LOG.warning('A mark may be left on the volume, until its next backup '
                    'or its end: %s', err)
        return None


def forget(context, runtime, backup, mark):
    """Remove the mark of a backup from its volume, if both are there.

    :param mark: of the backup's manifest
    """
    context = context.elevated()
    try:
        volume = objects.Volume.get_by_id(context, backup.volume_id)
        with _attached(context, volume) as handle:
            source = runtime.call(volumes.open_volume, handle, runtime.lock())
            if isinstance(source, volumes.ImageVolume):
                _try(runtime, source.forget, mark.snapshot)
    except cinder_exception.VolumeNotFound:
        # Its snapshots went with it.
        return
    except Exception as err:
        # The backup is deleted, whatever becomes of its mark.
        LOG.warning('The mark of backup %s is left on volume %s, until its '
                    'next backup or its end: %s', backup.id,
                    backup.volume_id, err)


@contextlib.contextmanager
def _attached(context, volume):
    """A volume's handle, as Cinder's manager of backups gets it."""
    rpc = volume_rpcapi.VolumeAPI()
    properties = volume_utils.brick_get_connector_properties(
        CONF.use_multipath_for_image_xfer, enforce_multipath=False)
    connection = rpc.initialize_connection(context, volume, properties)
    try:
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
