# SPDX-License-Identifier: Apache-2.0

"""Swift's container sync, once.

The command is ``python -m tests.cloud.sync_containers CONF``.

Swift's own program does the same forever, and with a ``swift.conf`` in
``/etc/swift`` only.
"""

import os
import sys

from swift.common import daemon
from swift.common import storage_policy
from swift.common import utils
from swift.container import sync


def main() -> None:
    """Copy everything that is new."""
    (conf,) = sys.argv[1:]
    utils.set_swift_dir(os.path.dirname(conf))
    storage_policy.reload_storage_policies()
    daemon.run_daemon(sync.ContainerSync, conf, section='container-sync',
                      once=True)


if __name__ == '__main__':
    main()
