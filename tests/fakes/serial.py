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

"""An executor without threads, for tests that count steps."""

from concurrent import futures


class SerialExecutor(futures.Executor):
    """Runs a task when it is submitted, in the submitting thread."""

    def __init__(self, max_workers=None):
        self.max_workers = max_workers

    def submit(self, fn, /, *args, **kwargs):
        """Run it now."""
        future = futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as err:
            future.set_exception(err)
        return future
