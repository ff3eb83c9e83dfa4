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

A backup of a snapshot of Cinder's, or of a volume in use, is read from a
snapshot, or from another image. There is no mark of that.
"""

import contextlib
import re

from cinder import exception as cinder_exception
from cinder import objects
from cinder.volume import rpcapi as volume_rpcapi
from cinder.volume import volume_utils
from oslo_config import cfg
from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volumes

CONF = cfg.CONF
LOG = logging.getLogger(__name__)
_NAME = re.compile(r'backup\.[0-9A-Za-z-]+\.snap\.csb')


def name(backup_id):
    """The name of the snapshot that is a backup's mark."""
    return f'backup.{backup_id}.snap.csb'


@contextlib.contextmanager
def marked(runtime, source, backup, wanted):
    """Read from a new mark of a volume, until the end of a block.

    The mark stays if the block ends well. It is None if there can be none, or
    none is wanted; marks that there are go then.

    :param source: the volume to back up
    :param wanted: whether changes are to be tracked
    """
    if not isinstance(source, volumes.ImageVolume) or _elsewhere(backup):
        yield None
        return
    mark = _freeze(runtime, source, backup) if wanted else None
    try:
        yield mark
    except BaseException:
        if mark is not None:
            _remove(runtime, source, [mark.snapshot])
        raise
    found = _try(runtime, source.snapshots) or []
    _remove(runtime, source, [
        each for each in found if _NAME.fullmatch(each)
        and (mark is None or each != mark.snapshot)])


def _elsewhere(backup):
    """Whether it is not the volume itself that is read."""
    return bool(backup.snapshot_id or backup.temp_volume_id
                or backup.temp_snapshot_id)


def _freeze(runtime, source, backup):
    try:
        return runtime.call(source.freeze, name(backup.id))
    except exceptions.VolumeError as err:
        LOG.warning('Backup %s is made without a mark, so the next '
                    'incremental has to read all of the volume: %s',
                    backup.id, err)
        return None


def _remove(runtime, source, names):
    """Remove marks; what does not work now, the next backup does."""
    _try(runtime, source.thaw)
    for each in names:
        _try(runtime, source.forget, each)


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
