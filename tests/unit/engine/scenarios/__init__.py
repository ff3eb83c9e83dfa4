# SPDX-License-Identifier: Apache-2.0

"""What several parts of the engine do together.

Whole backups and restores, of all eras, with all that may fail meanwhile.
"""
