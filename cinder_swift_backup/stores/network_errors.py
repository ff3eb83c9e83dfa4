# SPDX-License-Identifier: Apache-2.0

"""Tells in a few words why a request got no answer.

What requests and urllib3 raise has the text of each layer in that of the
next, with the addresses of Python's objects. The reason is in the innermost.

1. Collect the exception and all that it came from.
2. The first row of a table that fits any of them has the words: the most
   telling come first.
3. If none fits, take what the system says to the number of an error, or else
   the beginning of the text.
"""

from collections.abc import Callable
from collections.abc import Iterator
import errno
import http.client
import os
import re
import socket
import ssl

import requests
import urllib3
from urllib3.util import ssl_match_hostname

_SECONDS = re.compile(r'timeout=([0-9]+(?:\.[0-9]+)?)')
# Where OpenSSL fails to read a file of certificates.
_FILES = ('ASN1', 'PEM', 'X509')
# What requests says of one that is not there.
_NO_FILE = re.compile(r'TLS (CA )?certificate')
_REPR = re.compile(r'<[^<>]* at 0x[0-9a-f]+>[:,]? ?')
# Where urllib3 begins: with a pool of its own classes, or of ours.
_POOL = re.compile(r'(: )?\b\w*Pool\(host=.*', re.DOTALL)
# How it ends where nobody is, or nobody who speaks TLS, or plain HTTP.
_NOBODY = (socket.gaierror, ConnectionRefusedError, ConnectionResetError,
           ssl.SSLError, http.client.BadStatusLine,
           requests.exceptions.ConnectTimeout, requests.exceptions.InvalidURL)
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_LONGEST = 100
_LONGEST_DETAIL = 500


def reason(err: BaseException) -> str:
    """Why a connection failed, as in 'connection refused'.

    :param err: what requests, urllib3, keystoneauth, ssl or a socket raised
    """
    # It is a ConnectTimeoutError, too, and only its origin knows better.
    known = [origin for origin in origins(err)
             if not isinstance(origin, urllib3.exceptions.NewConnectionError)]
    for kinds, words in _TABLE:
        for origin in known:
            if isinstance(origin, kinds):
                return _short(words(origin))
    for origin in known:
        if isinstance(origin, OSError) and origin.errno:
            return _short(_numbered(origin))
    return _short(_REPR.sub('', str(err)) or type(err).__name__)


def detail(text: str) -> str:
    """What an exception says, but not all of a page that a server sent.

    What urllib3 says of a connection is left out: that is the reason again,
    within the representations of its objects. It may be all there is.
    """
    return _cut(_POOL.sub('', text), _LONGEST_DETAIL)


def is_distrust(err: BaseException) -> bool:
    """Whether certificates are the reason, which no repetition changes.

    Either the server's cannot be verified, or there are none to do it by.
    """
    return any(isinstance(origin, (ssl.SSLCertVerificationError,
                                   ssl_match_hostname.CertificateError))
               or (isinstance(origin, ssl.SSLError)
                   and getattr(origin, 'library', None) in _FILES)
               or (type(origin) is OSError and _NO_FILE.search(str(origin)))
               for origin in origins(err))


def is_nobody(err: BaseException) -> bool:
    """Whether an address leads nowhere, or to what speaks something else.

    A server that is only busy accepts a connection and is silent, or somebody
    before it says so.
    """
    return any(isinstance(origin, _NOBODY) or (
        isinstance(origin, OSError) and origin.errno in _UNREACHABLE)
        for origin in origins(err))


def is_silence(err: BaseException) -> bool:
    """Whether nothing came, or could be sent, for as long as was waited."""
    return any(isinstance(origin, (requests.Timeout, TimeoutError,
                                   urllib3.exceptions.TimeoutError))
               for origin in origins(err))


def origins(err: BaseException) -> Iterator[BaseException]:
    """An exception, and those that it was made of, each once."""
    seen: list[BaseException] = []
    waiting = [err]
    while waiting:
        error = waiting.pop()
        if any(error is other for other in seen):
            continue
        seen.append(error)
        yield error
        before = (error.__cause__ if error.__suppress_context__
                  else error.__context__)
        waiting += [origin for origin in (before, *error.args,
                                          getattr(error, 'reason', None))
                    if isinstance(origin, BaseException)]


def _short(text: str) -> str:
    return _cut(' '.join(text.split()).rstrip('.'), _LONGEST)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f'{text[:longest - 3]}...'


def _distrusted(err: BaseException) -> str:
    why = getattr(err, 'verify_message', '') or 'it is not trusted'
    return f'the certificate cannot be verified ({why})'


def _misnamed(err: BaseException) -> str:
    return f'the certificate cannot be verified ({err})'


def _unsafe(err: BaseException) -> str:
    if getattr(err, 'library', None) in _FILES:
        return 'the certificate file cannot be read'
    why = getattr(err, 'reason', None)
    if not isinstance(why, str):
        return 'TLS failed'
    return f'TLS failed: {why.replace("_", " ").lower()}'


def _silent(err: BaseException) -> str:
    seconds = _SECONDS.search(str(err))
    return f'no answer for {seconds[1]} s' if seconds else 'no answer in time'


def _numbered(err: OSError) -> str:
    where = f': {err.filename}' if err.filename else ''
    return f'{_lower(os.strerror(err.errno or 0))}{where}'


def _unknown(err: BaseException) -> str:
    return _lower(getattr(err, 'strerror', None)
                  or 'name or service not known')


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _always(text: str) -> Callable[[BaseException], str]:
    return lambda err: text


_Row = tuple[type[BaseException] | tuple[type[BaseException], ...],
             Callable[[BaseException], str]]
_TABLE: tuple[_Row, ...] = (
    (ssl.SSLCertVerificationError, _distrusted),
    # urllib3 before 2 compares the name itself.
    (ssl_match_hostname.CertificateError, _misnamed),
    # Python raises it for a connection that ends without TLS's farewell.
    (ssl.SSLEOFError, _always('connection closed during TLS')),
    (ssl.SSLError, _unsafe),
    (socket.gaierror, _unknown),
    ((urllib3.exceptions.ConnectTimeoutError,
      urllib3.exceptions.ReadTimeoutError), _silent),
    (TimeoutError, _silent),
    (ConnectionRefusedError, _always('connection refused')),
    (http.client.RemoteDisconnected,
     _always('connection closed without an answer')),
    (ConnectionResetError, _always('connection reset')),
    ((BrokenPipeError, ConnectionAbortedError),
     _always('connection broken off')),
    ((http.client.IncompleteRead, urllib3.exceptions.IncompleteRead),
     _always('the answer was cut short')),
    (http.client.HTTPException, _always('the answer is not HTTP')),
    (requests.TooManyRedirects, _always('the answer is a redirect')),
    (requests.exceptions.InvalidURL, _always('the URL is not valid')),
)
