# SPDX-License-Identifier: Apache-2.0

"""Values for people."""

import io

from oslotest import base

from cinder_swift_backup.cli import formatting


class ValuesTest(base.BaseTestCase):
    """What is in a table can be read, and does nothing else."""

    def test_printable(self):
        self.assertEqual('Größe → 5\n', formatting.printable('Größe → 5\n'))
        self.assertEqual('\\x1b[2J\\t\\x07\\x9b\\ud800\\u202e',
                         formatting.printable('\x1b[2J\t\x07\x9b\ud800\u202e'))

    def test_what_other_scripts_need_is_printable(self):
        # Wide and narrow spaces, and what joins letters and emojis.
        for text in ('\u591c\u9593\u3000\u9031', '10\u202f000\u00a0km',
                     '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645',
                     '\U0001f469\u200d\U0001f4bb'):
            self.assertEqual(text, formatting.line(text))

    def test_line(self):
        self.assertEqual('a\\nb\\r\\u2028\\x85',
                         formatting.line('a\nb\r\u2028\x85'))

    def test_stream(self):
        output = io.StringIO()
        stream = formatting.Printable(output)
        stream.write('a\x1bb\n')
        self.assertEqual('a\\x1bb\n', output.getvalue())
        self.assertFalse(stream.isatty())
