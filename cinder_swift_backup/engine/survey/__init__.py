# SPDX-License-Identifier: Apache-2.0

"""What an account has, without Cinder. The driver has no use for any of it.

1. ``inventory`` finds backups by listings.
2. ``quick`` looks at each: its manifest, and what listings show.
3. ``lineages`` knows what builds on what, so how damage spreads.
4. ``deep`` fetches backups, and compares all of them.
5. ``deletion`` decides what may be deleted, ``layers`` tells who provides
   which part of a volume.

``survey`` puts 1 to 3 together for one account.
"""
