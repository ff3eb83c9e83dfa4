# SPDX-License-Identifier: Apache-2.0

"""What comes damaged is read again."""

import hashlib

import fixtures
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base
import requests_mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport

_URL = 'http://swift.test/v1/AUTH_p'
_DATA = b'good data'


class DamageTest(base.BaseTestCase):
    """Without a wait, and without an attempt more than needed."""

    def setUp(self):
        super().setUp()
        self.http = self.enterContext(requests_mock.Mocker())
        self.log = self.useFixture(fixtures.FakeLogger(
            'cinder_swift_backup'))
        self.store = swift.SwiftStore(swift_session.Session(
            credentials.UserCredentials(_URL, 't'),
            transport.Transport(retries=0, backoff=0)))
        self.addCleanup(self.store.close)
        self.drained = []

    def _answers(self, *bodies, **headers):
        return self.http.get(f'{_URL}/c/o', [
            {'content': body, 'headers': {
                'content-length': str(len(body)),
                'etag': hashlib.md5(_DATA).hexdigest(),
                **{name.replace('_', '-'): value
                   for name, value in headers.items()}}}
            for body in bodies])

    def _read(self, use=None, **options):
        return self.store.read('c', 'o', use or self._check, **options)

    def _check(self, pieces):
        """What a reader does that notices damage by itself."""
        data = b''.join(pieces)
        if data != _DATA:
            raise exceptions.DigestMismatch('its block is damaged', name='o')
        return data

    def test_whole(self):
        server = self._answers(_DATA)
        self.assertEqual(_DATA, self._read())
        self.assertEqual(_DATA, self._read(b''.join, compared=True))
        self.assertEqual(2, server.call_count)
        self.assertEqual('', self.log.output)

    def test_noticed_by_the_reader(self):
        for bad in (b'gOod data', b'good', b'', b'good data and more'):
            server = self._answers(bad, bad, bad, _DATA)
            self.assertEqual(_DATA, self._read())
            self.assertEqual(4, server.call_count)
        self.assertIn('o in container c arrived damaged 3 times',
                      self.log.output)

    def test_noticed_by_nobody_but_the_store(self):
        server = self._answers(b'gOod data', b'good', _DATA)
        self.assertEqual(_DATA, self._read(b''.join, compared=True))
        self.assertEqual(3, server.call_count)

    def test_stored_so(self):
        def use(pieces):
            next(pieces)
            raise exceptions.FormatError('it is no manifest')

        server = self._answers(_DATA)
        err = self.assertRaises(exceptions.FormatError, self._read, use)
        self.assertEqual('it is no manifest', str(err))
        # The first time it is not known whether it is stored so.
        self.assertEqual(2, server.call_count)
        server = self._answers(_DATA)
        self.assertRaises(exceptions.FormatError, self._read, use,
                          compared=True)
        # It may have been another object's answer.
        self.assertEqual(2, server.call_count)

    def test_always_damaged(self):
        server = self._answers(b'bad data')
        err = self.assertRaises(exceptions.DigestMismatch, self._read)
        self.assertEqual(('c', 'o'), (err.container, err.name))
        self.assertEqual(4, server.call_count)
        err = self.assertRaises(exceptions.FormatError, self._read,
                                b''.join, compared=True)
        self.assertEqual(('c', 'o'), (err.container, err.name))
        self.assertEqual(hashlib.md5(_DATA).hexdigest(), err.expected)

    def test_it_is_read_to_its_end(self):
        def use(pieces):
            self.drained.append(pieces)
            next(pieces)
            raise exceptions.LengthMismatch('it is damaged')

        self._answers(b'x' * (3 * store_base.PIECE))
        self.assertRaises(exceptions.LengthMismatch, self._read, use)
        for pieces in self.drained:
            self.assertEqual([], list(pieces))

    def test_md5_is_not_that_of_the_content(self):
        for headers in ({'x_static_large_object': 'True'},
                        {'x_object_manifest': 'c/o'},
                        {'etag': '9dd4e461268c8034f5c8564e155c67a6-2'},
                        {'etag': ''}):
            self._answers(b'other', **headers)
            self.assertEqual(b'other', self._read(b''.join, compared=True))
            server = self._answers(b'other', **headers)
            self.assertRaises(exceptions.DigestMismatch, self._read)
            self.assertEqual(4, server.call_count)

    def test_extent(self):
        self.http.get(f'{_URL}/c/o', status_code=206, content=b'od',
                      headers={'content-length': '2',
                               'content-range': 'bytes 2-3/9',
                               'etag': hashlib.md5(_DATA).hexdigest()})
        self.assertEqual(b'od', self._read(
            b''.join, extent=types.Extent(2, 2), compared=True))

    @given(st.binary(min_size=1, max_size=50), st.data())
    def test_any_other_byte(self, data, more):
        at = more.draw(st.integers(0, len(data) - 1))
        bit = 1 << more.draw(st.integers(0, 7))
        bad = data[:at] + bytes([data[at] ^ bit]) + data[at + 1:]
        self._answers(bad, data,
                      etag=f'"{hashlib.md5(data).hexdigest()}"')
        self.assertEqual(data, self._read(b''.join, compared=True))
