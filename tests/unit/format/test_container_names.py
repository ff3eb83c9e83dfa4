# SPDX-License-Identifier: Apache-2.0

"""What a container may be called, and what is said of other names."""

from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base
import requests

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import container_names
from tests.fakes import container_names as names


class ContainerNamesTest(base.BaseTestCase):
    """Faults are told in a clause."""

    def test_names_that_cannot_be_asked_for(self):
        for name in names.UNASKABLE:
            for check in (container_names.check, container_names.check_new):
                err = self.assertRaises(exceptions.ConfigurationError, check,
                                        name)
                self.assertTrue(str(err).isprintable(), ascii(name))
                self.assertIs(exceptions.Remedy.CONTAINER_NAME, err.remedy)

    def test_what_is_said(self):
        for name, word in (('foo/bar', 'slash'), ('', 'empty'),
                           ('..', 'relative path'), ('a\0', 'NUL'),
                           ('\ud800', 'invalid character'),
                           ('a\n', 'control'), ('a' * 257, '257 bytes'),
                           ('\u00fc' * 129, '258 bytes, more than 256')):
            self.assertIn(word, container_names.fault_of_new(name))

    def test_names_that_should_not_be_given(self):
        for name in names.UNWANTED:
            container_names.check(name)
            err = self.assertRaises(exceptions.ConfigurationError,
                                    container_names.check_new, name)
            self.assertTrue(str(err).isprintable(), ascii(name))

    def test_other_names(self):
        for name in names.GOOD:
            container_names.check_new(name)

    @given(st.text(max_size=20))
    @example('..')
    @example('%2e%2e')
    @example('a/../b')
    def test_others_lead_to_themselves(self, name):
        if container_names.fault(name):
            return
        quoted = requests.utils.quote(name, safe='')
        sent = requests.Request(
            'GET', f'http://h/v1/a/{quoted}/o').prepare().path_url
        self.assertEqual(['', 'v1', 'a', name, 'o'], [
            requests.utils.unquote(part) for part in sent.split('/')])
