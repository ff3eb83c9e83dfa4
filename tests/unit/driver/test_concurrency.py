# SPDX-License-Identifier: Apache-2.0

"""Native threads here, green ones in a process of their own."""

import subprocess
import sys
import threading

from oslo_context import context as oslo_context

from cinder_swift_backup.driver import concurrency
from cinder_swift_backup.engine import pipelines
from tests.unit.driver import base

_PREAMBLE = '''
import eventlet
eventlet.monkey_patch()
import threading
import time
from eventlet import patcher
from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import concurrency
from cinder_swift_backup.engine import pipelines
native_time = patcher.original('time')
native_threads = patcher.original('threading')
runtime = concurrency.runtime()
workers = pipelines.Pipeline(runtime, 3)

def run(functions, collect, checkpoint):
    workers.run((pipelines.Task(function, 1) for function in functions),
                collect, checkpoint, full=1)
'''


class NativeTest(base.DriverTestCase):
    """Cinder has imported eventlet, which does not matter by itself."""

    def test_nothing_to_do(self):
        self.assertIn('eventlet', sys.modules)
        self.assertFalse(concurrency.green())
        runtime = concurrency.runtime()
        self.assertEqual(pipelines.Runtime(), runtime)

        self.assertEqual(threading.get_ident(),
                         runtime.call(threading.get_ident))
        self.assertIs(type(threading.Lock()), type(runtime.lock()))


    def test_workers_have_the_context_of_the_request(self):
        request = self.context()
        self.addCleanup(oslo_context.get_current().update_store)
        workers = pipelines.Pipeline(concurrency.runtime(request), 2)
        found = []
        workers.run([pipelines.Task(
            lambda stop: oslo_context.get_current(), 1)] * 9,
            found.append, lambda: None, full=1)
        self.assertEqual([request.request_id] * 9,
                         [context.request_id for context in found])


class GreenTest(base.DriverTestCase):
    """In a monkey-patched process."""

    def _run(self, code):
        answer = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', _PREAMBLE + code],
            capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(0, answer.returncode,
                         answer.stdout + answer.stderr)
        return answer.stdout

    def test_workers_are_green_and_work_is_not(self):
        self._run('''
assert concurrency.green()
main = native_threads.get_ident()
seen = []

def compute(number):
    seen.append(native_threads.get_ident())
    return number * number

def task(number):
    def run(stop):
        assert native_threads.get_ident() == main, 'worker is not green'
        return runtime.call(compute, number)
    return run

results = []
run([task(n) for n in range(20)], results.append, lambda: None)
assert sorted(results) == [n * n for n in range(20)], results
assert main not in seen, 'work was not offloaded'
''')

    def test_workers_have_the_context_of_the_request(self):
        self._run('''
from oslo_context import context
request = context.RequestContext(request_id='req-1', overwrite=False)
workers = pipelines.Pipeline(concurrency.runtime(request), 3)
results = []
run([lambda stop: context.get_current().request_id] * 9, results.append,
    lambda: None)
assert results == ['req-1'] * 9, results
''')

    def test_hub_keeps_ticking(self):
        # Work that blocks its native thread must not block the others.
        # Three of them are blocked at once until it has ticked.
        self._run('''
inside = native_threads.Barrier(4, timeout=60)
ticked = native_threads.Event()

def tick():
    while not ticked.is_set():
        eventlet.sleep(0.005)
        if inside.n_waiting == 3:
            ticked.set()
            inside.wait()

ticker = eventlet.spawn(tick)

def block():
    inside.wait()

run([lambda stop: runtime.call(block)] * 3, lambda _: None, lambda: None)
ticker.wait()
assert ticked.is_set()
''')

    def test_errors_come_back(self):
        self._run('''
def fail():
    raise exceptions.VolumeError('it ended')

try:
    run([lambda stop: runtime.call(fail)] * 5, lambda _: None,
        lambda: None)
except exceptions.VolumeError as err:
    assert str(err) == 'it ended'
else:
    raise SystemExit('no error')
''')

    def test_checkpoint_cancels(self):
        self._run('''
pipelines.POLL = 0.02

def cancel():
    raise exceptions.Cancelled('from outside')

def patient(stop):
    for _ in range(1000):
        stop.check()
        eventlet.sleep(0.005)

try:
    run([patient] * 5, lambda _: None, cancel)
except exceptions.Cancelled as err:
    assert str(err) == 'from outside', err
else:
    raise SystemExit('no error')
''')

    def test_locks_are_the_original_ones(self):
        # A patched lock knows greenlets only and is no use to tpool.
        self._run('''
lock = runtime.lock()
assert type(lock) is type(native_threads.Lock()), type(lock)
inside = []
most = []

def hold(number):
    with lock:
        inside.append(number)
        most.append(len(inside))
        native_time.sleep(0.02)
        inside.remove(number)

run([lambda stop, n=n: runtime.call(hold, n) for n in range(9)],
            lambda _: None, lambda: None)
assert most == [1] * 9, most
''')
