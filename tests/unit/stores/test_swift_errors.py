# SPDX-License-Identifier: Apache-2.0

"""What a refusal of Swift becomes."""

import email.utils
import time

from oslotest import base
from swiftclient import client

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import swift_errors

_OBJECT = ('c', 'o')


def _translate(status, where=_OBJECT, body=b'', reason='Reason',
               headers=None):
    return swift_errors.translate(client.ClientException(
        'x', http_status=status, http_reason=reason,
        http_response_content=body, http_response_headers=headers), where)


class TranslateTest(base.BaseTestCase):
    """One table for all requests."""

    def test_kinds(self):
        for status, where, kind in (
                (401, _OBJECT, swift_errors.TokenRefused),
                (403, _OBJECT, swift_errors.Forbidden),
                (404, ('c',), exceptions.ContainerNotFound),
                (404, _OBJECT, exceptions.ObjectNotFound),
                (404, (), swift_errors.AccountNotFound),
                (408, _OBJECT, swift_errors.Passing),
                (413, _OBJECT, exceptions.QuotaExceeded),
                (416, _OBJECT, exceptions.LengthMismatch),
                (422, _OBJECT, swift_errors.Passing),
                (429, _OBJECT, swift_errors.Limited),
                (498, _OBJECT, swift_errors.Limited),
                (499, _OBJECT, swift_errors.Passing),
                (500, _OBJECT, exceptions.StoreUnavailable),
                (503, _OBJECT, exceptions.StoreUnavailable),
                (507, _OBJECT, exceptions.StoreUnavailable),
                (302, _OBJECT, swift_errors.NotSwift),
                (None, _OBJECT, exceptions.StoreUnavailable),
                (0, _OBJECT, exceptions.StoreUnavailable),
                (400, _OBJECT, exceptions.StoreError),
                (409, _OBJECT, swift_errors.Passing),
                (501, _OBJECT, swift_errors.Passing),
                (412, _OBJECT, exceptions.StoreError)):
            self.assertIs(kind, type(_translate(status, where)),
                          (status, where))

    def test_only_what_may_pass_is_tried_again(self):
        again = {status for status in range(400, 600)
                 if isinstance(_translate(status), exceptions.Retryable)}
        self.assertEqual({408, 409, 422, 429, 498, 499, *range(500, 600)},
                         again)

    def test_retry_after(self):
        for text, seconds in (('30', 30), ('0', 0), ('soon', None),
                              ('', None), ('-1', None),
                              ('9' * 400, 365 * 86400)):
            for status in (429, 498):
                err = _translate(status, headers={'retry-after': text})
                self.assertEqual(seconds, err.retry_after, text)

    def test_retry_after_a_date(self):
        date = email.utils.formatdate(time.time() + 100, usegmt=True)
        err = _translate(429, headers={'retry-after': date})
        self.assertTrue(80 < err.retry_after <= 100, err.retry_after)

    def test_retry_after_a_date_by_a_clock_that_is_not_ours(self):
        here = int(time.time())
        for there in (-172800, 172800):
            now, until = (email.utils.formatdate(
                here + there + seconds, usegmt=True) for seconds in (0, 100))
            err = _translate(429, headers={'retry-after': until, 'date': now})
            self.assertEqual(100, err.retry_after)

    def test_unavailable_until_then(self):
        err = _translate(503, headers={'retry-after': '5'})
        self.assertIs(swift_errors.Slowed, type(err))
        self.assertEqual(5, err.retry_after)

    def test_how_long_to_wait_is_told(self):
        for seconds, text in ((4, '4 s'), (180, '3 minutes'),
                              (14400, '4 hours')):
            err = _translate(429, headers={'retry-after': str(seconds)})
            self.assertIn(f'wait for {text}', str(err))

    def test_range_of_what_is_no_object(self):
        for where in ((), ('c',)):
            self.assertIs(exceptions.StoreError,
                          type(_translate(416, where)))

    def test_policy(self):
        err = _translate(400, ('c',), b'Invalid X-Storage-Policy "gold"')
        self.assertIs(exceptions.ConfigurationError, type(err))
        self.assertIs(exceptions.Remedy.STORAGE_POLICY, err.remedy)

    def test_remedies(self):
        for status, where, remedy in (
                (403, (), exceptions.Remedy.ROLE),
                (404, ('c',), exceptions.Remedy.CREATE_CONTAINER),
                (413, _OBJECT, exceptions.Remedy.ROOM)):
            self.assertIs(remedy, _translate(status, where).remedy)

    def test_forbidden_by_what_may_have_one_name_for_all_projects(self):
        # Swift's own, then those of Ceph's gateway, and of who knows what.
        for transaction, remedy in (
                ('tx2d9a7f0b1c3e4d5f6a7b8-0066c1a2b3',
                 exceptions.Remedy.ROLE),
                ('tx00000c5f1e2d3b4a59687-0066c1a2b3-1037-default',
                 exceptions.Remedy.ROLE_OR_NAME),
                ('tx000000000000000000012-005e4f5a6b-5e3a-eu%2Dwest',
                 exceptions.Remedy.ROLE_OR_NAME),
                ('7f3a', exceptions.Remedy.ROLE_OR_NAME),
                (None, exceptions.Remedy.ROLE_OR_NAME)):
            headers = {'x-trans-id': transaction} if transaction else None
            for where in (('c',), _OBJECT):
                err = _translate(403, where, headers=headers)
                self.assertIs(remedy, err.remedy, transaction)
                self.assertIsInstance(err, exceptions.AccessDenied)
                told = str(_translate(403, where, b'over the limit',
                                      'Forbidden', headers))
                self.assertRegex(
                    told, '^Swift answered 403 Forbidden .*over the limit')
            self.assertIs(exceptions.Remedy.ROLE,
                          _translate(403, (), headers=headers).remedy)

    def test_place(self):
        for where, fields in ((_OBJECT, ('c', 'o')), (('c',), ('c', None)),
                              ((), (None, None))):
            for status in (401, 403, 404, 413, 416, 400, 503):
                err = _translate(status, where, b'policy')
                self.assertEqual(fields, (err.container, err.name))

    def test_text(self):
        text = str(_translate(503, body=b'Try later\nor not',
                              headers={'x-trans-id': 'tx1'}))
        for word in ('503 Reason', 'o in container c', '(Try later)',
                     '[transaction tx1; '):
            self.assertIn(word, text)
        self.assertNotIn('or not', text)

    def test_html_is_left_out(self):
        self.assertNotIn('<', str(_translate(503, body=b'<html>x</html>')))

    def test_bodies_of_all_kinds(self):
        for body in (None, '', 'text', b'\xff\xfe', b'x' * 100000):
            self.assertLess(len(str(_translate(500, body=body))), 300)

    def test_one_line(self):
        for status in (400, 401, 403, 404, 413, 500):
            text = str(_translate(status, body=b'one\ntwo\nthree'))
            self.assertNotIn('\n', text)
