# SPDX-License-Identifier: Apache-2.0

"""Tests that take minutes, and gigabytes of disk: ``tox -e slow``."""

# Chooses green or native threads, so it comes before everything else.
import tests.functional  # noqa: F401
