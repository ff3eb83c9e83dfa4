# SPDX-License-Identifier: Apache-2.0

"""Everything users do with backups, through the real Cinder API."""

from tests.functional import api_cases
from tests.functional import selection


class BackupTestCase(api_cases.BackupTestCase):
    """Backups that succeed, of volumes that are files."""

    modes = selection.Modes.BOTH
