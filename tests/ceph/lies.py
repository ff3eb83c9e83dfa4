# SPDX-License-Identifier: Apache-2.0

"""What the log says when storage was found not to be as it tells."""

import pathlib

WORDS = 'not as its storage says'


def expect_none(test):
    """Have a test fail if Cinder's log has one when the test ends."""
    log = pathlib.Path(test.cloud.directory, 'cinder', 'cinder.log')
    before = log.stat().st_size

    def look():
        with open(log, encoding='utf-8', errors='replace') as file:
            file.seek(before)
            test.assertEqual([], [line for line in file if WORDS in line])

    test.addCleanup(look)
