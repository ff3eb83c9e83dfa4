# SPDX-License-Identifier: Apache-2.0

"""How a volume becomes a backup and a backup a volume again.

The engine knows stores and volume handles; it does not know Cinder, nor
whether its threads are green. :class:`Engine` is where to begin.
"""

from cinder_swift_backup.engine.engine import Engine

__all__ = ('Engine',)
