# SPDX-License-Identifier: Apache-2.0

"""Every error of ours has one of Cinder's."""

from cinder import exception as cinder_exception

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import errors
from tests.unit.driver import base


def _classes(root=exceptions.BackupError):
    yield root
    for kind in root.__subclasses__():
        if kind.__module__.startswith('cinder_swift_backup'):
            yield from _classes(kind)


class TranslatedTest(base.DriverTestCase):
    """The table."""

    def _translate(self, error, backup_id=None):
        def run():
            with errors.translated(backup_id):
                raise error
        return self.assertRaises(cinder_exception.CinderException, run)

    def test_every_class_is_translated(self):
        classes = set(_classes()) - {exceptions.Cancelled}
        declared = {kind for kind in vars(exceptions).values()
                    if isinstance(kind, type)
                    and issubclass(kind, exceptions.BackupError)}
        self.assertLessEqual(declared - {exceptions.Cancelled}, classes)
        for kind in classes:
            err = self._translate(kind('what is wrong'), 'the-backup')
            self.assertIn('what is wrong', str(err))
            self.assertIn('the-backup', str(err))
            self.assertIsInstance(err.__cause__, kind)

    def test_every_remedy_has_words(self):
        for remedy in exceptions.Remedy:
            text = str(self._translate(exceptions.StoreError(
                'it is gone', name='the-object', container='the-container',
                remedy=remedy)))
            self.assertRegex(
                text, r'error: it is gone\. [A-Z].*\. '
                      r'\[object the-object in container the-container\]$')

    def test_every_kind_has_a_remedy(self):
        for kind in set(_classes()) - {exceptions.Cancelled}:
            self.assertRegex(str(self._translate(kind('it is gone'))),
                             r': it is gone\. [A-Z].*\.$')

    def test_kinds(self):
        for ours, theirs in (
                (exceptions.VolumeError, cinder_exception.InvalidVolume),
                (exceptions.ChainError, cinder_exception.InvalidBackup),
                (exceptions.FormatError, cinder_exception.InvalidBackup),
                (exceptions.ChunkMissing, cinder_exception.InvalidBackup),
                (exceptions.DigestMismatch, cinder_exception.InvalidBackup),
                (exceptions.LengthMismatch, cinder_exception.InvalidBackup),
                (exceptions.ObjectNotFound, cinder_exception.InvalidBackup),
                (exceptions.StoreUnavailable,
                 cinder_exception.SwiftConnectionFailed),
                # The connection has not failed.
                (exceptions.AccessDenied,
                 cinder_exception.BackupDriverException),
                (exceptions.QuotaExceeded,
                 cinder_exception.BackupDriverException),
                (exceptions.ContainerNotFound,
                 cinder_exception.BackupDriverException),
                (exceptions.ConfigurationError,
                 cinder_exception.BackupDriverException)):
            self.assertIs(theirs, type(self._translate(ours('x'))), ours)

    def test_backup_is_named_once(self):
        err = self._translate(
            exceptions.ChainError('Backup the-backup is gone.'),
            'the-backup')
        self.assertEqual(1, str(err).count('the-backup'))

    def test_percent_signs_are_text(self):
        err = self._translate(exceptions.StoreError('100 %(reason)s %d %'))
        self.assertIn('100 %(reason)s %d %', str(err))

    def test_cancellation_passes(self):
        def run():
            with errors.translated('b'):
                raise exceptions.Cancelled('x')
        self.assertRaises(exceptions.Cancelled, run)

    def test_others_pass(self):
        def run(error):
            with errors.translated('b'):
                raise error
        for kind in (ValueError, KeyboardInterrupt,
                     cinder_exception.InvalidInput):
            self.assertRaises(kind, run, kind())

    def test_nothing_to_translate(self):
        with errors.translated('b'):
            pass
