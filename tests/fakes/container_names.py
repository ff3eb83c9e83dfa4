# SPDX-License-Identifier: Apache-2.0

"""Names of containers, good and bad."""

# Which lead elsewhere, or nowhere.
UNASKABLE = ('', '/', 'foo/bar', '/foo', 'foo/', '../x', '.', '..', 'a\0b',
             '\0', 'a\ud800', '\udcff')
# Which can be asked for, and should not be made.
UNWANTED = ('a\nb', '\n', 'a\tb', '\x01', '\x7f', '\x85', 'a' * 257,
            '\u00fc' * 129, '\U0001f600' * 65)
GOOD = ('volumebackups', 'a', '...', '.a', 'a..', ' ', ' a ', '%2F', '%00',
        'a?b', '#x', 'a;b', '"q"', "it's", 'a\\b', '<x>', '*', '\u65e5\u672c',
        'e\u0301', 'a' * 256, '\u00fc' * 128, '\U0001f600' * 64)
