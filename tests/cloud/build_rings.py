# SPDX-License-Identifier: Apache-2.0

"""Build Swift's rings: ``python -m tests.cloud.build_rings DIR PORT...``.

The ports are those of the account server, the container server and all object
servers. It is a process of its own so that Swift, which brings eventlet, is
not loaded into the process that starts the cloud.

Each object is on three of the object servers, or on the only one.
"""

import pathlib
import sys

from swift.common.ring import builder

from tests.cloud import processes

# 16 partitions: the fewer there are, the quicker, and one device has all.
PART_POWER = 4
REPLICAS = 3


def main() -> None:
    """Write a ring for each kind of server and each storage policy."""
    directory = pathlib.Path(sys.argv[1])
    account, container, *objects = map(int, sys.argv[2:])
    for name, ports in (
        ('account', [account]),
        ('container', [container]),
        ('object', objects),
        ('object-1', objects),
    ):
        ring = builder.RingBuilder(PART_POWER, min(len(ports), REPLICAS), 0)
        for zone, port in enumerate(ports, 1):
            ring.add_dev(
                {
                    'region': 1,
                    'zone': zone,
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
