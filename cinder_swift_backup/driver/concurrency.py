# SPDX-License-Identifier: Apache-2.0

"""The only place that treats eventlet and native threads differently.

In a monkey-patched cinder-backup, the standard library's executor makes green
threads. HTTP requests may run in them. CPU and disk work runs in native
threads, or it blocks every green thread, the heartbeat among them. A function
in a native thread must not log (eventlet issue 432) and needs locks that are
not patched.

With native threads none of this is necessary.
"""

import sys

from cinder_swift_backup.engine import pipelines


def green() -> bool:
    """Whether this process runs on patched, green threads."""
    # Cinder imports eventlet in both modes, but patches only in one.
    if 'eventlet' not in sys.modules:
        return False
    from eventlet import patcher
    return bool(patcher.is_monkey_patched('thread'))


def runtime() -> pipelines.Runtime:
    """The engine's runtime for the kind of threads of this process."""
    if not green():
        return pipelines.Runtime()
    from eventlet import patcher
    from eventlet import tpool
    return pipelines.Runtime(
        call=tpool.execute, lock=patcher.original('threading').Lock)
