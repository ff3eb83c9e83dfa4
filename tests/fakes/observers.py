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

"""Observers that remember, and observers that cancel."""

from cinder_swift_backup import exceptions


class Recorder:
    """Notes progress; cancels at the n-th checkpoint when told to."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self._cancel_at = cancel_at
        self.checkpoints = 0
        self.progress: list[tuple[int, int]] = []

    def checkpoint(self) -> None:
        """See the engine's Observer."""
        self.checkpoints += 1
        if self.checkpoints == self._cancel_at:
            raise exceptions.Cancelled('cancelled by the test')

    def advanced(self, done: int, total: int) -> None:
        """See the engine's Observer."""
        self.progress.append((done, total))
