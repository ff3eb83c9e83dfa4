# SPDX-License-Identifier: Apache-2.0

"""Fails where Cinder, Keystone or Swift is installed.

``tox -e layers`` shows that what is below the driver needs none of them.
"""

import importlib.util
import sys

if __name__ == '__main__':
    sys.exit(any(map(importlib.util.find_spec,
                     ('cinder', 'keystone', 'swift'))))
