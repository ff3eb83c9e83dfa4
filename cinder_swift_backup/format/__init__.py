# SPDX-License-Identifier: Apache-2.0

"""What is stored: pure functions and frozen values.

Nothing in this package does input or output, starts threads or logs. It
knows names, JSON documents, digests and codecs, and is the only place that
knows them.
"""
