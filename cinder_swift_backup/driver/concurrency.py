# SPDX-License-Identifier: Apache-2.0

"""The only place that treats eventlet and native threads differently.

In a monkey-patched cinder-backup, the standard library's executor makes green
threads. HTTP requests may run in them. CPU and disk work runs in native
threads, or it blocks every green thread, the heartbeat among them. A function
in a native thread must not log (eventlet issue 432) and needs locks that are
not patched.

With native threads none of this is necessary. In both cases workers have the
context of the request, so that their lines in the log have its id.
"""

from collections.abc import Callable
from concurrent import futures
import functools
import sys
from typing import Any

from cinder_swift_backup.engine import pipelines


def green() -> bool:
    """Whether this process runs on patched, green threads."""
    # Cinder imports eventlet in both modes, but patches only in one.
    if 'eventlet' not in sys.modules:
        return False
    from eventlet import patcher
    return bool(patcher.is_monkey_patched('thread'))


def runtime(context: Any = None) -> pipelines.Runtime:
    """The engine's runtime for the kind of threads of this process.

    :param context: of the request, which the log of all workers names
    """
    executor: Callable[[int], futures.Executor] = futures.ThreadPoolExecutor
    if context is not None:
        executor = functools.partial(futures.ThreadPoolExecutor,
                                     initializer=context.update_store)
    if not green():
        return pipelines.Runtime(executor)
    from eventlet import patcher
    from eventlet import tpool
    return pipelines.Runtime(
        executor, call=tpool.execute, lock=patcher.original('threading').Lock)
