# SPDX-License-Identifier: Apache-2.0

"""Manifests in whichever form a backup is.

In the form of packs, the first field of a manifest is its version, of which
the first number is 2. The stock driver sorts fields by their names.
"""

from collections.abc import Callable
from collections.abc import Iterator
import re

from cinder_swift_backup.format import chains
from cinder_swift_backup.format import manifest as manifest_format
from cinder_swift_backup.format import points

_POINT = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"version"[ \t\r\n]*:'
                    rb'[ \t\r\n]*"2\.')
# Bytes of a manifest that tell its form.
_ENOUGH = 256


def encode(manifest: chains.Manifest) -> Iterator[bytes]:
    """The manifest as the bytes to store, in pieces."""
    if manifest.point is None:
        return manifest_format.encode(manifest)
    return points.encode(manifest, manifest.point)


def encoded_length(manifest: chains.Manifest,
                   check: Callable[[], None] = lambda: None) -> int:
    """How many bytes the pieces of :func:`encode` add up to.

    :param check: called now and then; may raise to end this
    """
    length = 0
    for piece in encode(manifest):
        check()
        length += len(piece)
    return length


class Reader:
    """Reads a manifest that is fed in pieces.

    Memory: see the readers of the two forms.
    """

    def __init__(self, prefix: str) -> None:
        """Prepare.

        :param prefix: of the backup
        """
        self._prefix = prefix
        # What was fed before the form is known.
        self._head = b''
        self._reader: manifest_format.Reader | points.Reader | None = None

    def feed(self, piece: bytes) -> None:
        """Take more of the manifest.

        :raises FormatError: when it is damaged
        """
        if self._reader is not None:
            self._reader.feed(piece)
            return
        self._head += piece
        if len(self._head) >= _ENOUGH:
            self._choose().feed(self._head)

    def _choose(self) -> manifest_format.Reader | points.Reader:
        kind = (points.Reader if _POINT.match(self._head)
                else manifest_format.Reader)
        self._reader = kind(self._prefix)
        return self._reader

    def finish(self) -> chains.Manifest:
        """The manifest, once everything was fed.

        :raises FormatError: when it is damaged, of an unknown version, or
            names an object twice
        """
        reader = self._reader
        if reader is None:
            reader = self._choose()
            reader.feed(self._head)
        return reader.finish()
