# SPDX-License-Identifier: Apache-2.0

"""The command ``cinder-swift-backup``: backups without Cinder.

It needs nothing but an account in Swift that backups, or copies of them, are
in. It is installed by the extra ``cli``.
"""
