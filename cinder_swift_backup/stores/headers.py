# SPDX-License-Identifier: Apache-2.0

"""Values from outside that go into a header of a request.

The libraries below refuse some of them, each release others, and show them in
what they raise. Some are secrets.
"""

import re

# Nothing but a space at the beginning is taken away on the way.
_FIT = re.compile(r'(?!\s)[^\r\n\0]*')


def are_fit(*values: str) -> bool:
    """Whether values arrive as they are, if their characters are bytes."""
    return all(_FIT.fullmatch(value) for value in values)
