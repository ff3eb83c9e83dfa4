# SPDX-License-Identifier: Apache-2.0

"""From the data of a chunk to the form it is stored in, piece by piece.

1. As long as all of it looks like noise, keep it as it is: if nothing else
   comes, that is its stored form, and no codec has lost time with it.
2. At the first piece that may compress, give what was kept to the encoder,
   and then everything else.
3. What is not smaller in the end is stored as it is. The data is gone by
   then, so it is decoded again, piece by piece.

Only one form is held at any time, and one piece of the other.
"""

import dataclasses
import hashlib

from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import noise


@dataclasses.dataclass(frozen=True, slots=True)
class StoredForm:
    """What to store: ``compression`` is the word of the manifest for it.

    ``length`` is in bytes, ``md5`` of the pieces, in hex.
    """

    compression: str
    pieces: list[bytes]
    length: int
    md5: str


class StoredFormMaker:
    """Makes the stored form of one chunk."""

    def __init__(self, codec: codecs.Codec, level: codecs.Level,
                 length: int) -> None:
        """Prepare.

        :param length: of all data that will be fed, in bytes
        """
        self._codec = codec
        self._length = length
        self._encoder = codec.encoder(length, level)
        # Data as long as it is kept, then pieces of the stored form.
        self._kept: list[bytes] = []
        self._pieces: list[bytes] = []
        self._encoding = False

    def feed(self, data: memoryview) -> None:
        """Take more data."""
        if not self._encoding and _all_noise(data):
            self._kept.append(bytes(data))
            return
        if not self._encoding:
            self._encode_kept()
        self._pieces.append(self._encoder.feed(data))

    def finish(self) -> StoredForm:
        """The stored form of all that was fed."""
        if not self._encoding:
            return _form(codecs.NONE.word, self._kept)
        self._pieces.append(self._encoder.finish())
        if sum(map(len, self._pieces)) < self._length:
            return _form(self._codec.word, self._pieces)
        return _form(codecs.NONE.word, self._decode())

    def _encode_kept(self) -> None:
        self._encoding = True
        self._kept.reverse()
        while self._kept:
            self._pieces.append(
                self._encoder.feed(memoryview(self._kept.pop())))

    def _decode(self) -> list[bytes]:
        decoder = self._codec.decoder(self._length)
        data: list[bytes] = []
        self._pieces.reverse()
        while self._pieces:
            data.extend(decoder.feed(self._pieces.pop()))
        decoder.finish()
        return data


def _all_noise(data: memoryview) -> bool:
    return all(kind for kind, _, _ in noise.runs(data))


def _form(word: str, pieces: list[bytes]) -> StoredForm:
    md5 = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        md5.update(piece)
    return StoredForm(word, pieces, sum(map(len, pieces)), md5.hexdigest())
