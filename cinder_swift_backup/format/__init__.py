# SPDX-License-Identifier: Apache-2.0

"""What is stored: pure functions and frozen values.

Nothing in this package does input or output, starts threads or logs. It
knows names, JSON documents, digests and codecs, and is the only place that
knows them.

1. ``types`` has the terms, ``naming`` the names of objects.
2. A chunk: ``codecs`` over ``streams``, and ``stored_form``, which chooses
   between them as the data comes.
3. The digests: ``digests`` in memory, ``digest_file`` as stored, in
   ``digest_segments`` where they are large.
4. The manifest: ``manifest`` reads and writes it, ``chunk_table`` keeps its
   chunks.
5. ``chains`` has what a backup consists of, and what it builds on.
6. The form of packs: ``packs`` with their index, ``pages`` of the manifest
   over ``packed_chunks``, and ``points``, the manifest itself. ``manifests``
   reads either form.
"""
