# SPDX-License-Identifier: Apache-2.0

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
