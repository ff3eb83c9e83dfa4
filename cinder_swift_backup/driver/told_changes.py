# SPDX-License-Identifier: Apache-2.0

"""What Cinder itself says was written to a volume since the parent.

No release of Cinder does yet. The specification (cinder-specs, review 985089)
has the manager wrap the handle of a volume, so that a backup driver can ask it
for ``get_cbt_extents()``: the offsets and lengths, in bytes, of what may
differ from the parent of the backup. Volume drivers answer by what their
storage tracks. Whatever goes wrong with that costs time only: all is read.
"""

from collections.abc import Iterable
from collections.abc import Mapping

from oslo_log import log as logging

from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)


def ask(handle):
    """What a handle says; None if it does not, or not in a way we know.

    It may ask another service, so this is not offloaded.

    :param handle: the outermost one, as Cinder passes it
    :returns: extents, in any order
    """
    try:
        function = getattr(handle, 'get_cbt_extents', None)
        if not callable(function):
            return None
        told = function()
        return None if told is None else _extents(told)
    except Exception as err:
        LOG.warning('The backup reads the whole volume, because Cinder could '
                    'not report what was written to it: %s: %s',
                    type(err).__name__, err)
        return None


def _extents(told):
    if not isinstance(told, Iterable):
        raise TypeError(f'{type(told).__name__} is not a list of extents')
    return tuple(map(_extent, told))


def _extent(value):
    if isinstance(value, Mapping):
        value = value['offset'], value['length']
    offset, length = value
    if type(offset) is not int or type(length) is not int or offset < 0 or (
            length < 0):
        raise ValueError(f'{value!r} is not an offset and a length')
    return types.Extent(offset, length)
