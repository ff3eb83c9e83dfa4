# SPDX-License-Identifier: Apache-2.0

"""Several backup services, and a Swift of several servers."""

# Chooses green or native threads, so it comes before everything else.
import tests.functional  # noqa: F401
