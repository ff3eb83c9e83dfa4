# SPDX-License-Identifier: Apache-2.0

"""All targets by their names, and where their examples are."""

from collections.abc import Callable
import pathlib

from tests.fuzz import answers
from tests.fuzz import decoding
from tests.fuzz import documents
from tests.fuzz import packed

TARGETS: dict[str, Callable[[bytes], None]] = {
    'manifest': documents.manifest,
    'digest_file': documents.digest_file,
    'segments': documents.segments,
    'volume_meta': documents.volume_meta,
    'point': packed.point,
    'index': packed.index,
    'page': packed.page,
    'columns': packed.columns,
    'encrypted': packed.encrypted,
    'note': packed.note,
    'names': documents.names,
    'zlib': decoding.decoder('zlib'),
    'bz2': decoding.decoder('bz2'),
    'zstd': decoding.decoder('zstd'),
    'none': decoding.decoder('none'),
    'stored': decoding.stored,
    'listing': answers.listing,
    'containers': answers.containers,
    'info': answers.info,
    'date': answers.date,
    'large': answers.large,
    'body': answers.body,
}
_CORPUS = pathlib.Path(__file__).parent / 'corpus'


def examples(target: str) -> pathlib.Path:
    """The directory of a target's examples."""
    return _CORPUS / target


def read_examples(target: str) -> list[bytes]:
    """A target's examples, always in the same order."""
    return [path.read_bytes()
            for path in sorted(examples(target).iterdir())]
