# SPDX-License-Identifier: Apache-2.0

"""Our driver under a name like those that Cinder brings along.

Tempest looks at the names of drivers, and knows no others.
"""

from cinder_swift_backup.driver import SwiftBackupDriver

__all__ = ['SwiftBackupDriver']
