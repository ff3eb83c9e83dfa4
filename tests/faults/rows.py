# SPDX-License-Identifier: Apache-2.0

"""The rows of the table, which tests write to a file if there is one."""

import dataclasses
import json
import os
import pathlib
import re

# Names the file.
VARIABLE = 'CSB_FAULT_ROWS'
# A regular expression: which cases are run.
CASES = 'CSB_FAULT_CASES'


@dataclasses.dataclass
class Row:
    """What came of one test. It is filled in as far as the test came."""

    test: str
    fault: str
    operation: str
    outcome: str = '?'
    seconds: float = 0
    left: int | None = None
    next: str = '?'


def wanted(name: str) -> bool:
    """Whether a case is to be run."""
    return bool(re.search(os.environ.get(CASES, ''), name))


def record(row: Row) -> None:
    """Write a row, if anybody wants it."""
    path = os.environ.get(VARIABLE)
    if path:
        with open(path, 'a') as lines:
            lines.write(json.dumps(dataclasses.asdict(row)) + '\n')


def read(path: pathlib.Path) -> list[Row]:
    """The rows that were written."""
    return [Row(**json.loads(line))
            for line in path.read_text().splitlines()]
