# SPDX-License-Identifier: Apache-2.0

"""Reads an object, and reads it again when it arrived damaged.

A byte may change on its way, and one of several replicas may be rotten while
the others are good. An object server notices the latter when it has sent the
whole object, and quarantines that replica, so that the next request gets
another. So:

1. Hand the object on in pieces. If it is to be compared, compute its MD5.
2. If whoever takes the pieces finds damage, read the object to its end anyway.
   It is damage, too, if the answer has other bytes than those asked for.
3. Read it again, on another connection, and compare it with the MD5 that Swift
   has recorded. If it has that and is still damaged, it is stored so, and the
   damage is for good. Otherwise, or where the MD5 is not known, go on.

Chunks are compared only when they are read again, because their blocks have
digests of their own. Swift tells no MD5 of the content of large objects.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import hashlib
from typing import Any
from typing import Generic
from typing import TypeVar

from oslo_log import log as logging
from swiftclient import client

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import swift_answers
from cinder_swift_backup.stores import swift_errors
from cinder_swift_backup.stores import swift_exchange

LOG = logging.getLogger(__name__)
_T = TypeVar('_T')
_DAMAGE = (exceptions.FormatError, exceptions.IntegrityError)


class Damaged(swift_errors.Passing):
    """An object arrived damaged, and may arrive intact another time.

    ``error`` says how it was noticed.
    """

    least = 3

    def __init__(self, what: str,
                 error: exceptions.BackupError | None = None,
                 **fields: Any) -> None:
        super().__init__(what, **fields)
        self.error = error or self


class Download(Generic[_T]):
    """One object for one use, over all attempts."""

    def __init__(self, where: tuple[str, str],
                 use: Callable[[Iterator[bytes]], _T],
                 extent: types.Extent | None, *, compared: bool) -> None:
        """Prepare.

        :param extent: of the stored bytes; all if None
        :param compared: whether to compare all of it with its MD5
        """
        self._where = where
        self._use = use
        self._extent = extent
        self._compared = compared
        self._damaged = 0

    def receive(self, exchange: swift_exchange.Exchange) -> _T:
        """One attempt; returns what ``use`` made of the pieces.

        :raises Damaged: when it may be another if it is read again
        """
        answer, body = self._ask(exchange)
        # Closes the connection too, if ``use`` did not take everything.
        with contextlib.closing(body):
            result = self._hand_on(_Pieces(
                exchange.pieces(body, self._length(answer)),
                self._expected(answer)))
        if self._damaged:
            LOG.warning('%s in container %s arrived damaged %d times, then '
                        'intact.', self._where[1], self._where[0],
                        self._damaged)
        return result

    def _ask(self, exchange: swift_exchange.Exchange) -> Any:
        """The headers and the body."""
        extent = self._extent
        headers = None if extent is None else {
            'Range': f'bytes={extent.offset}-{extent.end - 1}'}
        try:
            return exchange.call(client.get_object, resp_chunk_size=base.PIECE,
                                 headers=headers)
        except exceptions.LengthMismatch as err:
            # So says one replica, which may be cut off.
            raise self._again(err) from err

    def _length(self, answer: dict[str, str]) -> int:
        try:
            return swift_answers.body_length(self._where[1], answer,
                                             self._extent)
        except exceptions.LengthMismatch as err:
            raise self._again(err) from err

    def _hand_on(self, pieces: '_Pieces') -> _T:
        try:
            result = self._use(pieces)
        except _DAMAGE as err:
            pieces.drain()
            if pieces.are_as_stored and self._damaged:
                raise
            raise self._again(err) from err
        if self._compared:
            pieces.drain()
            if not pieces.may_be_as_stored:
                raise self._again(exceptions.FormatError(
                    'the MD5 of an object differs from the one Swift '
                    'recorded',
                    name=self._where[1], expected=pieces.expected,
                    actual=pieces.md5))
        return result

    def _again(self, err: exceptions.BackupError) -> Damaged:
        self._compared = True
        self._damaged += 1
        return swift_errors.about(
            Damaged('an object arrived damaged', err, detail=err.clause),
            self._where)

    def _expected(self, answer: dict[str, str]) -> str | None:
        """The MD5 to compare with; None if there is none."""
        large = (answer.get('x-static-large-object', '').lower() == 'true'
                 or 'x-object-manifest' in answer)
        if not self._compared or self._extent is not None or large:
            return None
        return swift_answers.recorded_md5(answer)


class _Pieces(Iterator[bytes]):
    """The pieces of an object, and their MD5 if one is expected."""

    def __init__(self, pieces: Iterator[bytes], expected: str | None) -> None:
        self._pieces = pieces
        self._hash = hashlib.md5(usedforsecurity=False)
        self.expected = expected

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        if self.expected is not None:
            self._hash.update(piece)
        return piece

    def drain(self) -> None:
        """Read what nobody has taken."""
        for _ in self:
            pass

    @property
    def md5(self) -> str:
        """In hex, of all that was read."""
        return self._hash.hexdigest()

    @property
    def are_as_stored(self) -> bool:
        """Whether they are known to be what was stored."""
        return self.expected == self.md5

    @property
    def may_be_as_stored(self) -> bool:
        """Whether they are not known to be anything else."""
        return self.expected in (None, self.md5)
