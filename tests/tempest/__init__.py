# SPDX-License-Identifier: Apache-2.0

"""Tempest and Cinder's plugin for it: tests that others wrote of backups."""
