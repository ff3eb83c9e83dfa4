# SPDX-License-Identifier: Apache-2.0

"""Answers that are not Swift's, or not as Swift makes them."""

import functools
import hashlib
import json

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import base as store_base
from tests.unit.stores import base

_MD5 = hashlib.md5(b'', usedforsecurity=False).hexdigest()
_URL = base.URL
_DEEP = '[' * 50000


def _entry(name='a', **other):
    return {'name': name, 'bytes': 1, 'hash': _MD5,
            'last_modified': '2026-08-01T12:00:00.500000', **other}


def _without(key):
    return {other: value for other, value in _entry().items() if other != key}


# What comes instead of any JSON.
_RUBBISH = (
    {'text': '<html>Welcome</html>'}, {'text': _DEEP}, {'text': ''},
    {'text': '[]', 'headers': {
        'content-type': 'application/json; charset=klingon'}},
    {'content': b'\x1f\x8b\x08\0\0\0\0\0\0\3half',
     'headers': {'content-encoding': 'gzip'}},
    {'content': b'\x1f\x8b\x08', 'headers': {'content-encoding': 'gzip'}},
    {'content': b'\xff'})
_LONG = (
    {'text': '[]', 'headers': {
        'content-type': f'application/json; charset={"k" * 5000}'}},
    {'status_code': 503, 'reason': 'Away ' * 1000})


class AnswersTestCase(base.SwiftTestCase):
    """Everything is asked for again, and is an error in the end."""

    def _refused(self, ask, *answers, attempts=4, longest=300):
        for answer in answers:
            self.http.reset()
            # One that has not been failed before.
            self.store = self._store()
            self._answers('GET', self.url, answer)
            err = self.assertRaises(exceptions.StoreUnavailable, ask)
            self.assertLess(len(str(err)), longest)
            self.assertEqual(attempts, self.http.call_count, answer)


class ListTest(AnswersTestCase):
    """Listings are as they should be, or none."""

    url = f'{_URL}/c'

    def _list(self):
        return list(self.store.list('c', ''))

    def test_rubbish(self):
        self._refused(self._list, *_RUBBISH)

    def test_long_answers(self):
        self._refused(self._list, *_LONG, longest=700)

    def test_other_json(self):
        self._refused(self._list, *({'json': page} for page in (
            None, {}, '', 0, False, {'name': 'a'}, 'abc', 1.5, [None], [[]],
            ['a'], [_entry(), {}])))

    def test_other_entries(self):
        self._refused(self._list, *({'json': [entry]} for entry in (
            *map(_without, _entry()), {'subdir': 'a/'}, _entry(5),
            _entry('\ud800'), _entry(bytes='1'), _entry(bytes=-1),
            _entry(bytes=True), _entry(bytes=1.0), _entry(bytes=1 << 63),
            _entry(hash=None), _entry(last_modified=5),
            _entry(last_modified='yesterday'),
            _entry(last_modified='2026-13-01T12:00:00'),
            _entry(last_modified='0001-01-01T00:00:00+14:00'))))

    def test_pages_that_do_not_go_on(self):
        for later in ('b', 'a'):
            self._answers('GET', self.url, {'json': [_entry('b')]},
                          {'json': [_entry(later)]})
            err = self.assertRaises(exceptions.StoreUnavailable, self._list)
            self.assertEqual('c', err.container)

    def test_good_answer_after_rubbish(self):
        self._answers('GET', self.url, *_RUBBISH[:3],
                      {'json': [_entry()]}, {'json': []})
        self.assertEqual(['a'], [info.name for info in self._list()])

    def test_time_elsewhere(self):
        self._answers('GET', self.url, {'json': [
            _entry(last_modified='2026-08-01T14:00:00.500000+02:00')]},
            {'json': []})
        (info,) = self._list()
        self.assertEqual(base.TIME, info.modified)
        self.assertEqual('UTC', info.modified.tzname())


class ContainersTest(AnswersTestCase):
    """So are those of accounts."""

    url = _URL

    def test_refused(self):
        self._refused(lambda: list(self.store.containers()), *_RUBBISH, *(
            {'json': page} for page in (
                None, {}, False, 'abc', [None], ['a'], [{}], [{'name': 5}],
                [{'name': '\udfff'}])))

    def test_pages_that_do_not_go_on(self):
        self._answers('GET', self.url, {'json': [{'name': 'b'}]})
        self.assertRaises(exceptions.StoreUnavailable, list,
                          self.store.containers())


