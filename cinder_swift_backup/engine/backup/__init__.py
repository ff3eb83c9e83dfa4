# SPDX-License-Identifier: Apache-2.0

"""From a volume to a store: how a backup is made.

1. ``parents`` finds what an incremental can build on, if it can be restored.
2. ``layout`` and ``changes`` tell which chunks may hold data, or may differ.
3. ``worklist`` makes a task for each, and ``merging`` says which of the
   changed blocks that they find are stored together.
4. ``chunk_writer`` takes a chunk through reading, hashing, encoding, storing.
5. ``chunk_backup`` directs that and stores the digests; ``committing`` puts
   the manifest, last of all.
6. ``archiver`` is who is asked for it, and undoes what fails.

In the form of packs, ``pack_backup`` takes the place of 3 to 5: see there.
"""
