# SPDX-License-Identifier: Apache-2.0

"""One attempt of a request to Swift: tokens, connection, container, object."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import gzip
from typing import Any
from typing import TypeVar
import urllib.parse

import requests
from swiftclient import client
import urllib3

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import bandwidth
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import clock
from cinder_swift_backup.stores import connections
from cinder_swift_backup.stores import credentials as credentials_
from cinder_swift_backup.stores import network_errors
from cinder_swift_backup.stores import swift_errors

_T = TypeVar('_T')
# An answer that can be read, and not understood.
_ODD = (requests.TooManyRedirects, requests.exceptions.ContentDecodingError,
        gzip.BadGzipFile)
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Exchange:
    """One attempt of a request.

    ``broken`` says whether the connection turned out to be dead, ``received``
    how many bytes of bodies came, and ``told`` what time it was at Swift, by
    its latest answer.
    """

    def __init__(self, access: credentials_.Access,
                 connection: connections.Connection,
                 where: tuple[str, ...], stop: base.Stop,
                 limit: bandwidth.Limit = bandwidth.UNLIMITED.down) -> None:
        """Prepare.

        :param limit: how fast bodies may come
        """
        self._stop = stop
        self._limit = limit
        self._access = access
        self._url = urllib.parse.urlparse(access.storage_url)
        self._connection = connection
        self._where = where
        self._ended = False
        self._answered = False
        self.broken = False
        self.received = 0
        self.told: clock.Told | None = None

    def end(self) -> None:
        """Allow no more reads, since the connection is given back."""
        self._ended = True

    def call(self, function: Callable[..., _T], **options: Any) -> _T:
        """Call one of swiftclient's functions and translate its errors.

        :raises StoreError: or a subclass
        """
        with self._translated():
            result = function(
                self._access.storage_url, self._access.token, *self._where,
                http_conn=(self._url, self._connection.http),
                service_token=self._access.service_token, **options)
            self._answered = True
            # Before the body of an object, which may take hours.
            self.told = clock.told(
                self._connection.http.resp.headers.get('Date'))
            return result

    def pieces(self, body: Any, length: int) -> Iterator[bytes]:
        """All pieces of the body of a response.

        :raises StoreUnavailable: when the connection breaks
        :raises RuntimeError: when the exchange has ended
        :raises Exception: what ``stop`` raises
        """
        left = length
        while left:
            if self._ended:
                raise RuntimeError(
                    'A body is read after its request has ended.')
            self._stop.check()
            most = self._limit.piece
            self._limit.wait(min(most, left), self._stop)
            with self._translated():
                piece: bytes = body.read(most)
            if not piece:
                self.broken = True
                raise swift_errors.about(exceptions.StoreUnavailable(
                    'Swift stopped sending in the middle of an object',
                    expected=length, actual=length - left), self._where)
            left -= len(piece)
            self.received += len(piece)
            yield piece

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except client.ClientException as err:
            raise swift_errors.translate(err, self._where) from err
        except _BROKEN as err:
            self.broken = True
            raise swift_errors.about(self._breakdown(err),
                                     self._where) from err
        except ValueError as err:
            raise swift_errors.about(swift_errors.NotSwift(
                f'the server at {self._url.netloc} does not answer like Swift',
                detail=network_errors.detail(str(err))), self._where) from err

    def _breakdown(self, err: Exception) -> exceptions.BackupError:
        if network_errors.is_distrust(err):
            return exceptions.ConfigurationError(
                f'Swift at {self._url.netloc} is not trusted: '
                f'{network_errors.reason(err)}',
                detail=network_errors.detail(str(err)),
                remedy=exceptions.Remedy.CERTIFICATE)
        place = f'Swift at {self._url.netloc}'
        reason = network_errors.reason(err)
        if isinstance(err, _ODD):
            return swift_errors.NotSwift(
                f'the server at {self._url.netloc} does not answer like Swift '
                f'({reason})',
                detail=network_errors.detail(str(err)))
        if (self._connection.used and not self._answered
                and not network_errors.is_silence(err)):
            return swift_errors.Again(
                f'an idle connection to {place} was closed ({reason})',
                detail=network_errors.detail(str(err)))
        return exceptions.StoreUnavailable(
            f'{place} cannot be reached or dropped the connection ({reason})',
            detail=network_errors.detail(str(err)))
