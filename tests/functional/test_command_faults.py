# SPDX-License-Identifier: Apache-2.0

"""The command, where Swift is not well.

It goes through the fault proxy to the real Swift, with the login of a cloud
that has no Cinder. Each test makes a chain of two backups without faults, and
runs commands with them:

* what passes is not noticed;
* what does not ends in an error that says what to do, in time;
* what is not known to be gone is not called so, and nothing is deleted;
* Ctrl-C ends the wait for a Swift that is silent.
"""

import dataclasses
import datetime
import email.utils
import json
import random
import signal
import time

import testscenarios

from tests import selection
from tests.cloud.fault_proxy.rules import Answer
from tests.cloud.fault_proxy.rules import Flip
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Moment
from tests.cloud.fault_proxy.rules import OBJECTS
from tests.cloud.fault_proxy.rules import Refuse
from tests.cloud.fault_proxy.rules import Reset
from tests.cloud.fault_proxy.rules import rule
from tests.cloud.fault_proxy.rules import Shorten
from tests.cloud.fault_proxy.rules import Stall
from tests.cloud.fault_proxy.rules import Tell
from tests.faults import base
from tests.functional import command
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS

_SIZE = CHUNK // 4
_CHUNKS = 4
# Seconds. Sockets wait for 10 of them at least.
_PATIENCE = 3
# For what passes, because waits are a quarter of it. One failure never ends
# it, not even one that asks for a second.
_BRIEFLY = 3
# Far more than any command takes here, and less than a socket waits for with
# the patience that is the default.
_SOON = 60
_STORE, _INTERRUPTED = 5, 130
_HINT = 'Check that Swift and Keystone can be reached, or raise --patience.'


@dataclasses.dataclass(frozen=True)
class Run:
    """A command, and what it does.

    It gets objects of some kinds, of some of them at least four; it asks for
    and deletes others.
    """

    name: str
    arguments: tuple[str, ...]
    gets: tuple[Kind, ...] = (Kind.LISTING, Kind.MANIFEST)
    gets_many: tuple[Kind, ...] = (Kind.LISTING,)
    asks: tuple[Kind, ...] = ()
    deletes: tuple[Kind, ...] = ()

    def faults(self, first, later):
        """Rules: the first request of each kind, and the fourth of many."""
        for kind in self.gets:
            if (type(first), kind) != (Flip, Kind.LISTING):
                yield rule(first, 'GET', kind)
        for kind in self.gets_many:
            yield rule(later, 'GET', kind, first=4)
        if isinstance(first, Answer):
            yield from (rule(first, 'HEAD', kind) for kind in self.asks)
            yield from (rule(first, 'DELETE', kind) for kind in self.deletes)


_ALL = (Kind.LISTING, Kind.MANIFEST, Kind.DIGESTS, Kind.CHUNK)
_MANY = (Kind.LISTING, Kind.MANIFEST, Kind.CHUNK)
LIST = Run('list', ('list',))
SHOW = Run('show', ('show', 'BACKUP'))
VERIFY = Run('verify', ('verify', 'BACKUP'), asks=(Kind.CHUNK,))
DEEP = Run('verify --deep', ('verify', 'BACKUP', '--deep'), gets=_ALL,
           gets_many=_MANY)
RESTORE = Run('restore', ('restore', 'BACKUP', 'TARGET'), gets=_ALL,
              gets_many=_MANY)
ORPHANS = Run('orphans', ('orphans', '--delete', '--grace', '0'))
DELETE = Run('delete', ('delete', 'BACKUP'),
             deletes=(Kind.CHUNK, Kind.DIGESTS, Kind.MANIFEST))


