# SPDX-License-Identifier: Apache-2.0

"""What differs between eventlet and native threads; nowhere else does it.

In a monkey-patched cinder-backup the standard library's executor makes green
threads. They suit HTTP, but whatever computes or waits for a disk has to
leave for a native thread or it stops every other green thread, the one that
tells Cinder that the service is alive among them. A function that left must
not log (eventlet issue 432) and needs locks that were not patched.

With native threads there is nothing to do.
"""

import sys

from cinder_swift_backup.engine import pipelines


def green() -> bool:
    """Whether this process runs on patched, green threads."""
    # Cinder imports eventlet in either mode; only patching makes it matter.
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
