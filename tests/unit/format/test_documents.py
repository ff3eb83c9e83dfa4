# SPDX-License-Identifier: Apache-2.0

"""What is said about a document that cannot be read."""

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import naming


class ErrorTest(base.BaseTestCase):
    """The document is told by what it is, and its name comes after."""

    def test_which_it_is(self):
        for name, noun in (
                (naming.manifest_name('p'), 'the manifest'),
                (naming.digest_file_name('p'), 'the digest file')):
            for stored, what in (
                    (b'[', ' is damaged: it is not valid JSON ('),
                    (b'[]', ' is damaged: it is not a JSON object'),
                    (b'{"version": "9"}', ' is of a version that this')):
                err = self.assertRaises(exceptions.FormatError,
                                        documents.parse, name, stored)
                self.assertTrue(str(err).startswith(noun + what), err)
                self.assertIn(f'[object {name}', str(err))
