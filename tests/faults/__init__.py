# SPDX-License-Identifier: Apache-2.0

"""What the driver does while Swift and its neighbours do not work.

* ``cases``: the table of faults, with what has to come of each;
* ``operations``: backup, incremental, restore and delete, with their checks;
* ``base``: a test of one case;
* ``test_table``: all of the table, and what really dies: ``tox -e faults``.

The quick half of the table is part of the functional tests.
"""
