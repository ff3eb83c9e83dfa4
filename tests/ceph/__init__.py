# SPDX-License-Identifier: Apache-2.0

"""Volumes in a real Ceph, through the real Cinder."""
