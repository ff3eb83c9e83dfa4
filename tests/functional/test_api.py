# SPDX-License-Identifier: Apache-2.0

"""Everything users do with backups, through the real Cinder API."""

from tests import selection
from tests.functional import api_cases


class BackupTestCase(api_cases.BackupTestCase):
    """Backups that succeed, of volumes that are files."""

    modes = selection.Modes.BOTH
