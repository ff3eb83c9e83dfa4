# SPDX-License-Identifier: Apache-2.0

"""Every promise of :mod:`cinder_swift_backup.stores.base`, as a test.

Mixed into a test case that says where a store comes from::

    class MemoryStoreTest(suite.StoreContract, base.BaseTestCase):
        def make_store(self):
            return memory.MemoryStore()

The suite works in one new container for each test and removes what it put
there, so that it may run in an account that holds other things.
"""

from concurrent import futures
import dataclasses
import datetime
import hashlib
import random
import uuid

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from tests.fakes import blobs

#: Names that break what does not quote, or quotes twice. Not among them is
#: '.' or '..' between slashes: HTTP clients resolve those, and no backup has
#: such a name.
NAMES = (
    'plain',
    'volume_v/20260801120000/az_nova_backup_b-00001',
    'with space',
    ' leading and trailing ',
    'percent%20sign%2F',
    'plus+and&and=and?and#',
    'quote"and\'apostrophe',
    'back\\slash',
    'semi;colon,comma:colon',
    'a//b///c',
    '/leading/slash',
    'trailing/slash/',
    'dots.../..dots',
    'umlaut-\u00fc\u00f6\u00e4',
    'han-\u6f22\u5b57',
    'emoji-\U0001f600',
    'combining-e\u0301',
    'tab\there',
)


def _counts(store):
    traffic = store.traffic
    return traffic.objects, traffic.sent, traffic.received, traffic.retries


def _md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class _Stop:
    """Calls off what is checked more than so many times."""

    def __init__(self, checks):
        self._left = checks

    def check(self):
        """Count down."""
        self._left -= 1
        if self._left < 0:
            raise exceptions.Cancelled('nobody waits')

    def interrupting(self, interrupt):
        """Nothing has to be woken."""
        return base.NEVER.interrupting(interrupt)

    def wait(self, seconds):
        """Nothing should have to wait here."""
        raise AssertionError(f'it waits for {seconds} seconds')


