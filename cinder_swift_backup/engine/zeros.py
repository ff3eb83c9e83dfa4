# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Telling zeros from data."""

from collections.abc import Iterator

from cinder_swift_backup.format import types

# Bytes looked at together: small enough to leave most holes holes, large
# enough that runs of data are written in few calls.
_GRAIN = 64 * 1024
_ZEROS = bytes(_GRAIN)


def data_runs(data: memoryview) -> Iterator[types.Extent]:
    """The runs of ``data`` that are not all zeros, relative to its start."""
    start = None
    for position in range(0, len(data), _GRAIN):
        grain = bytes(data[position:position + _GRAIN])
        if grain == _ZEROS[:len(grain)]:
            if start is not None:
                yield types.Extent(start, position - start)
                start = None
        elif start is None:
            start = position
    if start is not None:
        yield types.Extent(start, len(data) - start)
