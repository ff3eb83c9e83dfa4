# SPDX-License-Identifier: Apache-2.0

"""Doubles for what the tests cannot have for real; no magic names."""
