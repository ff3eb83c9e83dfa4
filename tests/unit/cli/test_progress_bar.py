# SPDX-License-Identifier: Apache-2.0

"""What is seen of progress."""

import io
import os
import time

from oslotest import base

from cinder_swift_backup.cli import progress_bar


class BarTest(base.BaseTestCase):
    """On a terminal there is a bar, with rate and time left."""

    def _shown(self, show):
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        with open(theirs, 'w') as output:
            with show(output) as observer:
                observer.advanced(1 << 20, 4 << 20)
                time.sleep(0.15)
                observer.advanced(2 << 20, 4 << 20)
            print('the end', end='', file=output, flush=True)
            # The other end is read while this one is open, and gives a few
            # KiB at a time.
            text = b''
            while not text.endswith(b'the end'):
                text += os.read(ours, 1 << 16)
            return text.decode()

    def test_bytes(self):
        text = self._shown(
            lambda output: progress_bar.shown(output, 'restoring'))
        self.assertIn('restoring', text)
        self.assertIn('\u2501', text)
        self.assertRegex(text, r'/4\.0.*MiB')
        self.assertRegex(text, r'iB/s')
        self.assertRegex(text, r'0:00:\d\d')

    def test_names(self):
        # Square brackets are markup to the library.
        text = self._shown(lambda output: progress_bar.shown(
            output, 'of [/x]\x07\n[red]'))
        self.assertIn('of [/x]\\x07\\n[red]', text)
        output = io.StringIO()
        with progress_bar.shown(output, 'of x\x1b') as observer:
            observer.advanced(1, 1)
        self.assertTrue(output.getvalue().startswith('of x\\x1b: 1 B'))

    def test_numbers(self):
        text = self._shown(lambda output: progress_bar.counted(
            output, 'looking', 'backups'))
        self.assertRegex(text, r'\d+/4194304.* .*backups')


class CountsTest(base.BaseTestCase):
    """A look that takes long says how far it is."""

    def test_quick(self):
        output = io.StringIO()
        with progress_bar.counted(output, 'looking', 'backups') as observer:
            observer.advanced(5, 5)
        self.assertEqual('', output.getvalue())

    def test_slow(self):
        output = io.StringIO()
        with progress_bar.counted(output, 'looking', 'backups') as observer:
            observer._due = 0
            observer.advanced(1, 5)
            observer.advanced(2, 5)
        self.assertRegex(output.getvalue(),
                         r'^looking: 1 of 5 backups, 0 min 0 s left\n$')
