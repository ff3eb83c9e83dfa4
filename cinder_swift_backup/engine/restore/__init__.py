# SPDX-License-Identifier: Apache-2.0

"""From a store to wherever the data is wanted.

1. ``planning`` makes a plan: ``planner`` overlays a chain, or the chunks of a
   page, newest wins; ``fitting`` cuts zeros off it.
2. ``verification`` decides what to compare with; ``doubts`` notes, on request,
   what does not match.
3. ``fetching`` is the loop: leave out zeros, fetch, verify, use. Chunks that
   lie together come with one request (``groups``).
4. ``chunk_reader`` decodes and verifies them; ``salvage`` goes on where they
   do not match.
5. ``restorer`` fills a volume (``filling``), ``streamer`` a pipe
   (``windows``).
"""
