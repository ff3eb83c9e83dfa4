# SPDX-License-Identifier: Apache-2.0

"""What the tests of the Swift store have in common: scripted answers."""

import datetime
import hashlib
from unittest import mock

from oslotest import base
import requests_mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport
from tests.fakes import answers as fake_answers
from tests.fakes import blobs

ROOT = 'http://swift.test'
URL = f'{ROOT}/v1/AUTH_p'
TIME = datetime.datetime(2026, 8, 1, 12, 0, 0, 500000, datetime.UTC)


def md5(data):
    """What an ETag has."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Credentials:
    """Tokens t1, t2, ... as far as they can be renewed."""

    remedy = exceptions.Remedy.TOKEN

    def __init__(self, renewals=0):
        self._left = renewals
        self.number = 1
        self.renewed = 0

    def access(self):
        """The current token."""
        return credentials.Access(URL, f't{self.number}', 'service')

    def renew(self, refused):
        """The next token, if there is one."""
        self.renewed += 1
        if not self._left:
            return False
        self._left -= 1
        self.number += 1
        return True


class SwiftTestCase(base.BaseTestCase):
    """A store whose requests are answered by a script."""

    def setUp(self):
        super().setUp()
        self.http = self.enterContext(requests_mock.Mocker())
        self.sleep = self.enterContext(mock.patch('time.sleep'))
        self.credentials = Credentials()
        self.store = self._store()
        # What a 404 of an object or a container is checked by.
        self._answers('HEAD', URL, fake_answers.ACCOUNT)
        self._answers('GET', URL, fake_answers.listed())
        self._answers('HEAD', f'{URL}/c', fake_answers.CONTAINER)

    def _store(self, **options):
        options = {'retries': 3, 'backoff': 2, **options}
        store = swift.SwiftStore(swift_session.Session(
            self.credentials, transport.Transport(**options)))
        self.addCleanup(store.close)
        return store

    def _get(self, container, name):
        return blobs.get(self.store, container, name)

    def _put(self, data, md5=None):
        blobs.put(self.store, 'c', 'o', data, md5)

    def _answers(self, method, url, *answers):
        return self.http.register_uri(method, url, list(answers))

    def _ok(self, data):
        return {'status_code': 201, 'headers': {'etag': md5(data)}}

    def _content(self, data, **headers):
        return {'status_code': 200, 'content': data, 'headers': {
            'content-length': str(len(data)), **headers}}
