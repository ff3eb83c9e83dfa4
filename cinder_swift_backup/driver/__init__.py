# SPDX-License-Identifier: Apache-2.0

"""The part that runs inside Cinder: only it knows options and eventlet.

Cinder's ``backup_driver`` option names the class by its path in here.

1. ``options`` declares the options, ``settings`` reads them, and
   ``setup_check`` and ``config_report`` say what is wrong with them.
2. ``driver`` takes Cinder's calls; ``records`` turns its records into values
   of the engine, ``auth`` opens the store in the right account.
3. ``observers`` follow an operation for Cinder, which may cancel it.
4. ``change_tracking`` leaves marks on RBD volumes for the next incremental.
5. ``errors`` turns what goes wrong into Cinder's exceptions.
"""

from cinder_swift_backup.driver.driver import SwiftBackupDriver

__all__ = ('SwiftBackupDriver',)
