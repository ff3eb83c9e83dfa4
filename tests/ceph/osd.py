# SPDX-License-Identifier: Apache-2.0

"""What the OSD of a test's Ceph tells of itself."""

import json
import subprocess

# Bytes that a backup reads, at most, to see whether Ceph says the truth.
SAMPLE = 4 << 20


def bytes_read(ceph_directory):
    """What it has delivered to clients so far, all of them."""
    (socket,) = (ceph_directory / 'run').glob('*osd*.asok')
    done = subprocess.run(
        ['ceph', '--admin-daemon', socket, 'perf', 'dump', 'osd'],
        capture_output=True, text=True, check=True)
    return json.loads(done.stdout)['osd']['op_r_out_bytes']
