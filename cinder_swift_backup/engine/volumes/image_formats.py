# SPDX-License-Identifier: Apache-2.0

"""Files in a format of their own, such as qcow2 and VMDK.

Some of Cinder's drivers keep a volume in a file, and a backup is of that file,
whatever it holds. That is all of the volume unless the file refers to another
one. The active file of a volume on NFS that has snapshots does: it is a qcow2
overlay, and what is below the snapshot is in its backing file.

1. The first bytes tell the format.
2. A field or two tell whether the file refers to others. Where they cannot be
   read, it may.

   =====  ===================  ==============================================
   qcow2  ``QFI\\xfb``          a backing file if the 64 bits at 8 are not 0; a
                               data file if bit 2 of the 64 at 72 is set, in
                               version 3
   QED    ``QED\\0``            a backing file if bit 0 of the 64 at 16 is set
   VMDK   ``KDMV``             others if ``createType`` is of several files; a
                               parent if ``parentCID`` is not all ones
   VMDK   a comment            others, always: those that have the data
   VMDK   ``COWD``, cafebabe   others, always: so ESX writes on top of a file
   VHD    ``conectix``         a parent if the 32 bits at 60 are 4
   VHDX   ``vhdxfile``         a parent if the metadata have a locator of it
   VDI    0xbeda107f at 64     a parent if the 32 bits at 76 are 3 or more
   =====  ===================  ==============================================

The facts are those of QEMU's ``docs/interop/qcow2.txt`` and ``qed_spec.txt``,
of VMware's Virtual Disk Format 5.0 and QEMU's ``block/vmdk.c``, of Microsoft's
VHD specification and MS-VHDX, and of VirtualBox's ``VDICore.h``. oslo.utils
knows formats from 7.4 on, which OpenStack 2024.1 does not have, and for most
of them it does not tell what they refer to.
"""

from collections.abc import Callable
import dataclasses
import struct
import uuid

# Bytes of the beginning that tell all of this: the metadata of a VHDX are in
# the third MiB, or the one after.
HEAD = 4 << 20
# What a header has at least.
_SECTOR = 512
# Of a descriptor of VMDK, as QEMU reads it.
_MOST_DESCRIPTOR = 1 << 20
# VMDKs that are one file, in lower case.
_ONE_FILE = frozenset(('monolithicsparse', 'streamoptimized'))
_NO_PARENT = 'ffffffff'
# Where a VHDX has its two region tables, and what to find by them.
_REGION_TABLES = (192 << 10, 256 << 10)
_METADATA = uuid.UUID('8b7ca206-4790-4b9a-b8fe-575f050f886e').bytes_le
_PARENT_LOCATOR = uuid.UUID('a8d35f2d-b30b-454d-abf7-d3d84834ab0c').bytes_le
_TABLE = 64 << 10


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

    :param head: its first ``HEAD`` bytes, or all of it
    """
    # What is behind the end is read as zeros.
    padded = head if len(head) >= _SECTOR else head.ljust(_SECTOR, b'\0')
    for offset, magic, read in _MAGICS:
        if padded.startswith(magic, offset):
            return read(padded)
    return None


def _number(form: str, head: bytes, offset: int) -> int:
    value: int = struct.unpack_from(form, head, offset)[0]
    return value


def _qcow2(head: bytes) -> ImageFormat | None:
    version = _number('>I', head, 4)
    # QEMU opens no others, so they are none.
    if version not in (1, 2, 3):
        return None
    if _number('>Q', head, 8):
        return ImageFormat('qcow2', 'a backing file', _backing_file(head))
    # Before version 3 there is something else in this place.
    if version == 3 and _number('>Q', head, 72) & 4:
        return ImageFormat('qcow2', 'a data file')
    return ImageFormat('qcow2')


def _backing_file(head: bytes) -> str:
    offset, length = _number('>Q', head, 8), _number('>I', head, 16)
    name = head[offset:offset + min(length, 1023)]
    return f'backing file {name.decode(errors="backslashreplace")}'


def _qed(head: bytes) -> ImageFormat:
    return ImageFormat(
        'QED', 'a backing file' if _number('<Q', head, 16) & 1 else None)


def _vmdk(head: bytes) -> ImageFormat:
    start = _number('<Q', head, 28) * _SECTOR
    length = min(_number('<Q', head, 36) * _SECTOR, _MOST_DESCRIPTOR)
    fields = _descriptor(head[start:start + length] if start else b'')
    if fields.get('createtype') not in _ONE_FILE:
        return _part_of_vmdk(head)
    if fields.get('parentcid', _NO_PARENT) != _NO_PARENT:
        return ImageFormat('VMDK', 'a parent')
    return ImageFormat('VMDK')


def _descriptor(data: bytes) -> dict[str, str]:
    """The settings of a VMDK, in lower case."""
    text = data.partition(b'\0')[0].decode('latin-1').lower()
    lines = (line.partition('=') for line in text.splitlines())
    return {key.strip(): value.strip().strip('"') for key, _, value in lines}


def _part_of_vmdk(head: bytes) -> ImageFormat:
    return ImageFormat('VMDK', 'other files')


def _vhd(head: bytes) -> ImageFormat:
    return ImageFormat(
        'VHD', 'a parent' if _number('>I', head, 60) == 4 else None)


def _vhdx(head: bytes) -> ImageFormat:
    table = _metadata_table(head)
    return ImageFormat('VHDX', None if table and _PARENT_LOCATOR not in table
                       else 'a parent')


def _metadata_table(head: bytes) -> bytes | None:
    """Which metadata a VHDX has; None if that cannot be read."""
    for start in _REGION_TABLES:
        regions = head[start:start + _TABLE]
        at = regions.find(_METADATA)
        if regions.startswith(b'regi') and 0 < at <= _TABLE - 24:
            offset = _number('<Q', regions, at + 16)
            table = head[offset:offset + _TABLE]
            if table.startswith(b'metadata'):
                return table
    return None


def _vdi(head: bytes) -> ImageFormat:
    return ImageFormat(
        'VDI', 'a parent' if _number('<I', head, 76) >= 3 else None)


# Where they are, and who reads what begins so.
_Reader = Callable[[bytes], ImageFormat | None]
_MAGICS: tuple[tuple[int, bytes, _Reader], ...] = (
    (0, b'QFI\xfb', _qcow2), (0, b'QED\0', _qed), (0, b'KDMV', _vmdk),
    (0, b'# Disk DescriptorFile', _part_of_vmdk), (0, b'COWD', _part_of_vmdk),
    (0, struct.pack('<Q', 0xcafebabe), _part_of_vmdk),
    (0, b'conectix', _vhd), (0, b'vhdxfile', _vhdx),
    (64, struct.pack('<I', 0xbeda107f), _vdi))
