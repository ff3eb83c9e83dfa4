# SPDX-License-Identifier: Apache-2.0

"""Operations of the engine on a store, for tests of a part of it."""

from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines


def on(store, workers=2):
    """An operation on native threads, which nobody cancels."""
    return operations.Operation(
        store, pipelines.Pipeline(pipelines.Runtime(), workers))
