# SPDX-License-Identifier: Apache-2.0

"""The command line: ``python -m tests.guest -- COMMAND``."""

import sys

from tests.guest import guest

sys.exit(guest.run(sys.argv[sys.argv.index('--') + 1 :]))
