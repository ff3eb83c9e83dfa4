# SPDX-License-Identifier: Apache-2.0

"""A body in the shape of a file."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import bodies


def _md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _reader(length, *pieces, md5=None):
    return bodies.BodyReader(
        'object-1', store_base.Body(length, lambda: iter(pieces), md5),
        store_base.NEVER)


class BodyReaderTest(base.BaseTestCase):
    """Reading pieces."""

    @given(st.lists(st.binary(max_size=20), max_size=8))
    def test_read(self, pieces):
        whole = b''.join(pieces)
        reader = _reader(len(whole), *filter(None, pieces))
        found = []
        while data := reader.read(16384):
            found.append(bytes(data))
        self.assertEqual(whole, b''.join(found))
        self.assertEqual(b'', reader.read())
        self.assertEqual(_md5(whole), reader.md5())

    def test_large_pieces_become_views_of_a_mebibyte(self):
        # Without a copy, for they are all there is of a chunk.
        piece = bytes(store_base.PIECE * 2 + 5)
        reader = _reader(len(piece), piece)
        views = list(iter(reader.read, b''))
        self.assertEqual([store_base.PIECE, store_base.PIECE, 5],
                         [len(view) for view in views])
        for view in views:
            self.assertIs(piece, view.obj)

    def test_empty_pieces_are_not_the_end(self):
        reader = _reader(6, b'', b'abc', b'', b'def', b'')
        self.assertEqual(b'abcdef', b''.join(iter(reader.read, b'')))

    def test_known_md5_is_not_computed(self):
        reader = _reader(3, b'abc', md5='known')
        self.assertEqual(b'abc', bytes(reader.read()))
        self.assertEqual('known', reader.md5())

    def test_too_short(self):
        reader = _reader(4, b'abc')
        err = self.assertRaises(exceptions.StoreError, reader.read)
        self.assertEqual(('object-1', 4, '3'),
                         (err.name, err.expected, err.actual))

    def test_too_long(self):
        # The HTTP client does not ask for more than was announced, so the
        # surplus has to be seen before the last piece is given.
        for pieces in ((b'abc', b'd', b'e'), (b'abc', b'd', b'', b'e')):
            reader = _reader(4, *pieces)
            self.assertEqual(b'abc', reader.read())
            err = self.assertRaises(exceptions.StoreError, reader.read)
            self.assertEqual((4, '4 and more'), (err.expected, err.actual))
        self.assertRaises(exceptions.StoreError, _reader(4, b'abcde').read)

    def test_error_is_kept(self):
        def pieces():
            yield b'abc'
            raise error

        error = OSError('disk')
        reader = bodies.BodyReader('o', store_base.Body(6, pieces),
                                   store_base.NEVER)
        self.assertRaises(OSError, reader.read)
        self.assertIs(error, reader.error)
