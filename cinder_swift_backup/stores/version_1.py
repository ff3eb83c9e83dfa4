# SPDX-License-Identifier: Apache-2.0

"""Swift's version 1 authentication: a user and a key, each in a header.

What is not ASCII goes as UTF-8, as Swift's own client sends it and Swift's
``tempauth`` reads it.
"""

from swiftclient import authv1

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import headers


def plugin(url: str, user: str, key: str) -> authv1.PasswordPlugin:
    """What logs a session of keystoneauth in.

    :raises ConfigurationError: when no header can have the user or the key,
        of which it shows nothing
    """
    return authv1.PasswordPlugin(url, _header('user', user),
                                 _header('key', key))


def _header(what: str, value: str) -> str:
    """A text that the libraries below send as the UTF-8 of a value.

    They take bytes for ASCII, and send each character of a text as the byte of
    that number.
    """
    try:
        # Bytes that are no UTF-8 in the environment go as they are.
        text = value.encode('utf-8', 'surrogateescape').decode('latin-1')
    except UnicodeError:
        # Which has the value in it.
        raise _unfit(what) from None
    if not headers.are_fit(text):
        raise _unfit(what)
    return text


def _unfit(what: str) -> exceptions.ConfigurationError:
    return exceptions.ConfigurationError(
        f'the {what} of the login cannot be sent: it begins with a space, or '
        'contains a line break, a NUL or an invalid character',
        remedy=exceptions.Remedy.LOGIN)
