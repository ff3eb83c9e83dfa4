# SPDX-License-Identifier: Apache-2.0

"""How a volume becomes a backup and a backup a volume again.

The engine works on stores and volume handles. It knows neither Cinder nor
the kind of threads it runs on. Start reading at :class:`Engine`.
"""

from cinder_swift_backup.engine.engine import Engine

__all__ = ('Engine',)
