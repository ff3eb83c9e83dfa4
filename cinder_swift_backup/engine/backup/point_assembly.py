# SPDX-License-Identifier: Apache-2.0

"""Puts together what a manifest in the form of packs names.

1. Its pages, in the order of the volume.
2. The packs that these need: those of the parent as far as any chunk of them
   is left, and the new ones.
3. What is stored by which codec.
"""

from collections.abc import Iterable
import dataclasses

from cinder_swift_backup.engine.backup import page_writer
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packs as packs_
from cinder_swift_backup.format import pages


def assemble(prefix: str, block_size: int, before: chains.Point | None,
             packs: Iterable[packs_.Pack],
             written: Iterable[page_writer.Written],
             wrapped: encryption.Wrapped | None) -> chains.Point:
    """What a manifest names, once all of it was put.

    :param prefix: of the backup
    :param block_size: in bytes
    :param before: that of the parent
    :param packs: the new ones, in any order
    :param written: all pages, in any order of their objects
    :param wrapped: the key of an encrypted backup
    """
    tally = page_writer.Tally()
    objects = chunk_table.ChunkTable(prefix)
    found: list[pages.Page] = []
    for each in sorted(written, key=lambda one: one.number):
        tally.add(each.tally)
        found += each.pages
        if each.record is not None:
            objects.append(each.record)
    table = pack_table.PackTable(prefix)
    for pack in (*(before.packs if before else ()),
                 *sorted(packs, key=lambda one: one.key)):
        living = _living(pack, tally)
        if living.living:
            table.append(living)
    return chains.Point(
        block_size, pages.size(block_size), table, tuple(found), objects,
        _stored(before, tally), wrapped)


def _living(pack: packs_.Pack, tally: page_writer.Tally) -> packs_.Pack:
    """A pack with what pages name of it now."""
    chunks, stored = tally.by_key.get(pack.key, (0, 0))
    return dataclasses.replace(
        pack, living=pack.living + chunks,
        living_bytes=pack.living_bytes + stored)


def _stored(before: chains.Point | None,
            tally: page_writer.Tally) -> dict[str, chains.Stored]:
    """What pages name, by codecs."""
    numbers = {word: [stored.chunks, stored.bytes, stored.stored_bytes or 0]
               for word, stored in (before.stored if before else {}).items()}
    for word, changes in tally.by_word.items():
        numbers[word] = [one + other for one, other in zip(
            numbers.get(word, (0, 0, 0)), changes, strict=True)]
    return {word: chains.Stored(*found)
            for word, found in sorted(numbers.items()) if found[0]}
