# SPDX-License-Identifier: Apache-2.0

"""A store in memory, for tests of what is built on stores."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import copy
import datetime
import hashlib
import threading
from typing import TypeVar

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import container_names
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import bodies
from cinder_swift_backup.stores import traffic

_T = TypeVar('_T')


class MemoryStore(base.ExistsByStat):
    """Keeps the contract of :mod:`cinder_swift_backup.stores.base`."""

    def __init__(self,
                 capabilities: base.Capabilities | None = None) -> None:
        self._capabilities = capabilities or base.Capabilities()
        self._containers: dict[str, dict[str, bytes]] = {}
        self._times: dict[tuple[str, str], datetime.datetime] = {}
        self._notes: dict[tuple[str, str], dict[str, str]] = {}
        self._large: dict[tuple[str, str], tuple[base.Segment, ...]] = {}
        # How far its clock is ahead, in here and in all copies.
        self._ahead = [datetime.timedelta()]
        # By container; tests may change it.
        self.syncs: dict[str, base.Sync] = {}
        # By container; None is the default of the cluster.
        self.policies: dict[str, str | None] = {}
        # By container and name; tests may change it. Nothing is deleted.
        self.expiries: dict[tuple[str, str], datetime.datetime] = {}
        self._lock = threading.Lock()
        self._stop = base.NEVER
        self.traffic = traffic.Traffic()

    @property
    def ahead(self) -> datetime.timedelta:
        """How far its clock is ahead; tests may change it."""
        return self._ahead[0]

    @ahead.setter
    def ahead(self, value: datetime.timedelta) -> None:
        self._ahead[0] = value

    def until(self, stop: base.Stop) -> 'MemoryStore':
        """See the contract; nothing is ever repeated."""
        other = copy.copy(self)
        other._stop = stop
        return other

    def capabilities(self) -> base.Capabilities:
        """What the store was made with."""
        self._stop.check()
        return self._capabilities

    def ensure_container(self, container: str, *, create: bool,
                         storage_policy: str | None = None,
                         like: str | None = None,
                         sync: base.Sync | None = None) -> None:
        """See the contract."""
        self._begin(container)
        with self._lock:
            if container in self._containers:
                return
            if not create:
                raise self._no_container(container)
            policies = self._capabilities.storage_policies
            if (storage_policy and policies is not None
                    and storage_policy not in policies):
                raise exceptions.ConfigurationError(
                    f'there is no storage policy {storage_policy!r}',
                    container=container,
                    remedy=exceptions.Remedy.STORAGE_POLICY)
            self._containers[container] = {}
            self.policies[container] = (
                storage_policy or (like and self.policies.get(like)))
            model = self.syncs.get(like or '')
            target = (self.sync_target(container, sync) if sync
                      else model and model.beside(container))
            if target:
                self.syncs[container] = target

    def sync(self, container: str) -> base.Sync | None:
        """See the contract."""
        self._begin(container)
        with self._lock:
            self._objects(container)
            return self.syncs.get(container)

    def account(self) -> str:
        """See the contract."""
        return 'memory'

    def sync_target(self, container: str, sync: base.Sync) -> base.Sync:
        """See the contract."""
        return sync.completed(self.account(), container)

    def now(self) -> datetime.datetime:
        """See the contract."""
        return datetime.datetime.now(datetime.UTC) + self.ahead

    def put(self, container: str, name: str, body: base.Body) -> str:
        """See the contract."""
        self._begin(container)
        reader = bodies.BodyReader(name, body, self._stop)
        data = b''.join(iter(reader.read, b''))
        limit = self._capabilities.max_object_size
        if limit is not None and len(data) > limit:
            raise exceptions.QuotaExceeded(
                'an object is too large', container=container, name=name,
                expected=limit, actual=len(data),
                remedy=exceptions.Remedy.ROOM)
        if reader.md5() != _md5(data):
            raise exceptions.StoreUnavailable(
                'an object did not arrive as it was sent', container=container,
                name=name)
        with self._lock:
            self._keep(container, name, data)
            self._large.pop((container, name), None)
        self.traffic.put(len(data))
        return reader.md5()

    def put_large(self, container: str, name: str,
                  segments: Sequence[base.Segment]) -> None:
        """See the contract."""
        self._begin(container)
        for segment in segments:
            data = self._data(segment.container, segment.name)
            if (len(data), _md5(data)) != (segment.size, segment.md5):
                raise exceptions.StoreError(
                    'a segment is another than was told',
                    container=container, name=name)
        with self._lock:
            self._keep(container, name, b'')
            self._large[container, name] = tuple(segments)
        self.traffic.put(0)

    def _keep(self, container: str, name: str, data: bytes) -> None:
        self._objects(container)[name] = data
        self._notes.pop((container, name), None)
        self._times[container, name] = self.now()

    def stat(self, container: str, name: str) -> base.Stat:
        """See the contract."""
        self._begin(container)
        self._own_data(container, name)
        info = self._info(container, name)
        return base.Stat(info.size, info.etag,
                         self.expiries.get((container, name)),
                         self._notes.get((container, name), {}))

    def annotate(self, container: str, name: str,
                 notes: Mapping[str, str]) -> None:
        """See the contract."""
        self._begin(container)
        self._own_data(container, name)
        with self._lock:
            self._notes[container, name] = dict(notes)
            self._times[container, name] = self.now()
            self.expiries.pop((container, name), None)

    def segments(self, container: str,
                 name: str) -> tuple[base.Segment, ...] | None:
        """See the contract."""
        self._begin(container)
        self._own_data(container, name)
        return self._large.get((container, name))

    def _own_data(self, container: str, name: str) -> bytes:
        with self._lock:
            data = self._containers.get(container, {}).get(name)
        if data is None:
            raise exceptions.ObjectNotFound(
                'there is no such object', container=container, name=name)
        return data

    def _data(self, container: str, name: str) -> bytes:
        data = self._own_data(container, name)
        segments = self._large.get((container, name), ())
        return data + b''.join(
            self._data(segment.container, segment.name)
            for segment in segments)

    def read(self, container: str, name: str,
             use: Callable[[Iterator[bytes]], _T],
             extent: types.Extent | None = None, *,
             compared: bool = False, rare: bool = False) -> _T:
        """See the contract."""
        self._begin(container)
        data = self._data(container, name)
        if extent is not None:
            data = data[extent.offset:extent.end]
            if len(data) != extent.length:
                raise exceptions.LengthMismatch(
                    'an object ends before the requested bytes',
                    container=container, name=name, expected=extent.length,
                    actual=len(data))
        return use(self._pieces(data))

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), base.PIECE):
            self._stop.check()
            piece = data[start:start + base.PIECE]
            self.traffic.receive(len(piece))
            yield piece

    def delete(self, container: str, name: str) -> None:
        """See the contract."""
        self._begin(container)
        with self._lock:
            self._containers.get(container, {}).pop(name, None)
            self._large.pop((container, name), None)

    def containers(self) -> Iterator[str]:
        """See the contract."""
        self._stop.check()
        with self._lock:
            names = sorted(self._containers, key=str.encode)
        yield from names

    def list(self, container: str, prefix: str) -> Iterator[base.ObjectInfo]:
        """See the contract."""
        self._begin(container)
        with self._lock:
            infos = [self._info(container, name)
                     for name in self._objects(container)
                     if name.startswith(prefix)]
        yield from sorted(infos, key=lambda info: info.name.encode())

    def _info(self, container: str, name: str) -> base.ObjectInfo:
        # As Swift: of a large object, what it was told of the segments.
        segments = self._large.get((container, name), ())
        data = self._containers[container][name]
        etags = ''.join(segment.md5 for segment in segments).encode()
        return base.ObjectInfo(
            name, len(data) + sum(segment.size for segment in segments),
            _md5(data + etags), self._times[container, name])

    def close(self) -> None:
        """See the contract; there is nothing to give back."""

    def _begin(self, container: str) -> None:
        self._stop.check()
        container_names.check(container)

    def _objects(self, container: str) -> dict[str, bytes]:
        if container not in self._containers:
            raise self._no_container(container)
        return self._containers[container]

    @staticmethod
    def _no_container(container: str) -> exceptions.ContainerNotFound:
        return exceptions.ContainerNotFound(
            'there is no such container', container=container,
            remedy=exceptions.Remedy.CREATE_CONTAINER)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
