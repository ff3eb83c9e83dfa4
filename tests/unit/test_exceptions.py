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
                ({'name': 'o'}, 'it is gone [object o]'),
                ({'container': 'c'}, 'it is gone [container c]'),
                ({'container': 'c', 'name': 'o'},
                 'it is gone [object o in container c]'),
                ({'backup_id': 'b', 'name': 'o', 'offset': 0, 'end': 9,
                  'transaction': 't'},
                 'it is gone [bytes 0 to 9 of the volume; transaction t; '
                 'backup b; object o]'),
                ({'backup_id': 'b', 'name': 'x-b-1'},
                 'it is gone [object x-b-1]'),
                ({'name': 'o', 'expected': 5, 'actual': 0},
                 'it is gone (0 instead of 5) [object o]'),
                ({'name': 'o', 'expected': 'a', 'actual': 'b'},
                 'it is gone [object o; b instead of a]'),
                ({'detail': 'as\n  told'}, 'it is gone [as told]'),
                ({'expected': 5}, 'it is gone')):
            self.assertEqual(text, str(exceptions.BackupError(
                'it is gone', **fields)))

    def test_remedy_is_before_the_names(self):
        err = exceptions.BackupError('it is gone', name='o')
        self.assertEqual('it is gone. [object o]', err.sentence())
        self.assertEqual('it is gone. Look. [object o]',
                         err.sentence('Look.'))

    def test_long_clause_leaves_room_for_the_remedy(self):
        err = exceptions.BackupError('it is gone', name='o')
        for room, text in ((17, 'it is gone. Look.'),
                           (16, 'it is g... Look.'),
                           (15, 'it is... Look.')):
            self.assertEqual(f'{text} [object o]',
                             err.sentence('Look.', room))
        self.assertEqual('it is gone [object o]', str(err))

    def test_about_adds_and_never_replaces(self):
        err = exceptions.FormatError('it is damaged', name='o', offset=0,
                                     end=9)
        self.assertIs(err, err.about(
            name='other', container='c', offset=3, end=5, transaction='t',
            remedy=exceptions.Remedy.REPEAT))
        self.assertEqual(
            ('o', 'c', 0, 9, 't', exceptions.Remedy.REPEAT),
            (err.name, err.container, err.offset, err.end, err.transaction,
             err.remedy))

    def test_crosses_a_process(self):
        err = exceptions.DigestMismatch(
            'it is damaged', name='o', expected='a',
            remedy=exceptions.Remedy.OTHER_BACKUP)
        copy = pickle.loads(pickle.dumps(err))
        self.assertIs(exceptions.DigestMismatch, type(copy))
        self.assertEqual((str(err), 'o', 'a', err.remedy),
                         (str(copy), copy.name, copy.expected, copy.remedy))
