# SPDX-License-Identifier: Apache-2.0

"""Which login is used."""

import os
import pathlib
import tempfile
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import accounts

_ST = {'ST_AUTH': 'http://swift.test/auth/v1.0'}


class LoginTest(base.BaseTestCase):
    """Version 1 only where no cloud is named."""

    def test_version_1(self):
        self.assertTrue(accounts.is_version_1(None, _ST))
        self.assertFalse(accounts.is_version_1(None, {}))
        self.assertFalse(accounts.is_version_1('site', _ST))
        self.assertFalse(accounts.is_version_1(None,
                                               {**_ST, 'OS_CLOUD': 'site'}))

    def test_version_1_without_user_or_key(self):
        err = self.assertRaises(exceptions.ConfigurationError,
                                accounts.open_store, None, None, _ST, 0)
        self.assertIn('ST_USER and ST_KEY', str(err))
        err = self.assertRaises(exceptions.ConfigurationError,
                                accounts.open_store, None, None,
                                {**_ST, 'ST_USER': 'u'}, 0)
        self.assertIn('ST_KEY is not', str(err))

    def test_file_of_another_structure(self):
        path = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory())) / 'clouds.yaml'
        self.enterContext(mock.patch.dict(
            os.environ, OS_CLIENT_CONFIG_FILE=str(path)))
        for text in ('clouds: 5', 'clouds: {a: 5}', 'clouds: {a: [1]}'):
            path.write_text(text)
            err = self.assertRaises(exceptions.ConfigurationError,
                                    accounts.open_store, 'a', None, {},
                                    0)
            self.assertIn('no login', str(err))

    def test_cloud_that_no_file_names(self):
        err = self.assertRaises(exceptions.ConfigurationError,
                                accounts.open_store, 'nowhere', None, {},
                                0)
        self.assertIn('nowhere', str(err))