class CommandTestCase(base.FaultTestCase):
    """A chain of two backups, and a command that looks at them."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_object_size=_SIZE)
        image = bytearray(random.Random(8).randbytes(_CHUNKS * _SIZE))
        volume, path = self.make_volume(image)
        self.full = self.back_up(OURS, volume, path)
        image[_SIZE:_SIZE + BLOCK] = bytes(BLOCK)[:-1] + b'x'
        path.write_bytes(image)
        self.tip = self.back_up(OURS, volume, path, parent=self.full)
        self.image = bytes(image)
        self.names = self.object_names(self.container)
        self.target = self.directory / 'target'
        self.command = command.Command(self, {
            **self.cloud.os_environment(self.cloud.demo),
            'OS_OBJECT_STORE_ENDPOINT_OVERRIDE':
                f'{self.proxy.url}/v1/AUTH_{self.context.project_id}',
            # So that no Cinder is found, which other tests may be busy with.
            'OS_BLOCK_STORAGE_REGION_NAME': 'none'})

    def arguments(self, run):
        """The command line."""
        values = {'BACKUP': self.tip.id, 'TARGET': self.target}
        formatted = () if run in (RESTORE, DELETE) else ('-f', 'json')
        return (*(values.get(each, each) for each in run.arguments),
                '--container', self.container, *formatted)

    def start(self, run, *more):
        """Start a command."""
        return self.command.start(*self.arguments(run), *more)

    def ended(self, process, code):
        """The outputs of a command that was started."""
        out, err = (each.decode() for each in process.communicate(
            timeout=_SOON))
        self.assertEqual(code, process.returncode, f'{out}\n{err}')
        self.assertNotIn('Traceback', err)
        return out, err

    def check(self, run, out):
        """See that a command has done what it is for."""
        if run is RESTORE:
            self.assertEqual(self.image, self.target.read_bytes())
            self.target.unlink()
        elif run is DELETE:
            self.assertEqual(
                [name for name in self.names if self.full.id in name],
                self.object_names(self.container))
        else:
            self._check_output(run, json.loads(out))

    def _check_output(self, run, found):
        state = 'verified' if run is DEEP else 'complete'
        both = [(self.full.id, state), (self.tip.id, state)]
        if run is SHOW:
            self.assertEqual(
                (self.tip.id, 'complete', {'A', 'B'}),
                (found['Backup'], found['State'], set(found['Map'])))
        elif run is ORPHANS:
            self.assertEqual([], found)
        else:
            self.assertEqual(both, [(row['Backup'], row['State'])
                                    for row in found])

    def check_nothing_done(self):
        """See that there is no restored file, and that nothing is deleted."""
        self.heal()
        self.assertFalse(self.target.exists())
        self.assertEqual(self.names, self.object_names(self.container))


class PassingTestCase(testscenarios.WithScenarios, CommandTestCase):
    """Two faults, which every kind of request meets."""

    scenarios = selection.scenarios([
        ('404, reset', {
            'faults': (Answer(404), Reset()),
            'runs': (LIST, RESTORE, DELETE)}),
        # Nothing tells that a listing has one, so the first has not.
        ('a wrong bit, 409', {
            'faults': (Flip(), Answer(409)),
            'runs': (DEEP, RESTORE)}),
    ], [
        ('a short body, 503', {
            'faults': (Shorten(), Answer(503)),
            'runs': (SHOW, RESTORE)}),
        ('429, reset in the answer', {
            'faults': (Answer(429, {'Retry-After': '1'}),
                       Reset(Moment.IN_ANSWER)),
            'runs': (VERIFY, RESTORE)}),
    ])

    def test_it(self):
        for run in self.runs:
            self._check_run(run)

    def _check_run(self, run):
        faults = list(run.faults(*self.faults))
        self.proxy.apply(*faults)
        out, err = self.ended(self.start(run, '--patience', _BRIEFLY), 0)
        hits = self.proxy.hits()
        self.heal()
        self.assertEqual([1] * len(faults), hits, (run.name, faults, err))
        self.check(run, out)


class AccountTestCase(CommandTestCase):
    """A 404 of the account, where all its containers are looked at."""

    @selection.modes(selection.Modes.EVERYTHING)
    def test_it(self):
        self.proxy.apply(rule(Answer(404), 'GET', Kind.ACCOUNT))
        process = self.command.start('list', '-f', 'json', '--patience',
                                     _BRIEFLY)
        out, _ = self.ended(process, 0)
        self.assertEqual([1], self.proxy.hits())
        mine = [row for row in json.loads(out)
                if row['Backup'] in (self.full.id, self.tip.id)]
        self.check(LIST, json.dumps(mine))


class ClockTestCase(CommandTestCase):
    """A host whose clock is two days ahead of Swift's."""

    def test_backup_in_the_making(self):
        self.store.delete(self.container, next(
            name for name in self.names
            if self.tip.id in name and name.endswith('_metadata')))
        left = self.object_names(self.container)
        there = datetime.datetime.now(datetime.UTC) - datetime.timedelta(
            days=2)
        self.proxy.apply(rule(Tell({'Date': email.utils.format_datetime(
            there, usegmt=True)}), count=None))
        # Far less than it is old uses this host's clock.
        out, err = self.ended(self.command.start(
            'orphans', '--delete', '--grace', '1e-9', '--container',
            self.container, '-f', 'json'), 0)
        self.assertEqual([], json.loads(out), err)
        self.assertEqual(1, err.count('2 d 0 h ahead'), err)
        self.assertEqual(left, self.object_names(self.container))


