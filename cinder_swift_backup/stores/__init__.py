# SPDX-License-Identifier: Apache-2.0

"""Where backups are stored: one contract, Swift and memory behind it.

A request to Swift goes this way:

1. ``base`` is the contract; ``swift`` says which request an operation needs.
2. ``swift_session`` sends it as often as ``repetition`` allows, as fast as
   ``congestion`` does; ``absence`` decides whether a 404 counts.
3. ``swift_exchange`` is one attempt: a token of ``credentials``, one of the
   ``connections``, the body (``bodies``).
4. ``swift_answers`` reads the answer, ``swift_errors`` makes errors of it.
5. ``downloads`` reads an object again when it arrived damaged.
"""
