# SPDX-License-Identifier: Apache-2.0

"""Shows again what failed, at the end of a long output.

``python -m tests.failing forget`` before all runs of stestr, and without
``forget`` after them.
"""

import pathlib
import subprocess
import sys

_FAILED = pathlib.Path('.stestr/failing')


def main(arguments: list[str]) -> None:
    """Forget what has failed, or show it if there is any."""
    if arguments == ['forget']:
        _FAILED.unlink(missing_ok=True)
    elif _FAILED.exists() and _FAILED.stat().st_size:
        subprocess.run(['stestr', 'failing'], check=False)


if __name__ == '__main__':
    main(sys.argv[1:])
