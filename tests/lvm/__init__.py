# SPDX-License-Identifier: Apache-2.0

"""Volumes in a real LVM, through the real Cinder."""
