# SPDX-License-Identifier: Apache-2.0

"""Files in a format of their own, such as qcow2 and VMDK.

Some of Cinder's drivers keep a volume in a file, and a backup is of that file,
whatever it holds. That is all of the volume unless the file refers to another
one. The active file of a volume on NFS that has snapshots does: it is a qcow2
overlay, and what is below the snapshot is in its backing file.

1. oslo.utils recognises the formats by the beginning of the file.
2. Whether the file refers to others, oslo.utils tells of qcow2. For the rest
   there is one field in each header:

   ====  =====================================================  ==============
   QED   features, 64 bits at 16, little-endian                 bit 0
   VHD   type of disk, 32 bits at 60, big-endian                4
   VHDX  an entry for the locator of a parent in the metadata   there
   VDI   type of image, 32 bits at 76, little-endian            3 and more
   VMDK  ``createType`` in the descriptor                       not one file
         ``parentCID`` in the descriptor                        not all ones
   ====  =====================================================  ==============

   They are those of QEMU's ``docs/interop/qed_spec``, of Microsoft's VHD
   specification and MS-VHDX (2.6.2.6), of VirtualBox's ``VDICore.h``, and of
   VMware's Virtual Disk Format 5.0.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import io
import struct
from typing import Any

from oslo_utils.imageutils import format_inspector

# Bytes of the beginning that tell all of this: the metadata of a VHDX are in
# the third MiB, or the one after.
HEAD = 4 << 20
# What a header has at least. Readers take what is behind the end for zeros.
_SECTOR = 512

_PARENT_LOCATOR = struct.pack('<IHH', 0xa8d35f2d, 0xb30b, 0x454d) + bytes(
    (0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c))
# VMDKs that are one file, in lower case.
_ONE_FILE = frozenset(('monolithicsparse', 'streamoptimized'))
_NO_PARENT = 'ffffffff'


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFormat:
    """The format of a file.

    ``name`` is what operators call it. ``needs`` says which other file it is
    worth nothing without; None if it is whole. ``detail`` may name that file.
    """

    name: str
    needs: str | None = None
    detail: str | None = None


def find(head: bytes) -> ImageFormat | None:
    """The format of a file; None if it is raw, as far as can be told.

    If a file could be read in several ways, the one that refers to another
    file counts.

    :param head: its first ``HEAD`` bytes, or all of it
    """
    found = _find(head)
    if not found and len(head) < _SECTOR:
        found = _find(head.ljust(_SECTOR, b'\0'))
    return next((each for each in found if each.needs), None) or next(
        iter(found), None)


def _find(head: bytes) -> list[ImageFormat]:
    wrapper = format_inspector.InspectWrapper(
        io.BytesIO(head), allowed_formats=['raw', *_READERS])
    wrapper.read(len(head))
    wrapper.close()
    header = head.ljust(_SECTOR, b'\0')
    return [_READERS[each.NAME](each, header)
            for each in wrapper.formats or () if each.NAME in _READERS]


# The inspectors of oslo.utils have no types in its older releases.

def _qcow2(inspector: Any, head: bytes) -> ImageFormat:
    if _violates(inspector.check_backing_file):
        return ImageFormat('qcow2', 'a backing file', _backing_file(head))
    # Before version 3 there is something else in this place.
    version, = struct.unpack_from('>I', head, 4)
    if version >= 3 and _violates(inspector.check_data_file):
        return ImageFormat('qcow2', 'a data file')
    return ImageFormat('qcow2')


def _violates(check: Callable[[], None]) -> bool:
    try:
        check()
    except format_inspector.SafetyViolation:
        return True
    return False


def _backing_file(head: bytes) -> str:
    offset, length = struct.unpack_from('>QI', head, 8)
    name = head[offset:offset + min(length, 1023)]
    return f'backing file {name.decode(errors="backslashreplace")}'


def _vmdk(inspector: Any, head: bytes) -> ImageFormat:
    found = _descriptor(bytes(inspector.region('descriptor').data))
    # Without a header it is a text, which names the files that have the data.
    if (not inspector.has_region('header')
            or found.get('createtype') not in _ONE_FILE):
        return ImageFormat('VMDK', 'other files')
    if found.get('parentcid', _NO_PARENT) != _NO_PARENT:
        return ImageFormat('VMDK', 'a parent')
    return ImageFormat('VMDK')


def _descriptor(data: bytes) -> dict[str, str]:
    """The settings of a VMDK, in lower case."""
    text = data.partition(b'\0')[0].decode('latin-1').lower()
    lines = (line.partition('=') for line in text.splitlines())
    return {key.strip(): value.strip().strip('"') for key, _, value in lines}


def _qed(inspector: Any, head: bytes) -> ImageFormat:
    features, = struct.unpack_from('<Q', head, 16)
    return ImageFormat('QED', 'a backing file' if features & 1 else None)


def _vhd(inspector: Any, head: bytes) -> ImageFormat:
    kind, = struct.unpack_from('>I', head, 60)
    return ImageFormat('VHD', 'a parent' if kind == 4 else None)


def _vhdx(inspector: Any, head: bytes) -> ImageFormat:
    entries = (bytes(inspector.region('metadata').data)
               if inspector.has_region('metadata') else b'')
    return ImageFormat(
        'VHDX', 'a parent' if _PARENT_LOCATOR in entries else None)


def _vdi(inspector: Any, head: bytes) -> ImageFormat:
    kind, = struct.unpack_from('<I', head, 76)
    return ImageFormat('VDI', 'a parent' if kind >= 3 else None)


# By the names of oslo.utils. What it knows besides is on raw disks.
_READERS: Mapping[str, Callable[[Any, bytes], ImageFormat]] = {
    'qcow2': _qcow2, 'vmdk': _vmdk, 'qed': _qed, 'vhd': _vhd,
    'vhdx': _vhdx, 'vdi': _vdi}
