# SPDX-License-Identifier: Apache-2.0

"""What files are, by their headers."""

import struct
import uuid

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.engine.volumes import image_formats
from tests.fakes import images

_MAGIC = st.sampled_from((
    b'QFI\xfb', b'QFI\xfb\0\0\0\3', b'QED\0', b'KDMV\1\0\0\0', b'COWD',
    b'conectix', b'vhdxfile', bytes(64) + b'\x7f\x10\xda\xbe',
    b'# Disk DescriptorFile\n', b'createType="monolithicFlat"\n', b''))


def _patched(name, offset, data):
    found = bytearray(images.load(name))
    found[offset:offset + len(data)] = data
    return bytes(found)


class FindTest(base.BaseTestCase):
    """Formats and what they refer to."""

    def _assert_found(self, name, needs, head):
        found = image_formats.find(head)
        self.assertIsNotNone(found)
        self.assertEqual((name, needs), (found.name, found.needs))

    def test_whole(self):
        for name, files in (
                ('qcow2', ('qcow2', 'qcow2-v2', 'qcow2-extended', 'qcow')),
                ('VMDK', ('vmdk', 'vmdk-stream')),
                ('QED', ('qed',)), ('VHD', ('vhd',)), ('VHDX', ('vhdx',)),
                ('VDI', ('vdi',))):
            for each in files:
                self._assert_found(name, None, images.load(each))

    def test_part(self):
        for name, needs, files in (
                ('qcow2', 'a backing file',
                 ('qcow2-overlay', 'qcow2-v2-overlay', 'qcow-overlay')),
                ('qcow2', 'a data file', ('qcow2-data-file',)),
                ('QED', 'a backing file', ('qed-overlay',)),
                ('VMDK', 'a parent', ('vmdk-delta',)),
                ('VMDK', 'other files',
                 ('vmdk-descriptor', 'vmdk-split-s001'))):
            for each in files:
                self._assert_found(name, needs, images.load(each))

    def test_which_backing_file(self):
        for name in ('qcow2-overlay', 'qcow2-v2-overlay', 'qcow-overlay'):
            self.assertEqual('backing file qcow2', image_formats.find(
                images.load(name)).detail)

    def test_nothing_but_a_header(self):
        name = b'volume-d68ae18b'
        self._assert_found('qcow2', 'a backing file', struct.pack(
            '>4sIQIIQ', b'QFI\xfb', 3, 112, len(name), 16, 1 << 30)
            + bytes(80) + name)

    def test_differences_of_the_others(self):
        self._assert_found('VHD', 'a parent',
                           _patched('vhd', 60, struct.pack('>I', 4)))
        for kind in (3, 4):
            self._assert_found('VDI', 'a parent',
                               _patched('vdi', 76, struct.pack('<I', kind)))
        metadata = images.load('vhdx').index(b'metadata')
        locator = uuid.UUID('a8d35f2d-b30b-454d-abf7-d3d84834ab0c')
        self._assert_found('VHDX', 'a parent', _patched(
            'vhdx', metadata + 32 * 6, locator.bytes_le))

    def test_extensions_of_version_2_are_no_features(self):
        # Where version 3 has its features, version 2 may have a format of a
        # backing file, and its length.
        self._assert_found('qcow2', None, _patched(
            'qcow2-v2', 72, struct.pack('>II', 0xe2792aca, 5)))

    def test_metadata_that_cannot_be_read(self):
        # The second region table takes the place of the first.
        good = images.load('vhdx')
        first = bytes(4)
        self._assert_found('VHDX', None, _patched('vhdx', 192 << 10, first))
        cut = bytearray(good)
        cut[192 << 10:(192 << 10) + 4] = cut[256 << 10:(256 << 10) + 4] = first
        self._assert_found('VHDX', 'a parent', bytes(cut))
        self._assert_found('VHDX', 'a parent', good[:1 << 20])

    def test_what_esx_writes(self):
        for magic in (b'COWD', struct.pack('<Q', 0xcafebabe)):
            self._assert_found('VMDK', 'other files', magic + bytes(600))

    def test_letters_that_are_not_ascii(self):
        self._assert_found('VMDK', None, images.load('vmdk').replace(
            b'"vmdk.vmdk"', '"größe.vmdk"'.encode()[:11]))

    def test_raw(self):
        for head in (b'', b'abc', bytes(100), bytes(1 << 20), b'\xff' * 5000,
                     b'a text\n' * 1000, images.load('luks'),
                     b'#!/bin/sh\n' * 60 + 'größe'.encode() + bytes(5000),
                     b'createType="monolithicFlat"\n' * 100,
                     b'QFI\xfb' + b'no version of it' * 50):
            self.assertIsNone(image_formats.find(head))

    @given(_MAGIC, st.binary(max_size=2000), st.booleans())
    def test_rubbish(self, magic, rest, padded):
        head = magic + rest
        image_formats.find(head + bytes(4096) if padded else head)

    @given(st.sampled_from(('qcow2-overlay', 'vmdk-delta', 'vhdx', 'vdi')),
           st.integers(0, 1 << 20), st.binary(min_size=1, max_size=64))
    def test_damaged(self, name, offset, data):
        image_formats.find(_patched(name, offset % 2048, data))
