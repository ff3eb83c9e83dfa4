# SPDX-License-Identifier: Apache-2.0

"""What the log says when storage was found not to be as it tells."""

WORDS = 'not as its storage says'


def expect_none(test, log):
    """Have a test fail if there is one in a log when the test ends.

    :param log: its path
    """
    before = log.stat().st_size

    def look():
        with open(log, encoding='utf-8', errors='replace') as file:
            file.seek(before)
            test.assertEqual([], [line for line in file if WORDS in line])

    test.addCleanup(look)