class OutageTestCase(testscenarios.WithScenarios, CommandTestCase):
    """A Swift that does not come back."""

    scenarios = (
        ('all 503', {
            'fault': rule(Answer(503), count=None),
            'runs': (LIST, DEEP, RESTORE, DELETE)}),
        ('connections are refused', {
            'fault': rule(Refuse(3600)),
            'runs': (SHOW, VERIFY, ORPHANS)}),
    )

    def test_from_the_beginning(self):
        self.proxy.apply(self.fault)
        processes = [self.start(run, '--patience', _PATIENCE)
                     for run in self.runs]
        for process in processes:
            out, err = self.ended(process, _STORE)
            self.assertEqual('', out)
            self.assertIn(_HINT, err.splitlines()[-1])
        self.check_nothing_done()


class LateOutageTestCase(CommandTestCase):
    """A Swift that goes while a backup is restored."""

    @selection.modes(selection.Modes.EVERYTHING)
    def test_it(self):
        self.proxy.apply(rule(Answer(503), 'GET', Kind.CHUNK, first=2,
                              count=None))
        _, err = self.ended(
            self.start(RESTORE, '--patience', _PATIENCE), _STORE)
        self.assertIn(_HINT, err)
        self.assertIn('repeat the command with --resume', err.splitlines()[-1])
        self.heal()
        self.assertNotEqual(self.image, self.target.read_bytes())
        self.ended(self.start(RESTORE, '--resume'), 0)
        self.check(RESTORE, '')


class UnsureTestCase(CommandTestCase):
    """A 404 of everything, while the container does not answer."""

    def test_it(self):
        self.proxy.apply(
            rule(Answer(404), 'HEAD GET DELETE', *OBJECTS, count=None),
            rule(Answer(503), 'HEAD', Kind.CONTAINER, count=None))
        processes = [(run, self.start(run, '--patience', _PATIENCE))
                     for run in (VERIFY, DEEP, RESTORE, ORPHANS, DELETE)]
        for run, process in processes:
            out, err = self.ended(process, _STORE)
            self.assertEqual('', out, run.name)
            self.assertIn(_HINT, err, run.name)
            for word in ('damaged', 'gone', 'orphaned', 'no manifest'):
                self.assertNotIn(word, err, run.name)
        self.check_nothing_done()


class SilentTestCase(testscenarios.WithScenarios, CommandTestCase):
    """Ctrl-C while Swift is silent, with the patience that is the default."""

    scenarios = tuple(
        (f'{run.name}, {method} of {kind}',
         {'run_': run, 'rule': rule(Stall(3600, moment), method, kind,
                                    count=None)})
        for run, method, kind, moment in (
            (LIST, 'GET', Kind.LISTING, Moment.BEFORE),
            (DEEP, 'GET', Kind.CHUNK, Moment.IN_ANSWER),
            (RESTORE, 'GET', Kind.CHUNK, Moment.BEFORE),
            (DELETE, 'DELETE', Kind.CHUNK, Moment.BEFORE)))

    def test_interrupted(self):
        self.proxy.apply(self.rule)
        process = self.start(self.run_)
        self.wait_soon(lambda: any(self.proxy.hits()), 'it never waits')
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = self.ended(process, _INTERRUPTED)
        self.assertLess(time.monotonic() - begin, _SOON / 2)
        self.assertIn('Interrupted', err)
