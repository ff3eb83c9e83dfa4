# SPDX-License-Identifier: Apache-2.0

"""Where backups are stored: one contract, Swift and memory behind it."""
