# SPDX-License-Identifier: Apache-2.0

"""Tests that take minutes, and gigabytes of disk: ``tox -e slow``."""
