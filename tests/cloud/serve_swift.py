# SPDX-License-Identifier: Apache-2.0

"""One Swift server: ``python -m tests.cloud.serve_swift PACKAGE CONF``.

Swift's own programs do the same but for one thing: they know only the
storage policies of a ``swift.conf`` in ``/etc/swift``. So this

1. reads the ``swift.conf`` beside the server's configuration;
2. loads its storage policies;
3. runs the server from the named package of Swift.
"""

import importlib
import os
import sys

from swift.common import storage_policy
from swift.common import utils


def main() -> None:
    """Run the server until killed."""
    package, conf = sys.argv[1:]
    utils.set_swift_dir(os.path.dirname(conf))
    storage_policy.reload_storage_policies()
    server = importlib.import_module(f'swift.{package}.server')
    # Verbose means that the log goes to the standard error output too.
    sys.argv = [f'swift-{package}-server', conf, '--verbose']
    server.main()


if __name__ == '__main__':
    main()
