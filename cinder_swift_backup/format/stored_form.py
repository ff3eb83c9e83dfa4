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
from cinder_swift_backup.format import scratch
from cinder_swift_backup.format import streams


@dataclasses.dataclass(frozen=True, slots=True)
class StoredForm:
    """What to store: ``compression`` is the word of the manifest for it.

    ``md5`` is of ``data``, in hex.
    """

    compression: str
    data: memoryview
    md5: str


class StoredFormMaker:
    """Makes the stored form of one chunk."""

    def __init__(self, codec: codecs.Codec, level: codecs.Level,
                 length: int) -> None:
        """Prepare.

        :param length: of all data that will be fed, in bytes
        """
        self._codec = codec
        self._level = level
        self._length = length
        # None as long as the data is kept as it is.
        self._encoder: streams.Encoder | None = None
        # First the data as it is, then what it was encoded to.
        self._kept = scratch.Scratch(length)

    def feed(self, data: memoryview) -> None:
        """Take more data."""
        if self._encoder is None:
            if self._codec is codecs.NONE or self._looks_like_noise(data):
                self._kept.append(data)
                return
            self._encoder = self._encode_kept()
        self._kept.append(self._encoder.feed(data))

    def finish(self) -> StoredForm:
        """The stored form of all that was fed."""
        if self._encoder is None:
            return _form(codecs.NONE, self._kept)
        self._kept.append(self._encoder.finish())
        if len(self._kept) >= self._length:
            self._decode_kept()
            return _form(codecs.NONE, self._kept)
        return _form(self._codec, self._kept)

    def _looks_like_noise(self, data: memoryview) -> bool:
        # A tail that is too short to look like anything is not worth it.
        return all(
            kind or (end - start < noise.SHORTEST and start + len(self._kept))
            for kind, start, end in noise.runs(data))

    def _encode_kept(self) -> streams.Encoder:
        encoder = self._codec.encoder(self._length, self._level)
        encoded = scratch.Scratch(self._length)
        for data in self._kept.drain():
            encoded.append(encoder.feed(data))
        self._kept = encoded
        return encoder

    def _decode_kept(self) -> None:
        decoder = self._codec.decoder(self._length)
        decoded = scratch.Scratch(self._length)
        for stored in self._kept.drain():
            for data in decoder.feed(bytes(stored)):
                decoded.append(data)
        decoder.finish()
        self._kept = decoded


def _form(codec: codecs.Codec, kept: scratch.Scratch) -> StoredForm:
    data = kept.view()
    return StoredForm(codec.word, data, hashlib.md5(
        data, usedforsecurity=False).hexdigest())
