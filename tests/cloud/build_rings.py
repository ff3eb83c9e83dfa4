# SPDX-License-Identifier: Apache-2.0

"""Build Swift's rings: ``python -m tests.cloud.build_rings DIR PORT...``.

The ports are those of the account, the container and the object server. It
is a process of its own so that Swift, which brings eventlet, is not loaded
into the process that starts the cloud.
"""

import pathlib
import sys

from swift.common.ring import builder

from tests.cloud import processes

# 16 partitions: the fewer there are, the quicker, and one device has all.
PART_POWER = 4


def main() -> None:
    """Write a ring for each kind of server and each storage policy."""
    directory = pathlib.Path(sys.argv[1])
    account, container, object_ = map(int, sys.argv[2:])
    for name, port in (
        ('account', account),
        ('container', container),
        ('object', object_),
        ('object-1', object_),
    ):
        ring = builder.RingBuilder(PART_POWER, 1, 0)
        ring.add_dev(
            {
                'region': 1,
                'zone': 1,
                'ip': processes.HOST,
                'port': port,
                'replication_ip': processes.HOST,
                'replication_port': port,
                'device': 'd1',
                'weight': 1.0,
                'meta': '',
            }
        )
        ring.rebalance()
        ring.get_ring().save(str(directory / f'{name}.ring.gz'))


if __name__ == '__main__':
    main()
