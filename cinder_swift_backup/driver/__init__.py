# SPDX-License-Identifier: Apache-2.0

"""The Cinder edge: all that knows Cinder, its options or eventlet.

Cinder's ``backup_driver`` option names the class by its path in here.
"""

from cinder_swift_backup.driver.driver import SwiftBackupDriver

__all__ = ('SwiftBackupDriver',)
