# SPDX-License-Identifier: Apache-2.0

"""Servers that really die in the middle of a backup or restore, or freeze.

1. The fault proxy slows the operation down, and tells when it has begun.
2. The operation runs in a thread. This one kills the server, waits, and starts
   it again: the kernel ties the new process to the thread that started it. Or
   it stops the process for a while, whose sockets stay open and say nothing.
"""

import atexit
from concurrent import futures
import dataclasses
import functools
import os
import time

from cinder_swift_backup import exceptions
from tests import cloud as test_cloud
from tests.cloud.fault_proxy import rules
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import rule
from tests.cloud.info import VARIABLE
from tests.fakes import blobs
from tests.faults import base
from tests.faults import cases
from tests.faults import operations

# Of each chunk, in bytes a second.
_RATE = 1 << 20
# How many chunks have been touched when it is the middle. All are in one pack,
# which takes longer than a chunk.
_MIDDLE = 5
_MIDDLE_IN_PACKS = 1
# What a server may take to start, and an operation to go on, in seconds.
_REST = 180
# What it takes Swift to forget errors, and more.
_SHUNNED = 120
KEYSTONE = 'keystone'


@functools.cache
def mortal_cloud(shuns):
    """A cloud whose servers can be killed, one for the process.

    It is the cloud of all tests of the process, if there is no other.

    :param shuns: whether its Swift shuns servers that failed, as real ones do
    """
    found = test_cloud.Cloud(with_cinder=False, shuns=shuns)
    atexit.register(found.stop)
    found.start()
    os.environ.setdefault(VARIABLE, str(found.info_file))
    return found


@dataclasses.dataclass(frozen=True)
class Death:
    """A server that is away for some seconds, in an operation."""

    operation: str
    server: str
    seconds: int
    packed: bool = False
    how = 'killed'

    @property
    def fault(self):
        """What the table calls it."""
        return f'{self.server} {self.how} for {self.seconds} s'

    @property
    def name(self):
        """What a test of it is called."""
        return (f'{self.operation}{" in packs" if self.packed else ""}, '
                f'{self.fault}')

    def run(self, test, work):
        """Do the work, and have the server die in the middle of it."""
        method = 'GET' if self.operation == cases.RESTORE else 'PUT'
        test.proxy.apply(
            rule(rules.Slow(_RATE), method, Kind.CHUNK, Kind.PACK,
                 count=None))
        middle = _MIDDLE_IN_PACKS if self.packed else _MIDDLE
        with futures.ThreadPoolExecutor(1) as executor:
            outcome = executor.submit(work)
            test.wait_soon(lambda: test.proxy.hits()[0] >= middle,
                           'it does not begin')
            test.assertFalse(outcome.done())
            self.begin(test)
            try:
                time.sleep(self.seconds)
            finally:
                self.end(test)
            found = outcome.result()
        if self.how == 'killed' and self.server != 'proxy':
            # What is frozen does its work later, when nobody waits for it, and
            # connections that end together lose answers.
            test.check_sent_once()
        test.heal()
        test.wait_until_well()
        return found

    def begin(self, test):
        """Have the server go."""
        if self.server == KEYSTONE:
            test.mortal.keystone.kill()
            return
        if self.server == 'proxy':
            # Else it would be there, and its Swift would not.
            test.proxy.refuse()
        test.mortal.swift.kill_server(self.server)

    def end(self, test):
        """Have it come back."""
        if self.server == KEYSTONE:
            test.mortal.keystone.start_again()
            return
        test.mortal.swift.start_server(self.server)
        test.proxy.accept()


class Freeze(Death):
    """A server that says nothing for some seconds, in an operation."""

    how = 'frozen'

    def begin(self, test):
        """See the base class."""
        self._process(test).freeze()

    def end(self, test):
        """See the base class."""
        self._process(test).thaw()

    def _process(self, test):
        return (test.mortal.keystone.process if self.server == KEYSTONE
                else test.mortal.swift.server(self.server))


DEATHS = tuple(
    kind(operation, server, seconds)
    for kind, lengths in ((Death, (3, 20, 90, 240)), (Freeze, (20, 90)))
    for operation in (cases.BACKUP, cases.RESTORE)
    for server in ('object.1', 'container', 'account', 'proxy', KEYSTONE)
    for seconds in lengths) + tuple(
    kind(operation, server, 20, packed=True)
    for kind in (Death, Freeze)
    for operation in (cases.BACKUP, cases.RESTORE)
    for server in ('object.1', 'proxy'))


class MortalTestCase(base.FaultTestCase):
    """A test in a cloud whose servers can die."""

    shuns = True

    def find_cloud(self):
        """See the base class."""
        self.mortal = mortal_cloud(self.shuns)
        return self.mortal.info


class DeathTestCase(MortalTestCase):
    """A test of a server that dies."""

    death = None

    def setUp(self):
        if self.death is None:
            self.skipTest(base.NONE_CHOSEN)
        super().setUp()

    def wait_until_well(self):
        """Wait until Swift no longer shuns the server."""
        end = time.monotonic() + _SHUNNED
        while not self._is_well():
            self.assertLess(time.monotonic(), end)
            time.sleep(1)

    def _is_well(self):
        try:
            blobs.put(self.store, self.container, 'probe', b'')
            self.store.delete(self.container, 'probe')
        except exceptions.StoreError:
            return False
        return True

    def check_death(self):
        """The operation waits, and goes on."""
        death = self.death
        self.be_patient(death.seconds + _REST)
        kinds = operations.PACKED if death.packed else operations.KINDS
        operation = kinds[death.operation](self, many=True)
        operation.prepare()
        self.check(operation, death, (cases.DONE,), cases.ANYTHING,
                   death.seconds + _REST)
