# SPDX-License-Identifier: Apache-2.0

"""What an account has, without Cinder. The driver has no use for any of it.

1. ``inventory`` finds backups by listings.
2. ``audit`` looks at each quickly: its manifest, and what listings show.
3. ``libraries`` knows what builds on what, so how damage spreads.
4. ``inspection`` fetches a backup, and compares all of it.
"""
