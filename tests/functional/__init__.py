# SPDX-License-Identifier: Apache-2.0

"""Tests against a real Keystone, Swift and Cinder.

Cinder decides by ``OS_CINDER_DISABLE_EVENTLET_PATCHING`` whether a process
runs on green or on native threads. The tests that use drivers in their own
process follow it, and as in Cinder's commands this has to come before
anything else is imported.
"""

# How it is done depends on the release, but every command does it.
import cinder.cmd.backup  # noqa: F401
