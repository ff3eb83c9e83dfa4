# SPDX-License-Identifier: Apache-2.0

"""Cinder's own tests of what calls itself a driver, for ours."""
