# SPDX-License-Identifier: Apache-2.0

"""Makes the stored form of a chunk from its data, piece by piece.

1. As long as all data looks like noise, keep it plain. If nothing else comes,
   no codec has spent time on it.
2. At the first piece that may compress, encode what was kept so far, and then
   everything that follows.
3. If the result is not smaller than the data, store the data plain. It was
   not kept, so decode it again, piece by piece.

Memory: one form of the chunk, and one piece of the other.
"""

import dataclasses
import hashlib

from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import noise
from cinder_swift_backup.format import scratch


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
        self._wanted = codec
        self._level = level
        self._length = length
        self._use(codecs.NONE)

    def feed(self, data: memoryview) -> None:
        """Take more data."""
        if (self._codec is not self._wanted
                and not self._looks_like_noise(data)):
            self._encode_kept()
        self._kept.append(self._encoder.feed(data))

    def finish(self) -> StoredForm:
        """The stored form of all that was fed."""
        self._kept.append(self._encoder.finish())
        if (self._codec.word != codecs.NONE.word
                and len(self._kept) >= self._length):
            self._decode_kept()
        data = self._kept.view()
        return StoredForm(self._codec.word, data, hashlib.md5(
            data, usedforsecurity=False).hexdigest())

    def _use(self, codec: codecs.Codec) -> None:
        self._codec = codec
        self._encoder = codec.encoder(self._length, self._level)
        # What the encoder gave so far.
        self._kept = scratch.Scratch(self._length)

    def _looks_like_noise(self, data: memoryview) -> bool:
        # A short tail cannot be sampled, and is not worth compressing.
        return all(
            is_noise or (run.length < noise.SHORTEST
                         and run.offset + len(self._kept))
            for is_noise, run in noise.split(data))

    def _encode_kept(self) -> None:
        plain = self._kept
        self._use(self._wanted)
        for data in plain.drain():
            self._kept.append(self._encoder.feed(data))

    def _decode_kept(self) -> None:
        stored = self._kept
        decoder = self._codec.decoder(self._length)
        self._use(codecs.NONE)
        for piece in stored.drain():
            for data in decoder.feed(piece):
                self._kept.append(data)
        decoder.finish()


def encode(codec: codecs.Codec, level: codecs.Level,
           data: memoryview) -> tuple[str, bytes]:
    """The word and the stored form of a small chunk, all of which is there."""
    if (codec.word != codecs.NONE.word
            and not all(is_noise for is_noise, _ in noise.split(data))):
        encoder = codec.encoder(len(data), level)
        stored = b''.join((encoder.feed(data), encoder.finish()))
        if len(stored) < len(data):
            return codec.word, stored
    return codecs.NONE.word, bytes(data)
