# SPDX-License-Identifier: Apache-2.0

"""What a line of an error says, and the exit code that goes with it."""

from oslotest import base
from testtools import matchers

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import errors
from cinder_swift_backup.stores import swift_errors


def _kinds(root):
    yield root
    for kind in root.__subclasses__():
        if kind.__module__.startswith('cinder_swift_backup'):
            yield from _kinds(kind)


class RemedyTest(base.BaseTestCase):
    """Behind what is wrong stands what to do."""

    def _check(self, kind, remedy=None):
        line = errors.line_of(kind('it failed', name='o', remedy=remedy))
        self.assertThat(line, self._says(), (kind, remedy))

    @staticmethod
    def _says():
        return matchers.MatchesRegex(
            r'it failed\. [A-Z][^\[]+\. \[object o\]\Z')

    def test_errors_of_the_store(self):
        for kind in _kinds(exceptions.StoreError):
            for remedy in (None, exceptions.Remedy.CREATE_CONTAINER,
                           exceptions.Remedy.OTHER_ACCOUNT,
                           # Which only says something to Cinder's users.
                           exceptions.Remedy.SIZES):
                self._check(kind, remedy)

    def test_other_errors(self):
        for base_ in (exceptions.ChainError, exceptions.FormatError,
                      exceptions.IntegrityError, exceptions.SpoolError):
            for kind in _kinds(base_):
                self._check(kind)

    def test_what_nobody_answers(self):
        line = errors.line_of(exceptions.StoreUnavailable('it is silent'))
        self.assertEqual(
            'it is silent. Check that Swift and Keystone can be reached, or '
            'raise --patience.', line)

    def test_what_comes_too_early(self):
        line = errors.line_of(swift_errors.Slowed('wait for 5 hours'))
        self.assertIn('Repeat the command later', line)

    def test_the_better_remedy_counts(self):
        line = errors.line_of(exceptions.AccessDenied(
            'no', remedy=exceptions.Remedy.TOKEN))
        self.assertEqual('no. Get another token.', line)


class CodeTest(base.BaseTestCase):
    """Scripts tell by it what happened."""

    def test_errors_of_the_store(self):
        codes = {kind: errors.code_of(kind('x'))
                 for kind in _kinds(exceptions.StoreError)}
        self.assertEqual(
            (errors.ExitCode.STORE, errors.ExitCode.STORE,
             errors.ExitCode.CONFIGURATION, errors.ExitCode.SELECTION),
            tuple(codes[kind] for kind in (
                exceptions.StoreUnavailable, swift_errors.Slowed,
                exceptions.AccessDenied, exceptions.ContainerNotFound)))
