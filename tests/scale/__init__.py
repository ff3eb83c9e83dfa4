# SPDX-License-Identifier: Apache-2.0

"""Several backup services, and a Swift of several servers."""