class StoreContract:
    """The tests; needs :meth:`make_store` and a test case's methods."""

    # Whether the store tells of what large objects consist, and compares that
    # with what they are made of.
    tells_segments = True

    def make_store(self):
        """A store to test; closed by the suite."""
        raise NotImplementedError

    def remove_container(self, container):
        """Remove an empty container, where that leaves anything."""

    def setUp(self):
        super().setUp()
        self.store = self.make_store()
        self.addCleanup(self.store.close)
        self.container = self.new_container_name()
        self.store.ensure_container(self.container, create=True)

    def new_container_name(self):
        """The name of a container that does not exist; cleaned up."""
        name = f'csb-contract-{uuid.uuid4()}'
        self.addCleanup(self._clean_up, name)
        return name

    def _clean_up(self, container):
        try:
            names = self._names('', container)
        except exceptions.ContainerNotFound:
            return
        for name in names:
            self.store.delete(container, name)
        self.remove_container(container)

    def _names(self, prefix='', container=None):
        return [info.name for info
                in self.store.list(container or self.container, prefix)]

    def _put(self, name, data):
        body = blobs.body_of(data) if isinstance(data, bytes) else data
        self.store.put(self.container, name, body)

    def _get(self, name):
        return blobs.get(self.store, self.container, name)

    # -- bodies and pieces -------------------------------------------------

    def test_bytes_come_back(self):
        data = random.randbytes(100000)
        self._put('a', data)
        self.assertEqual(data, self._get('a'))

    def test_bytes_with_their_md5_come_back(self):
        data = random.randbytes(1000)
        blobs.put(self.store, self.container, 'a', data, _md5(data))
        self.assertEqual(data, self._get('a'))

    def test_several_mebibytes_come_back(self):
        data = random.randbytes((5 << 20) + 1)
        self._put('a', data)
        self.assertEqual(data, self._get('a'))

    def test_body_comes_back(self):
        pieces = [random.randbytes(size) for size in (1, 70000, 0, 30000, 7)]
        self._put('a', base.Body(sum(map(len, pieces)),
                                 lambda: iter(pieces)))
        self.assertEqual(b''.join(pieces), self._get('a'))

    def test_body_of_large_pieces_comes_back(self):
        pieces = [random.randbytes(3 << 20), random.randbytes(1 << 20)]
        self._put('a', base.Body(4 << 20, lambda: iter(pieces)))
        self.assertEqual(b''.join(pieces), self._get('a'))

    def test_body_can_be_put_again(self):
        body = base.Body(6, lambda: iter((b'abc', b'def')))
        self._put('a', body)
        self._put('b', body)
        self.assertEqual(b'abcdef', self._get('b'))

    def test_body_of_another_length_than_announced(self):
        for pieces in ((b'abc',), (b'ab', b'c'), (b'', b'abc', b'')):
            for length in (0, 1, 2, 4, 100):
                body = base.Body(length, lambda found=pieces: iter(found))
                self.assertRaises(exceptions.StoreError, self._put, 'a',
                                  body)
        self.assertEqual([], self._names())

    def test_what_a_body_raises_comes_out(self):
        for error in (OSError('disk'), ValueError('value'),
                      exceptions.VolumeError('volume')):
            calls = []

            def pieces(raised=error, seen=calls):
                seen.append(True)
                yield b'abc'
                raise raised

            self.assertIs(error, self.assertRaises(
                type(error), self._put, 'a', base.Body(6, pieces)))
            self.assertEqual(1, len(calls), 'it was repeated')
        self.assertEqual([], self._names())

    def test_empty_bytes(self):
        self._put('a', b'')
        self.assertEqual(b'', self._get('a'))
        (info,) = self.store.list(self.container, '')
        self.assertEqual(('a', 0, _md5(b'')),
                         (info.name, info.size, info.etag))

    def test_empty_body(self):
        self._put('a', base.Body(0, lambda: iter(())))
        self.assertEqual(b'', self._get('a'))

    def test_put_replaces(self):
        self._put('a', b'a long first body')
        self._put('a', b'second')
        self.assertEqual(b'second', self._get('a'))
        (info,) = self.store.list(self.container, '')
        self.assertEqual(6, info.size)

    def test_containers_are_apart(self):
        other = self.new_container_name()
        self.store.ensure_container(other, create=True)
        self._put('a', b'here')
        blobs.put(self.store, other, 'a', b'there')
        self.assertEqual(b'here', self._get('a'))
        self.assertEqual(b'there', blobs.get(self.store, other, 'a'))

    # -- the bytes that were sent are the bytes that are stored ------------

    def test_wrong_md5_is_refused_and_nothing_stored(self):
        self.assertRaises(exceptions.StoreError, blobs.put, self.store,
                          self.container, 'a', b'data', _md5(b'other'))
        self.assertEqual([], self._names())
        self.assertRaises(exceptions.ObjectNotFound, self._get, 'a')

    def test_wrong_md5_leaves_the_old_object(self):
        self._put('a', b'old')
        self.assertRaises(exceptions.StoreError, blobs.put, self.store,
                          self.container, 'a', b'new', _md5(b'other'))
        self.assertEqual(b'old', self._get('a'))

    # -- names -------------------------------------------------------------

    def test_any_name_round_trips(self):
        for name in NAMES:
            self._put(name, name.encode())
        for name in NAMES:
            self.assertEqual(name.encode(), self._get(name), repr(name))
        self.assertEqual(sorted(NAMES, key=str.encode), self._names())
        for name in NAMES:
            self.store.delete(self.container, name)
        self.assertEqual([], self._names())

    def test_any_name_as_a_prefix(self):
        for name in NAMES:
            self._put(name, b'')
        for name in NAMES:
            self.assertEqual(
                sorted((other for other in NAMES if other.startswith(name)),
                       key=str.encode), self._names(name), repr(name))

    # -- listing -----------------------------------------------------------

    def test_list_tells_size_and_md5(self):
        self._put('a', b'abc')
        self._put('b', base.Body(5, lambda: iter((b'de', b'fgh'))))
        self.assertEqual(
            [('a', 3, _md5(b'abc')), ('b', 5, _md5(b'defgh'))],
            [(info.name, info.size, info.etag)
             for info in self.store.list(self.container, '')])

    def test_list_tells_when(self):
        self._put('a', b'abc')
        (info,) = self.store.list(self.container, '')
        self.assertEqual(datetime.timedelta(), info.modified.utcoffset())
        age = datetime.datetime.now(datetime.UTC) - info.modified
        # The cluster has a clock of its own.
        self.assertLess(abs(age), datetime.timedelta(minutes=10))

    def test_now(self):
        self._put('a', b'abc')
        now = self.store.now()
        self.assertEqual(datetime.timedelta(), now.utcoffset())
        (info,) = self.store.list(self.container, '')
        self.assertLess(abs(now - info.modified),
                        datetime.timedelta(minutes=1))
        self.assertLess(now, self.store.now() + datetime.timedelta(seconds=5))

    def test_containers(self):
        names = [self.new_container_name() for _ in range(3)]
        for name in names:
            self.assertNotIn(name, self.store.containers())
            self.store.ensure_container(name, create=True)
        found = list(self.store.containers())
        self.assertEqual(sorted(found, key=str.encode), found)
        self.assertLessEqual({*names, self.container}, {*found})
        self.assertEqual(len({*found}), len(found))

    def test_list_of_an_empty_container(self):
        self.assertEqual([], self._names())

    def test_list_is_in_the_order_of_utf8_bytes(self):
        # U+FFEE sorts after U+10000 in UTF-16, before it in UTF-8.
        names = ['\uffee', '\U00010000', 'b', 'B', 'a/b', 'a-b', 'a', 'ab',
                 '\u00e9', 'e\u0301', 'z', '~', '10', '9', ' ']
        for name in names:
            self._put(name, b'')
        self.assertEqual(sorted(names, key=str.encode), self._names())

    def test_list_of_dozens_by_prefix(self):
        wanted = [f'p-{number:05d}' for number in range(40)]
        others = ['o-00001', 'p', 'p_metadata', 'q-00001', 'P-00001']
        names = wanted + others
        random.shuffle(names)
        for name in names:
            self._put(name, b'')
        self.assertEqual(wanted, self._names('p-'))
        self.assertEqual(['p-00039'], self._names('p-00039'))
        self.assertEqual(sorted(names), self._names())

    def test_list_of_a_prefix_that_nothing_has(self):
        self._put('a', b'')
        self.assertEqual([], self._names('b'))

    def test_list_of_a_missing_container(self):
        missing = self.new_container_name()
        self.assertRaises(exceptions.ContainerNotFound,
                          self._names, '', missing)

    # -- what is not there -------------------------------------------------

    def test_get_of_a_missing_object(self):
        err = self.assertRaises(exceptions.ObjectNotFound,
                                self._get, 'no-such-object')
        self.assertIn('no-such-object', str(err))

    def test_get_from_a_missing_container(self):
        self.assertRaises(exceptions.ObjectNotFound, blobs.get, self.store,
                          self.new_container_name(), 'a')

    def test_put_to_a_missing_container(self):
        missing = self.new_container_name()
        err = self.assertRaises(exceptions.ContainerNotFound, blobs.put,
                                self.store, missing, 'a', b'data')
        self.assertIn(missing, str(err))

    def test_put_of_a_body_to_a_missing_container(self):
        self.assertRaises(
            exceptions.ContainerNotFound, self.store.put,
            self.new_container_name(), 'a',
            base.Body(3, lambda: iter((b'abc',))))

    def test_delete_removes(self):
        self._put('a', b'')
        self._put('ab', b'')
        self.store.delete(self.container, 'a')
        self.assertRaises(exceptions.ObjectNotFound, self._get, 'a')
        self.assertEqual(['ab'], self._names())

    def test_delete_twice(self):
        self._put('a', b'')
        self.store.delete(self.container, 'a')
        self.store.delete(self.container, 'a')
        self.assertEqual([], self._names())

    def test_delete_of_what_never_was(self):
        self.store.delete(self.container, 'no-such-object')

    def test_delete_from_a_missing_container(self):
        self.store.delete(self.new_container_name(), 'a')

    # -- containers --------------------------------------------------------

    def test_ensure_container_makes_it(self):
        name = self.new_container_name()
        self.store.ensure_container(name, create=True)
        self.assertEqual([], self._names('', name))

    def test_ensure_container_keeps_what_is_there(self):
        self._put('a', b'data')
        self.store.ensure_container(self.container, create=True)
        self.store.ensure_container(self.container, create=False)
        self.assertEqual(b'data', self._get('a'))

    def test_ensure_container_does_not_make_it_unasked(self):
        missing = self.new_container_name()
        self.assertRaises(exceptions.ContainerNotFound,
                          self.store.ensure_container, missing, create=False)
        self.assertRaises(exceptions.ContainerNotFound,
                          self._names, '', missing)

    def test_container_of_an_unknown_storage_policy(self):
        name = self.new_container_name()
        self.assertRaises(
            exceptions.ConfigurationError, self.store.ensure_container, name,
            create=True, storage_policy='no-such-policy')
        self.assertRaises(exceptions.ContainerNotFound,
                          self._names, '', name)

    def test_container_of_a_known_storage_policy(self):
        policies = self.store.capabilities().storage_policies
        if not policies:
            self.skipTest('The store does not tell its storage policies.')
        name = self.new_container_name()
        self.store.ensure_container(name, create=True,
                                    storage_policy=policies[0])
        self.assertEqual([], self._names('', name))

    def test_storage_policy_is_only_for_new_containers(self):
        self.store.ensure_container(self.container, create=True,
                                    storage_policy='no-such-policy')

    def test_container_that_is_not_copied(self):
        self.assertIsNone(self.store.sync(self.container))
        self.assertRaises(exceptions.ContainerNotFound, self.store.sync,
                          self.new_container_name())

    def test_where_a_container_is_copied_to(self):
        found = self.store.sync_target('c', base.Sync('//r/s', 'k'))
        self.assertEqual(f'//r/s/{self.store.account()}/c', found.to)
        self.assertRegex(self.store.account(), r'\A[^/]+\Z')
        self.assertEqual(base.Sync('//r/s/a/c', 'k'),
                         self.store.sync_target('c', base.Sync('//r/s/a',
                                                               'k')))

    # -- reading in pieces -------------------------------------------------

    def _read(self, name, use, extent=None):
        return self.store.read(self.container, name, use, extent)

    def test_pieces_are_bounded_and_in_order(self):
        data = random.randbytes((5 << 20) + 17)
        self._put('a', data)
        pieces = self._read('a', list)
        self.assertEqual(data, b''.join(pieces))
        for piece in pieces:
            self.assertIsInstance(piece, bytes)
            self.assertTrue(0 < len(piece) <= base.PIECE)

    def test_result_of_the_use_is_given(self):
        self._put('a', b'abc')
        self.assertEqual(3, self._read(
            'a', lambda pieces: sum(map(len, pieces))))

    def test_extents(self):
        data = random.randbytes((2 << 20) + 100)
        self._put('a', data)
        for offset, length in ((0, 1), (0, len(data)), (7, 100),
                               (1 << 20, 1 << 20), (len(data) - 1, 1),
                               (99, (1 << 20) + 1)):
            self.assertEqual(
                data[offset:offset + length],
                self._read('a', b''.join, types.Extent(offset, length)))

    def test_extent_past_the_end(self):
        self._put('a', bytes(100))
        for offset, length in ((0, 101), (99, 2), (50, 1000)):
            self.assertRaises(exceptions.LengthMismatch, self._read, 'a',
                              b''.join, types.Extent(offset, length))

    def test_extent_behind_the_end(self):
        self._put('a', bytes(100))
        self.assertRaises(exceptions.LengthMismatch, self._read, 'a',
                          b''.join, types.Extent(100, 1))

    def test_read_of_a_part_and_then_another_object(self):
        # The rest of a body must not be taken for the next answer.
        self._put('large', random.randbytes(3 << 20))
        self._put('small', b'small')
        for _ in range(3):
            first = self._read('large', next)
            self.assertLessEqual(len(first), base.PIECE)
            self._read('large', lambda pieces: None)
            self.assertEqual(b'small', self._get('small'))

    def test_what_the_use_raises_comes_out(self):
        self._put('a', random.randbytes(3 << 20))
        for error, damaged in ((OSError('disk'), False),
                               (ValueError('value'), False),
                               (exceptions.VolumeError('volume'), False),
                               (exceptions.DigestMismatch('digest'), True),
                               (exceptions.FormatError('format'), True)):
            seen = []

            def use(pieces, raised=error, calls=seen):
                calls.append(len(next(pieces)))
                raise raised

            self.assertIs(error, self.assertRaises(
                type(error), self._read, 'a', use))
            # It may be read again to see whether it is stored so.
            self.assertLessEqual(len(seen), 2 if damaged else 1,
                                 'it was repeated')
        self.assertEqual(3 << 20, len(self._get('a')))

    def test_read_while_another_is_read(self):
        bodies = {name: random.randbytes(3 << 20) for name in 'ab'}
        for name, data in bodies.items():
            self._put(name, data)

        def outer(pieces):
            first = next(pieces)
            return self._read('b', lambda others: inner(first, pieces,
                                                        others))

        def inner(first, pieces, others):
            another = next(others)
            return first + b''.join(pieces), another + b''.join(others)

        self.assertEqual((bodies['a'], bodies['b']), self._read('a', outer))

    def test_requests_while_an_object_is_read(self):
        data = random.randbytes(3 << 20)
        self._put('a', data)

        def use(pieces):
            first = next(pieces)
            self._put('b', b'new')
            self.assertRaises(exceptions.ObjectNotFound, self._get, 'none')
            return first + b''.join(pieces)

        self.assertEqual(data, self._read('a', use))
        self.assertEqual(b'new', self._get('b'))

    def test_store_for_work_that_may_be_called_off(self):
        other = self.store.until(base.NEVER)
        blobs.put(other, self.container, 'a', b'data')
        self.assertEqual(b'data', self._get('a'))

    def test_names_that_lead_elsewhere(self):
        body = blobs.body_of(b'data')
        segment = base.Segment(self.container, 'a', 4, 'd' * 32)
        # Into the container that there is, too.
        for name in (f'{self.container}/a', '', '.', '..', 'a\0', '\ud800'):
            for call in (
                    lambda name: self.store.ensure_container(name,
                                                             create=True),
                    self.store.sync,
                    lambda name: self.store.put(name, 'a', body),
                    lambda name: self.store.put_large(name, 'a', [segment]),
                    lambda name: self.store.stat(name, 'a'),
                    lambda name: self.store.segments(name, 'a'),
                    lambda name: self.store.read(name, 'a', list),
                    lambda name: self.store.delete(name, 'a'),
                    lambda name: list(self.store.list(name, ''))):
                err = self.assertRaises(exceptions.ConfigurationError, call,
                                        name)
                self.assertIs(exceptions.Remedy.CONTAINER_NAME, err.remedy)
        self.assertEqual([], self._names())

    def test_containers_whose_names_have_to_be_quoted(self):
        for beginning in (' a ', '%2F', 'a?b&c=d#e', 'a;b,c', '"q"', "it's",
                          'a\\b', '\u65e5\u672c', 'e\u0301\n'):
            container = f'{beginning}{self.new_container_name()}'
            self.addCleanup(self._clean_up, container)
            self.assertRaises(exceptions.ContainerNotFound, list,
                              self.store.list(container, ''))
            self.store.ensure_container(container, create=True)
            self.store.put(container, 'o', blobs.body_of(b'data'))
            self.assertEqual(['o'], self._names('', container))
            self.assertEqual(b'data', blobs.get(self.store, container, 'o'))
            self.assertIn(container, list(self.store.containers()))
            self.store.delete(container, 'o')
            self.assertEqual([], self._names('', container))

    def test_work_that_is_called_off(self):
        self._put('a', b'data')
        stop = _Stop(0)
        store = self.store.until(stop)
        for call in (
                lambda: blobs.get(store, self.container, 'a'),
                lambda: blobs.put(store, self.container, 'b', b'more'),
                lambda: store.delete(self.container, 'a'),
                lambda: list(store.list(self.container, '')),
                lambda: store.ensure_container(self.container, create=False),
                store.capabilities):
            self.assertRaises(exceptions.Cancelled, call)
        self.assertEqual(['a'], self._names())

    def test_bodies_that_are_called_off(self):
        # Before each piece, because a store may be slow.
        self._put('a', random.randbytes(8 << 20))
        seen = []

        def put():
            stop = _Stop(3)
            self.store.until(stop).put(
                self.container, 'b', base.Body(
                    8 << 20, lambda: iter((bytes(8 << 20),))))

        def read():
            def use(pieces):
                seen.extend(len(piece) for piece in pieces)
            self.store.until(_Stop(3)).read(self.container, 'a', use)

        for call in (put, read):
            self.assertRaises(exceptions.Cancelled, call)
        self.assertLess(sum(seen), 4 << 20)
        self.assertEqual(['a'], self._names())
        self.assertEqual(8 << 20, len(self._get('a')))

    # -- large objects -----------------------------------------------------

    def _segments(self, *bodies):
        found = []
        for number, data in enumerate(bodies):
            name = f'segments/umlaut-\u00fc %{number}'
            self._put(name, data)
            found.append(base.Segment(self.container, name, len(data),
                                      _md5(data)))
        return found

    def test_large_object(self):
        one, two = self._segments(b'one', b'two, which is longer')
        for parts in ((one,), (two, one), (one, one, two, one)):
            self.store.put_large(self.container, 'large', parts)
            bodies = {one: b'one', two: b'two, which is longer'}
            expected = b''.join(bodies[part] for part in parts)
            self.assertEqual(expected, self._get('large'))
            self.assertEqual(
                parts if self.tells_segments else (),
                self.store.segments(self.container, 'large'))
            self.assertEqual(
                expected[1:4], self._read('large', b''.join,
                                          types.Extent(1, 3))
                if len(expected) > 3 else expected[1:4])
        self.store.delete(self.container, 'large')
        self.assertRaises(exceptions.ObjectNotFound, self._get, 'large')
        # The segments are objects of their own.
        self.assertEqual(b'one', self._get(one.name))

    def test_large_object_in_place_of_another(self):
        (one,) = self._segments(b'one')
        self._put('a', b'data')
        self.store.put_large(self.container, 'a', [one])
        self.assertEqual(b'one', self._get('a'))
        self._put('a', b'data')
        self.assertEqual(b'data', self._get('a'))
        self.assertIsNone(self.store.segments(self.container, 'a'))

    def test_segments_of_what_is_none(self):
        self._put('a', b'data')
        self.assertIsNone(self.store.segments(self.container, 'a'))
        for container, name in ((self.container, 'b'),
                                (self.new_container_name(), 'a')):
            self.assertRaises(exceptions.ObjectNotFound, self.store.segments,
                              container, name)

    def test_segments_that_are_not_as_told(self):
        (one,) = self._segments(b'one')
        others = [dataclasses.replace(one, name='missing')]
        if self.tells_segments:
            others += [dataclasses.replace(one, size=4),
                       dataclasses.replace(one, md5=_md5(b'other'))]
        for other in others:
            self.assertRaises(exceptions.StoreError, self.store.put_large,
                              self.container, 'large', [one, other])
        self.assertRaises(exceptions.ContainerNotFound, self.store.put_large,
                          self.new_container_name(), 'large', [one])

    def test_traffic_is_counted(self):
        before = _counts(self.store)
        self._put('o', b'x' * 1000)
        blobs.put(self.store.until(base.NEVER), self.container, 'p', b'')
        self._get('o')
        self.store.read(self.container, 'o', b''.join, types.Extent(10, 20))
        after = _counts(self.store)
        # How often it had to be asked is the network's affair.
        self.assertEqual([2, 1000, 1020],
                         [now - then for now, then in zip(after[:3],
                                                          before[:3],
                                                           strict=True)])

    def test_stat(self):
        self._put('a', b'data')
        self.assertEqual(base.Stat(4, _md5(b'data')),
                         self.store.stat(self.container, 'a'))
        for container, name in ((self.container, 'b'),
                                (self.new_container_name(), 'a')):
            self.assertRaises(exceptions.ObjectNotFound, self.store.stat,
                              container, name)

    def test_notes(self):
        self._put('one', b'data')
        self._put('other', b'data')
        before = self.store.stat(self.container, 'one')
        self.assertEqual({}, before.notes)
        self.store.annotate(self.container, 'one', {
            'checked': '2026-11-29T10:00:00+00:00', 'by': 'a b, c'})
        after = self.store.stat(self.container, 'one')
        self.assertEqual({'checked': '2026-11-29T10:00:00+00:00',
                          'by': 'a b, c'}, after.notes)
        self.assertEqual((before.size, before.etag), (after.size, after.etag))
        self.store.annotate(self.container, 'one', {'checked': 'again'})
        self.assertEqual({'checked': 'again'}, self._notes('one'))
        self.assertEqual({}, self._notes('other'))
        # What is stored anew is another object.
        self._put('one', b'new')
        self.assertEqual({}, self._notes('one'))
        self.assertRaises(exceptions.ObjectNotFound, self.store.annotate,
                          self.container, 'none', {'checked': 'x'})

    def _notes(self, name):
        return self.store.stat(self.container, name).notes

    def test_exists(self):
        self._put('a', b'data')
        self.assertTrue(self.store.exists(self.container, 'a'))
        for container, name in ((self.container, 'b'),
                                (self.new_container_name(), 'a')):
            self.assertFalse(self.store.exists(container, name))

    def test_capabilities(self):
        found = self.store.capabilities()
        self.assertIsInstance(found, base.Capabilities)
        if found.max_object_size is not None:
            self.assertGreater(found.max_object_size, 0)
        for policy in found.storage_policies or ():
            self.assertTrue(policy)

    # -- several threads ---------------------------------------------------

    def test_several_threads(self):
        bodies = {f'object-{number:02d}': random.randbytes(20000 + number)
                  for number in range(24)}

        def round_trip(item):
            name, data = item
            self._put(name, data)
            found = self._get(name)
            self._put(f'gone-{name}', b'')
            self.store.delete(self.container, f'gone-{name}')
            return found == data

        with futures.ThreadPoolExecutor(6) as executor:
            self.assertEqual([True] * len(bodies),
                             list(executor.map(round_trip, bodies.items())))
        self.assertEqual(sorted(bodies), self._names())

    def test_several_threads_replace_one_object(self):
        bodies = [bytes([number]) * 50000 for number in range(8)]
        with futures.ThreadPoolExecutor(4) as executor:
            list(executor.map(lambda body: self._put('a', body), bodies))
        self.assertIn(self._get('a'), bodies)

    # -- who owns a buffer -------------------------------------------------

    def test_buffer_is_the_callers_again_after_put(self):
        buffer = bytearray(b'before')
        self._put('a', bytes(buffer))
        buffer[:] = b'after!'
        self.assertEqual(b'before', self._get('a'))
