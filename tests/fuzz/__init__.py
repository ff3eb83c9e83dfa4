# SPDX-License-Identifier: Apache-2.0

"""Feeds rubbish to everything that reads what others may have written.

A target is a function that takes bytes and raises if anything but a value or
one of our errors came out, or if it took more memory than its module says.

1. ``corpus`` has examples for each target: what our encoders and the stock
   driver's of all times make (``seeds.py``), and what was found to matter.
2. ``tests/unit/test_fuzz.py`` runs each target over its examples, and over
   what hypothesis makes of them (``mutations.py``), within seconds.
3. ``python -m tests.fuzz`` goes on from there with atheris, guided by the code
   that an input reaches, for as long as it is told to.
"""
