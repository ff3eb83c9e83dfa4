# SPDX-License-Identifier: Apache-2.0

"""From a store to wherever the data is wanted.

1. ``planner`` overlays a chain, newest wins; ``fitting`` cuts zeros off it.
2. ``verification`` decides what to compare with; ``doubts`` notes, on request,
   what does not match.
3. ``fetching`` is the loop: leave out zeros, fetch, verify, use.
4. ``chunk_reader`` decodes and verifies one chunk; ``salvage`` goes on where
   it does not match.
5. ``restorer`` fills a volume (``filling``), ``streamer`` a pipe
   (``windows``).
"""
