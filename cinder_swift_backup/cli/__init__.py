# SPDX-License-Identifier: Apache-2.0

"""The command ``cinder-swift-backup``: backups without Cinder.

It needs nothing but an account in Swift that backups, or copies of them, are
in. It is installed by the extra ``cli``.

1. ``program`` starts at once and loads ``app``, which has the commands.
2. ``commands`` is what they share: ``accounts`` opens the store, by the login
   that ``logins`` found, and the engine's survey looks into it.
3. ``listing``, ``showing``, ``verifying``, ``restoring``, ``exporting``,
   ``deleting``, ``dependents`` and ``checking`` put answers into words.
4. ``errors`` says how a command ends: its exit code, and one line.
"""