class InfoTest(AnswersTestCase):
    """What the cluster can do is not guessed at."""

    url = f'{base.ROOT}/info'

    def _ask(self):
        return self.store.capabilities()

    def test_refused(self):
        self._refused(self._ask, *_RUBBISH, *(
            {'json': page} for page in (None, [], 'swift', 0)),
                      attempts=2)

    def test_other_fields(self):
        self._refused(self._ask, *({'json': page} for page in (
            {'swift': []}, {'swift': 1}, {'swift': {}, 'slo': []},
            {'swift': {}, 'slo': {'max_manifest_segments': '1000'}},
            {'swift': {}, 'slo': {'max_manifest_segments': -1}},
            *({'swift': {'max_file_size': value}}
              for value in ('5', -1, 1.5, [], True)),
            *({'swift': {'policies': value}} for value in (
                True, 'gold', {}, ['gold'], [{}], [{'name': 5}],
                [{'name': 'a', 'aliases': None}], [{'name': '\ud800'}])))),
                      attempts=2)


class SegmentsTest(AnswersTestCase):
    """Parts that cannot be asked for are put together by Swift."""

    def _segments(self, manifest):
        headers = {'X-Static-Large-Object': 'True'}
        self._answers('HEAD', f'{_URL}/c/o', {
            'headers': {**headers, 'ETag': f'"{_MD5}"'}})
        self._answers('GET', f'{_URL}/c/o', {
            'headers': headers, 'text': manifest})
        return self.store.segments('c', 'o')

    def test_segments_that_arrive_damaged(self):
        good = json.dumps([{'name': '/c/s', 'bytes': 1, 'hash': 'h'}])
        bad = good.replace('/c/s', '/c/t')
        etag = hashlib.md5(good.encode(), usedforsecurity=False).hexdigest()
        self._segments('')
        for answers, name in (((good,), 's'), ((bad, good), 's'),
                              # Its ETag means something else then.
                              ((bad, bad), 't')):
            server = self.http.get(f'{_URL}/c/o', [
                {'text': text, 'headers': {'etag': f'"{etag}"'}}
                for text in answers])
            found = self.store.segments('c', 'o')
            self.assertEqual([name], [each.name for each in found])
            self.assertEqual(len(answers), server.call_count)

    def test_segments(self):
        self.assertEqual(
            (store_base.Segment('c_segments', 'o/1', 5, _MD5),),
            self._segments(json.dumps([
                {'name': '/c_segments/o/1', 'bytes': 5, 'hash': _MD5}])))

    def test_other_manifests(self):
        good = {'name': '/c/o', 'bytes': 5, 'hash': _MD5}
        for entry in (
                None, {}, 'a', {**good, 'name': 5}, {**good, 'name': '/c'},
                {**good, 'name': '/c/'}, {**good, 'name': '/../o'},
                {**good, 'name': '/c/\ud800'},
                {**good, 'bytes': '5'}, {**good, 'bytes': -1},
                {**good, 'hash': []}, {**good, 'hash': None},
                {**good, 'range': '0-1'}, {**good, 'sub_slo': True},
                {'data': 'AAAA'}):
            self.assertEqual((), self._segments(json.dumps([good, entry])),
                             entry)
        for manifest in ('', _DEEP, '{}', '5', 'null', '<html>'):
            self.assertEqual((), self._segments(manifest), manifest)


class DeleteTest(AnswersTestCase):
    """What is deleted has its own answer."""

    def test_answers_that_are_none(self):
        for status in (200, 202, 304):
            self.store = self._store()
            server = self._answers('DELETE', f'{_URL}/c/o',
                                   {'status_code': status, 'text': 'hello'})
            self.assertRaises(exceptions.StoreUnavailable,
                              self.store.delete, 'c', 'o')
            self.assertEqual(4, server.call_count)


class LengthTest(AnswersTestCase):
    """Without a length nobody knows whether all has come."""

    url = f'{_URL}/c/o'

    def test_no_number(self):
        self._refused(functools.partial(self._get, 'c', 'o'), *(
            {'content': b'data', 'headers': {'content-length': told}}
            for told in ('', 'four', '-4', '+4', '4.0', '4_0', '4, 4',
                         '9' * 20, '9' * 5000)))
