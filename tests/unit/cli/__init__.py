# SPDX-License-Identifier: Apache-2.0

"""The command, on a store in memory."""
