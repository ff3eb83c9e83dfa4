# SPDX-License-Identifier: Apache-2.0

"""Bringing a volume back.

1. Resolve the chain: every manifest is read before anything is written.
2. Plan: overlay the chain, newest wins, so that each byte of the volume is
   written once; see :mod:`cinder_swift_backup.engine.planner`.
3. Check that the plan fits the volume, and that all codecs are known.
4. Each worker takes one chunk of the plan: get, decode, compare every block
   with the tip's digests, and only then write what the plan takes from it.
   Zeros are left out where the volume already reads as zeros.
5. Make it durable and bring a regular file to its full length.

Memory: each worker holds one chunk in its stored and its decoded form.
"""

import dataclasses
import functools

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipeline
from cinder_swift_backup.engine import planner
from cinder_swift_backup.engine import progress
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import volume
from cinder_swift_backup.engine import zeros
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class RestoreTarget:
    """The volume to restore to.

    ``size`` is what the volume should be in bytes when it is done; ``blank``
    that it is known to read as zeros where nothing is written.
    """

    writer: volume.VolumeWriter
    size: int
    blank: bool


class Restorer:
    """Reads backups from a repository."""

    def __init__(self, repo: repository.Repository,
                 workers: pipeline.Pipeline) -> None:
        self._repository = repo
        self._store = repo.store
        self._pipeline = workers

    def restore(self, chain: types.Chain, target: RestoreTarget,
                observer: progress.Observer, *, verify: bool = True) -> None:
        """Write the tip of ``chain`` to a volume.

        :param verify: whether blocks are compared with the tip's digests
        :raises ChainError: when the chain leaves out part of the volume
        :raises FormatError: when a codec is not known
        :raises IntegrityError: when a chunk is missing or not what the
            manifest says; the volume is then partly written. When the
            digests are missing; nothing is written then
        :raises VolumeError: when the volume is too small
        :raises Cancelled: when the observer cancelled
        """
        plan = planner.plan_restore(chain)
        self._check_fits(chain, plan, target)
        check = self._digest_check(chain, plan) if verify else None
        done = 0

        def collect(written: int) -> None:
            nonlocal done
            done += written
            observer.advanced(done, plan.end)

        observer.checkpoint()
        self._pipeline.run(
            (functools.partial(self._restore_chunk, chunk, target, check)
             for chunk in plan.chunks), collect, observer.checkpoint)
        self._pipeline.runtime.call(target.writer.finish, target.size)

    @staticmethod
    def _check_fits(chain: types.Chain, plan: planner.RestorePlan,
                    target: RestoreTarget) -> None:
        room = target.writer.capacity
        if room is None:
            room = target.size
        for chunk in plan.chunks:
            _find_codec(chunk.record)
            for extent in chunk.extents:
                if extent.end > room:
                    raise exceptions.VolumeError(
                        f'{chunk.record.name} of backup '
                        f'{chain.tip.ref.backup_id} holds data up to offset '
                        f'{extent.end} and the volume has {room} bytes. '
                        f'Restore to a larger volume.')

    def _digest_check(self, chain: types.Chain,
                      plan: planner.RestorePlan) -> 'DigestCheck | None':
        table = self._repository.load_digests(chain.tip.ref)
        if table is None and chain.tip.manifest.has_digests:
            raise exceptions.IntegrityError(
                f'Backup {chain.tip.ref.backup_id} was stored with digests, '
                f'and {naming.digest_file_name(chain.tip.ref.prefix)} is not '
                f'in container {chain.tip.ref.container}. Restore another '
                f'backup, or this one without verification: '
                f'backup_swift_verify_restore = False.')
        if table is None:
            LOG.warning('Backup %s has no digests to verify its restore by.',
                        chain.tip.ref.backup_id)
            return None
        size = chain.tip.manifest.volume_size or plan.end
        described = len(table) * table.block_size
        if described < plan.end:
            LOG.warning('The digests of backup %s end at %d of %d bytes; the '
                        'rest is restored without verification.',
                        chain.tip.ref.backup_id, described, plan.end)
        if described >= size + table.block_size:
            raise exceptions.ChainError(
                f'The digests of backup {chain.tip.ref.backup_id} describe '
                f'{described} bytes and its objects hold {plan.end}: its '
                f'manifest is incomplete. Restore another backup.')
        return DigestCheck(table, min(size, described))

    def _restore_chunk(self, chunk: planner.PlannedChunk,
                       target: RestoreTarget, check: 'DigestCheck | None',
                       stop: pipeline.StopFlag) -> int:
        stop.check()
        record = chunk.record
        try:
            stored = base.read_whole(self._store.until(stop),
                                     chunk.container, record.name)
        except exceptions.ObjectNotFound as err:
            raise exceptions.ChunkMissing(
                f'{record.name} is not in container {chunk.container}, and '
                f'the manifest needs it for {_where(record)}. Restore '
                f'another backup.') from err
        stop.check()
        self._pipeline.runtime.call(_decode_and_write, chunk, stored, target,
                                    check)
        return sum(extent.length for extent in chunk.extents)


@dataclasses.dataclass(frozen=True, slots=True)
class DigestCheck:
    """The digests that the restored volume must have, up to ``end``."""

    table: digests.DigestTable
    end: int

    def check(self, name: str, extent: types.Extent,
              data: memoryview) -> None:
        """Compare the whole blocks of an extent; ``data`` is its content.

        :param name: of the object the data came from
        :raises DigestMismatch: naming the object and the block
        """
        size = self.table.block_size
        first = -(-extent.offset // size)
        for block in range(first, len(self.table)):
            start = block * size
            end = min(start + size, self.end)
            if end > extent.end:
                break
            actual = digests.hash_blocks(
                data[start - extent.offset:end - extent.offset], size)
            expected = self.table.digest(block)
            if actual != expected:
                raise exceptions.DigestMismatch(
                    f'{name} is damaged: bytes {start} to {end} of the '
                    f'volume have SHA-256 {actual.hex()} instead of '
                    f'{expected.hex()}. Restore another backup.')


def _decode_and_write(chunk: planner.PlannedChunk, stored: bytes,
                      target: RestoreTarget,
                      check: DigestCheck | None) -> None:
    # Runs offloaded: no logging, no store.
    record = chunk.record
    view = memoryview(_decode(record, stored))
    start = record.extent.offset
    parts = [(extent, view[extent.offset - start:extent.end - start])
             for extent in chunk.extents]
    if check is not None:
        for extent, part in parts:
            check.check(record.name, extent, part)
    for extent, part in parts:
        if not target.blank:
            target.writer.write(extent.offset, part)
            continue
        for run in zeros.data_runs(part):
            target.writer.write(extent.offset + run.offset,
                                part[run.offset:run.end])


def _find_codec(record: types.ChunkRecord) -> codecs.Codec:
    try:
        return codecs.Codecs().find(record.compression)
    except exceptions.FormatError as err:
        raise exceptions.FormatError(
            f'{record.name}, needed for {_where(record)}: {err}') from err


def _decode(record: types.ChunkRecord, stored: bytes) -> bytes:
    decoder = _find_codec(record).decoder(record.extent.length)
    try:
        data = b''.join(decoder.feed(stored))
        decoder.finish()
    except (exceptions.FormatError, exceptions.LengthMismatch) as err:
        raise type(err)(
            f'{record.name}, needed for {_where(record)}: {err}. Restore '
            f'another backup.') from err
    return data


def _where(record: types.ChunkRecord) -> str:
    return f'bytes {record.extent.offset} to {record.extent.end}'
