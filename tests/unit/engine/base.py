# SPDX-License-Identifier: Apache-2.0

"""What the engine's tests have in common: a store, workers and jobs."""

import fixtures
from oslotest import base

from cinder_swift_backup import engine
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import block_reader
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import pack_worklist
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.engine.backup import page_writer
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.restore import doubts
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.engine.volumes import format_checks
from cinder_swift_backup.engine.volumes import maps
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import memory
from tests.fakes import blobs
from tests.fakes import faulty
from tests.fakes import observers
from tests.fakes import volumes

CONTAINER = 'volumebackups'
GEOMETRY = types.Geometry(chunk_size=64, block_size=16)


def ref(number):
    """Where backup ``number`` of the volume is."""
    return types.BackupRef(f'bak-{number}', 'vol-1', CONTAINER,
                           f'volume_vol-1/202608011200{number:02d}/'
                           f'az_nova_backup_bak-{number}')


def is_chunk(name):
    """Whether an object is a chunk, or a segment, by the end of its name."""
    return name[-5:].isdigit()


def header(where):
    """The opening of the documents of a backup."""
    return types.BackupHeader(where.backup_id, where.volume_id, 'nightly',
                              None, '2026-08-01 12:00:00+00:00')


class Bench:
    """An engine on a store in memory, behind a store that can fail."""

    def __init__(self, workers=2, runtime=None, capabilities=None, ring=None):
        self.memory = memory.MemoryStore(capabilities)
        self.memory.ensure_container(CONTAINER, create=True)
        self.store = faulty.FaultyStore(self.memory)
        self.engine = engine.Engine(
            self.store, runtime or pipelines.Runtime(), workers, ring=ring)
        self.repository = self.engine.repository
        self.archiver = self.engine.archiver
        self.restorer = self.engine.restorer

    def with_ring(self, ring):
        """Another engine on the same store, which has other keys."""
        other = Bench(ring=ring)
        for name in self.names():
            other.put(name, self.get(name))
        return other

    def archive(self, number, source, *, parent=None, codec=None,
                geometry=GEOMETRY, observer=None, volume_meta=None,
                recorded=format_checks.NOTHING, key_id=None,
                form=chains.Form.CHUNKS, **job):
        """Back up a volume as backup ``number``, on top of ``parent``.

        :param source: the volume, or the bytes it holds
        """
        if isinstance(source, bytes):
            source = volumes.RamVolume(source)
        where = ref(number)
        above = None
        if parent is not None:
            link = chains.ChainLink(ref(parent),
                                    self.repository.load(ref(parent)))
            above = parents.Parent(
                link.ref, link.manifest, self.repository.load_digests(
                    link, 1 << 30 if link.manifest.volume_size is None
                    else link.manifest.volume_size))
        return self.archiver.archive(
            jobs.ArchiveJob(
                ref=where, header=header(where), geometry=geometry,
                compression=codec or 'none', parent=above,
                volume_meta=volume_meta, recorded=recorded,
                key_id=key_id, form=form, **job),
            source, observer or observers.Recorder())

    def find_parent(self, *numbers, block_size=GEOMETRY.block_size):
        """What an incremental can build on, of a chain, oldest first."""
        return parents.find(
            self.repository, [ref(number) for number in numbers], block_size)

    def delete(self, where, *, complete=True, repository=None):
        """Delete a backup; returns how many objects there were."""
        repository = repository or self.repository
        names = repository.find_objects(where, complete=complete).names
        repository.discard(where, names)
        return len(names)

    def resolve(self, *numbers):
        """The chain of some backups, oldest first."""
        return self.repository.resolve([ref(number) for number in numbers])

    def restore(self, chain, before, *, sparse=False, verify=True,
                observer=None):
        """Restore to a volume that held ``before``; returns that volume."""
        target = volumes.RamVolume(before, sparse=sparse)
        self.restore_to(target, chain, verify=verify, observer=observer)
        return target

    def restore_to(self, target, chain, *, source_size=0, size=None,
                   verify=True, observer=None):
        """Restore to a volume of the test's own."""
        self.restorer.restore(
            chain,
            restorer.RestoreTarget(target, source_size, size or target.size),
            observer or observers.Recorder(),
            doubts=None if verify else doubts.Doubts())

    def names(self):
        """What is stored, in order of names."""
        return [info.name for info in self.memory.list(CONTAINER, '')]

    def damage(self, name, change):
        """Replace an object by what ``change`` makes of it."""
        self.put(name, change(self.get(name)))

    def get(self, name, container=CONTAINER):
        """What is stored under a name."""
        return blobs.get(self.memory, container, name)

    def put(self, name, data, container=CONTAINER):
        """Store something, whatever is there."""
        blobs.put(self.memory, container, name, data)


class EngineTestCase(base.BaseTestCase):
    """A test with a bench."""

    def setUp(self):
        super().setUp()
        self.bench = Bench()
        self.store = self.bench.store

    def have_backup(self, data):
        """Have backup 1, whose calls are forgotten.

        :returns: the names of its objects
        """
        self.bench.archive(1, data)
        self.store.heal()
        return self.bench.names()

    def have_volumes_of_any_size(self):
        """Have volumes be raw though they have no whole GiB.

        Of what may be in a format of its own the beginning is fetched first.
        """
        self.useFixture(fixtures.MockPatchObject(format_checks, 'GIB', 1))

    def have_small_packs(self):
        """Have some chunks of 64 bytes fill a pack, and two of them a page."""
        for owner, name, value in (
                (pages, '_CHUNK', 64), (pages, '_SIZE', 128),
                (block_reader, 'PIECE', 128), (packer, 'FULL', 150),
                (pack_worklist, '_WINDOW', 64), (pack_worklist, 'FULL', 150),
                (pack_worklist, '_HOLES', 16),
                (page_writer, 'IN_OBJECT', 2)):
            self.useFixture(fixtures.MockPatchObject(owner, name, value))

    def have_volumes_believed(self):
        """Have nothing read that a volume says need not be read."""
        self.useFixture(fixtures.MockPatchObject(
            maps.Checker, 'find_lie', lambda *_: None))
