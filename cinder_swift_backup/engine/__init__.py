# SPDX-License-Identifier: Apache-2.0

"""How a volume becomes a backup and a backup a volume again.

The engine works on stores and volume handles. It knows neither Cinder nor
the kind of threads it runs on. Start reading at :class:`Engine`.

1. ``operations`` has what one backup, restore or look works with: the store,
   the workers (``pipelines``) and whoever may cancel it.
2. ``repository`` finds and deletes the objects of backups; ``digest_objects``
   loads their digests to a ``spool``, or ``point_objects`` does where backups
   are in packs; ``presence`` tells what is missing, and ``overlay`` which
   chunks of a page provide what.
3. ``volumes`` reads and writes what Cinder attached, and asks it for holes and
   changes.
4. ``backup`` takes a volume to the store, ``restore`` takes it back, and
   ``survey`` looks at all that an account has.
"""

from cinder_swift_backup.engine.engine import Engine

__all__ = ('Engine',)
