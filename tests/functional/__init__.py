# SPDX-License-Identifier: Apache-2.0

"""Tests against a real Keystone, Swift and Cinder.

Cinder decides by ``OS_CINDER_DISABLE_EVENTLET_PATCHING`` whether a process
runs on green or on native threads. The tests that use drivers in their own
process follow it, and as in Cinder's commands this has to come before
anything else is imported.
"""

import pathlib

# How it is done depends on the release, but every command does it.
import cinder.cmd.backup  # noqa: F401

from tests import selection


def load_tests(loader, tests, pattern):
    """The tests of this package that are worth running here."""
    directory = pathlib.Path(__file__).parent
    found = loader.discover(str(directory), pattern or 'test*.py',
                            str(directory.parents[1]))
    return loader.suiteClass(
        [*tests, *filter(selection.is_wanted, selection.each(found))])
