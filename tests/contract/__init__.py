# SPDX-License-Identifier: Apache-2.0

"""One suite for the contract of a store, and the stores that keep it."""
