# SPDX-License-Identifier: Apache-2.0

"""Objects that are small enough to be put and got as bytes."""

import hashlib

from cinder_swift_backup.stores import base


def body_of(data: bytes) -> base.Body:
    """A body whose data is in memory."""
    return base.Body(len(data), lambda: (data,),
                     hashlib.md5(data, usedforsecurity=False).hexdigest())


def put(store: base.ObjectStore, container: str, name: str, data: bytes,
        md5: str | None = None) -> None:
    """Store ``data``, under an MD5 of the test's own where it has one."""
    body = body_of(data)
    store.put(container, name, body if md5 is None else base.Body(
        len(data), body.pieces, md5))


def get(store: base.ObjectStore, container: str, name: str) -> bytes:
    """The content of an object."""
    return store.read(container, name, b''.join)
