# SPDX-License-Identifier: Apache-2.0

"""What an error carries, and how it reads."""

import pickle

from oslotest import base

from cinder_swift_backup import exceptions


class BackupErrorTest(base.BaseTestCase):
    """The fields and the text."""

    def test_text(self):
        for fields, text in (
                ({}, 'it is gone'),
                ({'name': 'o'}, 'o: it is gone'),
                ({'container': 'c'}, 'container c: it is gone'),
                ({'container': 'c', 'name': 'o'},
                 'o in container c: it is gone'),
                ({'backup_id': 'b', 'name': 'o', 'offset': 0, 'end': 9},
                 'backup b, o, bytes 0 to 9 of the volume: it is gone'),
                ({'name': 'o', 'expected': 5, 'actual': 0},
                 'o: it is gone (0 instead of 5)'),
                ({'expected': 5}, 'it is gone')):
            self.assertEqual(text, str(exceptions.BackupError(
                'it is gone', **fields)))

    def test_about_adds_and_never_replaces(self):
        err = exceptions.FormatError('it is damaged', name='o', offset=0,
                                     end=9)
        self.assertIs(err, err.about(
            name='other', container='c', offset=3, end=5,
            remedy=exceptions.Remedy.REPEAT))
        self.assertEqual(
            ('o', 'c', 0, 9, exceptions.Remedy.REPEAT),
            (err.name, err.container, err.offset, err.end, err.remedy))

    def test_crosses_a_process(self):
        err = exceptions.DigestMismatch(
            'it is damaged', name='o', expected='a',
            remedy=exceptions.Remedy.OTHER_BACKUP)
        copy = pickle.loads(pickle.dumps(err))
        self.assertIs(exceptions.DigestMismatch, type(copy))
        self.assertEqual((str(err), 'o', 'a', err.remedy),
                         (str(copy), copy.name, copy.expected, copy.remedy))
