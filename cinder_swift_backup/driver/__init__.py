# SPDX-License-Identifier: Apache-2.0

"""The part that runs inside Cinder: only it knows options and eventlet.

Cinder's ``backup_driver`` option names the class by its path in here.
"""

from cinder_swift_backup.driver.driver import SwiftBackupDriver

__all__ = ('SwiftBackupDriver',)
