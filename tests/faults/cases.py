# SPDX-License-Identifier: Apache-2.0

"""The table of faults: what breaks, in which operation, what comes of it."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import functools
import re
from typing import Any

from tests.cloud.fault_proxy import rules
from tests.cloud.fault_proxy.rules import Alone
from tests.cloud.fault_proxy.rules import Answer
from tests.cloud.fault_proxy.rules import Claim
from tests.cloud.fault_proxy.rules import Close
from tests.cloud.fault_proxy.rules import Drip
from tests.cloud.fault_proxy.rules import Extent
from tests.cloud.fault_proxy.rules import Flip
from tests.cloud.fault_proxy.rules import Forget
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Limit
from tests.cloud.fault_proxy.rules import List
from tests.cloud.fault_proxy.rules import Lose
from tests.cloud.fault_proxy.rules import Moment
from tests.cloud.fault_proxy.rules import OBJECTS
from tests.cloud.fault_proxy.rules import Other
from tests.cloud.fault_proxy.rules import Refuse
from tests.cloud.fault_proxy.rules import Replace
from tests.cloud.fault_proxy.rules import Reset
from tests.cloud.fault_proxy.rules import rule
from tests.cloud.fault_proxy.rules import Shorten
from tests.cloud.fault_proxy.rules import Slow
from tests.cloud.fault_proxy.rules import Stall
from tests.cloud.fault_proxy.rules import Substitute
from tests.cloud.fault_proxy.rules import Tell
from tests.cloud.fault_proxy.rules import Unmeasured

BACKUP = 'backup'
INCREMENTAL = 'incremental'
# On another incremental.
SECOND = 'second incremental'
RESTORE = 'restore'
DELETE = 'delete'
_READING = (INCREMENTAL, RESTORE)
_ALL = (BACKUP, INCREMENTAL, RESTORE, DELETE)

# What comes of it: nothing, or one of Cinder's exceptions.
DONE = 'completed'
UNAVAILABLE = 'SwiftConnectionFailed'
DAMAGED = 'InvalidBackup'
FAILED = 'BackupDriverException'

# What is left behind: nothing, all of it, or what could not be deleted.
NOTHING = 'nothing'
EVERYTHING = 'everything'
ANYTHING = 'anything'

# What is counted may fail a few times, too.
_RETRIED = {'backup_swift_retry_attempts': 3}
_PAGE = '<html><body>Sign in to the network</body></html>'
# A repetition follows each failure, so this is more than a request survives.
_MANY = 12


@dataclasses.dataclass(frozen=True)
class Case:
    """A fault in an operation, and what has to come of it.

    ``outcomes`` are those that are right. ``left`` is what may be left of the
    backup after a failure. ``many`` makes the operation one of many small
    objects, ``segmented`` has its digests in segments, and ``packed`` has the
    form of packs. ``within`` is a bound in seconds, and no promise. ``late``
    makes one more rule, from the records of the backup and its parent; of a
    second incremental, from those of its parent's parent and of its parent.
    """

    fault: str
    operation: str
    rules: tuple[rules.Rule, ...]
    outcomes: tuple[str, ...] = (DONE,)
    left: str = NOTHING
    many: bool = False
    segmented: bool = False
    packed: bool = False
    patience: int = 10
    within: int = 60
    quick: bool = True
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    late: Callable[[Any, Any], rules.Rule] | None = None

    @property
    def name(self) -> str:
        """What a test of it is called."""
        return (f'{self.operation}{" in packs" if self.packed else ""}, '
                f'{self.fault}')


def _each(fault: str, operations: tuple[str, ...], *faults: rules.Rule,
          quick: tuple[str, ...] | None = None,
          **more: Any) -> Iterator[Case]:
    """A fault in some operations, of which some are quick; all if None."""
    for operation in operations:
        yield Case(fault, operation, faults, quick=(
            quick is None or operation in quick), **more)


def _absent() -> Iterator[Case]:
    """A 404 that is not true, and one that is."""
    once = Answer(404)
    for fault, operations, each in (
            ('PUT of a chunk 404 once', (BACKUP, INCREMENTAL),
             rule(once, 'PUT', Kind.CHUNK, first=2)),
            ('PUT of the digests 404 once', (BACKUP,),
             rule(once, 'PUT', Kind.DIGESTS)),
            ('PUT of the manifest 404 once', (BACKUP,),
             rule(once, 'PUT', Kind.MANIFEST)),
            ('HEAD of the digests 404 once', (BACKUP, INCREMENTAL),
             rule(once, 'HEAD', Kind.DIGESTS)),
            ('GET of the digests 404 once', _READING,
             rule(once, 'GET', Kind.DIGESTS)),
            ('GET of the manifest 404 once', (*_READING, DELETE),
             rule(once, 'GET', Kind.MANIFEST)),
            ('GET of a chunk 404 once', (RESTORE,),
             rule(once, 'GET', Kind.CHUNK, first=2)),
            ('listing 404 once', (BACKUP, INCREMENTAL, DELETE),
             rule(once, 'GET', Kind.LISTING)),
            ('HEAD of the container 404 once', (BACKUP,),
             rule(once, 'HEAD', Kind.CONTAINER))):
        yield from _each(fault, operations, each)
    yield from _each(
        'nothing is listed, HEAD of a chunk 404 once', (BACKUP, INCREMENTAL),
        rule(List(Extent.NOTHING), 'GET', Kind.LISTING, count=None),
        rule(once, 'HEAD', Kind.CHUNK), quick=(BACKUP,))
    yield from _each(
        'HEAD of the container 404 once, none to be created',
        (BACKUP, INCREMENTAL), rule(once, 'HEAD', Kind.CONTAINER),
        quick=(INCREMENTAL,), options={'backup_create_containers': False})
    yield from _each(
        'GET of a chunk 404 for good', (RESTORE,),
        rule(once, 'GET', Kind.CHUNK, first=2, count=None),
        outcomes=(DAMAGED,))
    yield from _each(
        'GET of the digests 404 for good', (RESTORE,),
        rule(once, 'GET', Kind.DIGESTS, count=None), outcomes=(DAMAGED,))


def _absent_containers() -> Iterator[Case]:
    """404s of a container that is there."""
    gone = Answer(404)
    yield from _each('listings 404, twice', (BACKUP, INCREMENTAL, DELETE),
                     rule(gone, 'GET', Kind.LISTING, count=2),
                     quick=(DELETE,))
    yield from _each(
        'HEAD of the container 404, twice, none to be created',
        (BACKUP, INCREMENTAL), rule(gone, 'HEAD', Kind.CONTAINER, count=2),
        quick=(BACKUP,), options={'backup_create_containers': False})
    # As if it had been deleted meanwhile, which its account denies.
    yield from _each(
        'every DELETE 404, and then the container, for good', (DELETE,),
        rule(gone, 'DELETE', *OBJECTS, count=None),
        rule(gone, 'GET HEAD', Kind.LISTING, Kind.CONTAINER, first=3,
             count=None),
        outcomes=(UNAVAILABLE,), left=EVERYTHING, patience=3)


def _absent_for_a_while() -> Iterator[Case]:
    """Caches of proxies that do not know what is there."""
    gone = Answer(404)
    yield from _each(
        'the container 404, 3 times, and 3 PUTs of chunks', (BACKUP,),
        rule(gone, 'HEAD', Kind.CONTAINER, count=3),
        rule(gone, 'PUT', Kind.CHUNK, count=3))
    yield from _each(
        'PUTs of chunks 404 for 6 s', (BACKUP, INCREMENTAL),
        rule(gone, 'PUT', Kind.CHUNK, count=None, seconds=6), patience=30,
        quick=())
    yield from _each(
        'all 404 and the account 503 for 5 s',
        (INCREMENTAL, RESTORE, DELETE),
        rule(gone, '', Kind.CONTAINER, Kind.LISTING, *OBJECTS, count=None,
             seconds=5),
        rule(Answer(503), '', Kind.ACCOUNT, count=None, seconds=5),
        patience=30, quick=(DELETE,))
    yield from _each(
        'the manifest 404 and nothing listed, for good', (DELETE,),
        rule(gone, 'GET HEAD', Kind.MANIFEST, count=None),
        rule(List(Extent.NOTHING), 'GET', Kind.LISTING, count=None),
        outcomes=(DAMAGED,), left=EVERYTHING)
    yield from _each(
        'listings 404 for good', (DELETE,),
        rule(gone, 'GET', Kind.LISTING, count=None),
        outcomes=(FAILED,), left=EVERYTHING, quick=())


def _unsure() -> Iterator[Case]:
    """A 404 where nobody can say that it is true."""
    gone = Answer(404)
    unsure = rule(Answer(503), 'HEAD', Kind.CONTAINER, count=None)
    more: dict[str, Any] = {'outcomes': (UNAVAILABLE,), 'patience': 3}
    yield from _each(
        'every DELETE 404, the container 503', (DELETE,),
        rule(gone, 'DELETE', *OBJECTS, count=None), unsure,
        left=EVERYTHING, **more)
    yield from _each(
        'every GET 404, the container 503', (RESTORE,),
        rule(gone, 'GET', *OBJECTS, count=None), unsure, **more)
    yield from _each(
        'every GET of a chunk 404, the container 503', (RESTORE,),
        rule(gone, 'GET', Kind.CHUNK, count=None), unsure, **more)
    lost = (rule(gone, 'HEAD GET', Kind.CONTAINER, Kind.LISTING, *OBJECTS,
                 count=None),
            rule(Answer(503), 'HEAD GET', Kind.ACCOUNT, count=None))
    yield from _each('all 404, the account 503', (RESTORE,), *lost, **more)
    yield from _each('all 404, the account 503', (DELETE,), *lost,
                     left=EVERYTHING, **more)
    yield from _each(
        'every PUT of a chunk 404, the container 503', (BACKUP,),
        rule(gone, 'PUT', Kind.CHUNK, count=None),
        # Not the first, which is before all else.
        dataclasses.replace(unsure, first=2), **more)


def _refusals() -> Iterator[Case]:
    """Answers that are errors and pass."""
    for status, quick in ((408, ()), (409, (BACKUP,)), (422, ()), (500, ()),
                          (507, ())):
        yield from _each(f'PUT of a chunk {status} once',
                         (BACKUP, INCREMENTAL),
                         rule(Answer(status), 'PUT', Kind.CHUNK, first=2),
                         quick=quick)
    yield from _each('PUT of the manifest 409 once', (BACKUP,),
                     rule(Answer(409), 'PUT', Kind.MANIFEST))
    yield from _each('DELETE of a chunk 409 once', (DELETE,),
                     rule(Answer(409), 'DELETE', Kind.CHUNK))
    yield from _each('DELETE of the manifest 409 once', (DELETE,),
                     rule(Answer(409), 'DELETE', Kind.MANIFEST))
    yield from _each(
        'PUT of a chunk 503 early', (BACKUP,),
        rule(Answer(503, early=True), 'PUT', Kind.CHUNK, first=2))
    for fault, operations, method, kind in (
            ('PUT of chunks', (BACKUP, INCREMENTAL), 'PUT', Kind.CHUNK),
            ('GET of chunks', (RESTORE,), 'GET', Kind.CHUNK),
            ('DELETE of chunks', (DELETE,), 'DELETE', Kind.CHUNK)):
        yield from _each(f'{fault} 503, {_MANY} times', operations,
                         rule(Answer(503), method, kind, count=_MANY),
                         quick=(BACKUP, RESTORE, DELETE), patience=30)
        yield from _each(
            f'{fault} 429 with Retry-After, {_MANY} times', operations,
            rule(Answer(429, {'Retry-After': '1'}), method, kind,
                 # A second each, if there is one request at a time.
                 count=_MANY), quick=(BACKUP,), patience=5 * _MANY)
        yield from _each(f'{fault} 498, {_MANY} times', operations,
                         rule(Answer(498), method, kind, count=_MANY),
                         quick=(), patience=30)
    for fault, operations, method, kind in (
            ('PUT of the digests', (BACKUP,), 'PUT', Kind.DIGESTS),
            ('PUT of the manifest', (BACKUP,), 'PUT', Kind.MANIFEST),
            ('GET of the digests', _READING, 'GET', Kind.DIGESTS),
            ('GET of the manifest', (*_READING, DELETE), 'GET',
             Kind.MANIFEST),
            ('listing', (BACKUP, INCREMENTAL, DELETE), 'GET', Kind.LISTING),
            ('HEAD of the container', (BACKUP,), 'HEAD', Kind.CONTAINER),
            ('info', (BACKUP,), 'GET', Kind.INFO)):
        yield from _each(f'{fault} 503, 4 times', operations,
                         rule(Answer(503), method, kind, count=4),
                         quick=(BACKUP,) if method == 'PUT' else ())
    yield from _each(
        'every second request 498', (INCREMENTAL,),
        rule(Answer(498), '', *OBJECTS, count=None, every=2), many=True,
        patience=30, within=180)


def _statuses() -> Iterator[Case]:
    """Answers that are rarer, and those that are combined."""
    for operation, method in ((BACKUP, 'PUT'), (RESTORE, 'GET'),
                              (DELETE, 'DELETE')):
        for status in (502, 504, 520):
            yield from _each(
                f'{method} of a chunk {status} once', (operation,),
                rule(Answer(status), method, Kind.CHUNK, first=2), quick=())
        for status in (401, 403):
            yield from _each(
                f'{method} of chunks {status} for good', (operation,),
                rule(Answer(status), method, Kind.CHUNK, count=None),
                outcomes=(FAILED,), quick=(BACKUP,),
                left=ANYTHING if operation == DELETE else NOTHING)
    for value in ('Wed, 21 Oct 2015 07:28:00 GMT', 'soon', '-5', 'nan', '',
                  # An upper 2, which is a digit and no number.
                  '\xb2'):
        yield from _each(
            f'PUT of a chunk 429, Retry-After {value!a}', (BACKUP,),
            rule(Answer(429, {'Retry-After': value}), 'PUT', Kind.CHUNK,
                 first=2, count=2), quick=())
    yield from _each('429 without Retry-After, 8 times', _ALL,
                     rule(Answer(429), '', *OBJECTS, first=2, count=8),
                     patience=30, quick=())
    yield from _each('every second HEAD and DELETE 498', (BACKUP, DELETE),
                     rule(Answer(498), 'HEAD DELETE', count=None, every=2),
                     patience=30, quick=(DELETE,))
    yield from _each('every second request 503', _ALL,
                     rule(Answer(503), '', count=None, every=2), patience=30,
                     quick=())
    yield from _each(
        'PUTs 503 and reset in turn', (BACKUP, INCREMENTAL),
        rule(Answer(503), 'PUT', *OBJECTS, every=2, count=3),
        rule(Reset(), 'PUT', *OBJECTS, first=2, every=2, count=3),
        patience=30, quick=(INCREMENTAL,))
    for what, answer in (
            ('a web page', Answer(404)), ('a web page', Answer(500)),
            ('a web page', Answer(200, body=_PAGE)),
            ('null', Answer(200, body='null')),
            ('nonsense', Answer(200, body='{"swift": 7, "slo": []}'))):
        yield from _each(
            f'info answers {answer.status} with {what}', (BACKUP,),
            rule(answer, 'GET', Kind.INFO, count=None), quick=())


def _denials() -> Iterator[Case]:
    """What was done and is denied, or is not and is told to be."""
    for kind in (Kind.CHUNK, Kind.DIGESTS, Kind.MANIFEST):
        for status in (404, 409, 500):
            yield from _each(
                f'PUT of {kind} is done, and answered {status}', (BACKUP,),
                rule(Claim(status), 'PUT', kind), quick=())
        for status in (404, 500):
            yield from _each(
                f'DELETE of {kind} is done, and answered {status}',
                (DELETE,), rule(Claim(status), 'DELETE', kind), quick=())
    for kind in (Kind.CHUNK, Kind.DIGESTS):
        yield from _each(f'PUT of {kind} is lost, and answered 201',
                         (BACKUP,), rule(Lose(), 'PUT', kind),
                         outcomes=(DAMAGED,))
    yield from _each('PUT of manifest is lost, and answered 201',
                     (BACKUP, INCREMENTAL),
                     rule(Lose(), 'PUT', Kind.MANIFEST),
                     outcomes=(UNAVAILABLE,), quick=(BACKUP,))


def _deletes() -> Iterator[Case]:
    """What is told to be deleted, and is not."""
    for fault, action in (('404', Answer(404)),
                          ('204, and is lost', Lose())):
        yield from _each(
            f'every DELETE answered {fault}', (DELETE,),
            rule(action, 'DELETE', *OBJECTS, count=None),
            outcomes=(UNAVAILABLE,), left=EVERYTHING,
            quick=(DELETE,) if fault == '404' else ())
    for kind in (Kind.CHUNK, Kind.DIGESTS):
        yield from _each(f'DELETE of {kind} is lost, and answered 204',
                         (DELETE,), rule(Lose(), 'DELETE', kind),
                         quick=(DELETE,) if kind == Kind.CHUNK else ())
    # The delete is repeated, and then nothing is left.
    for fault, faults in (
            ('is lost, and answered 204',
             rule(Lose(), 'DELETE', Kind.MANIFEST)),
            ('404 twice', rule(Answer(404), 'DELETE', Kind.MANIFEST,
                               count=2))):
        yield from _each(f'DELETE of the manifest {fault}', (DELETE,),
                         faults, outcomes=(UNAVAILABLE,), left=ANYTHING,
                         quick=(DELETE,) if fault == '404 twice' else ())
    # A 404 is followed by a second look.
    yield from _each(
        'PUT of the manifest is lost, DELETE of the digests 404 twice',
        (BACKUP, INCREMENTAL), rule(Lose(), 'PUT', Kind.MANIFEST),
        rule(Answer(404), 'DELETE', Kind.DIGESTS, count=2),
        outcomes=(UNAVAILABLE,), quick=(BACKUP,))
    for kind in (Kind.SEGMENT, Kind.DIGESTS):
        yield from _each(
            f'DELETE of {kind} 404 twice', (DELETE,),
            rule(Answer(404), 'DELETE', kind, count=2), segmented=True,
            quick=())
    yield from _each(
        'every DELETE of a segment 404', (DELETE,),
        rule(Answer(404), 'DELETE', Kind.SEGMENT, count=None),
        segmented=True, outcomes=(UNAVAILABLE,), left=ANYTHING, quick=())


def _connections() -> Iterator[Case]:
    """Connections that break, or are not there."""
    for moment in (Moment.BEFORE, Moment.IN_BODY, Moment.AFTER_BODY,
                   Moment.ANSWERED):
        yield from _each(f'PUT of a chunk reset: {moment}', (BACKUP,),
                         rule(Reset(moment), 'PUT', Kind.CHUNK, first=2),
                         quick=_ALL if moment == Moment.IN_BODY else ())
    for fault, operations, method, kind in (
            ('PUT of the digests', (BACKUP,), 'PUT', Kind.DIGESTS),
            ('PUT of the manifest', (BACKUP, INCREMENTAL), 'PUT',
             Kind.MANIFEST),
            ('DELETE of a chunk', (DELETE,), 'DELETE', Kind.CHUNK),
            ('DELETE of the manifest', (DELETE,), 'DELETE', Kind.MANIFEST)):
        yield from _each(f'{fault}: the answer is lost', operations,
                         rule(Reset(Moment.ANSWERED), method, kind),
                         quick=(BACKUP, DELETE))
    yield from _each('GET of a chunk reset', (RESTORE,),
                     rule(Reset(Moment.IN_ANSWER), 'GET', Kind.CHUNK))
    for operation, method, first, many in (
            (BACKUP, 'PUT', 5, False), (INCREMENTAL, 'PUT', 40, True),
            (RESTORE, 'GET', 10, True), (DELETE, 'DELETE', 5, False)):
        yield from _each(
            'idle connections are forgotten', (operation,),
            rule(Forget(), method, Kind.CHUNK, first=first), many=many)
    yield from _each(
        'idle connections are forgotten at the end', (INCREMENTAL,),
        rule(Forget(), 'PUT', Kind.DIGESTS), many=True)
    for operation, method in (
            (BACKUP, 'PUT'), (INCREMENTAL, 'PUT'), (RESTORE, 'GET'),
            (DELETE, 'DELETE')):
        for seconds in (2, 20):
            yield from _each(
                f'connections are refused for {seconds} s', (operation,),
                rule(Refuse(seconds), method, Kind.CHUNK, first=2),
                patience=seconds * 5, within=120,
                quick=(BACKUP, RESTORE, DELETE) if seconds == 2 else ())


def _few_connections() -> Iterator[Case]:
    """Connections that are few, or that do not live long."""
    for fault, action, every in (
            ('idle connections are forgotten at every 4th request',
             Forget(), 4),
            ('every 4th request is reset', Reset(), 4),
            ('every 3rd connection is closed after its answer',
             Tell({'Connection': 'close'}), 3),
            ('one request at a time, or else 503', Limit(1, 503), 1),
            ('one request at a time, or else 429', Limit(1, 429), 1),
            ('one connection at a time', Alone(), 1)):
        yield from _each(fault, _ALL,
                         rule(action, '', count=None, every=every),
                         patience=30, within=180, quick=())


def _bodies() -> Iterator[Case]:
    """Bodies that arrive damaged, or not whole."""
    for kind, operations in ((Kind.CHUNK, (RESTORE,)),
                             (Kind.DIGESTS, _READING),
                             (Kind.MANIFEST, _READING),
                             (Kind.LISTING, (BACKUP, DELETE))):
        yield from _each(f'GET of {kind} breaks off', operations,
                         rule(Close(), 'GET', kind), quick=(RESTORE, DELETE))
        yield from _each(f'GET of {kind} is short', operations,
                         rule(Shorten(), 'GET', kind),
                         quick=(INCREMENTAL, RESTORE, BACKUP))
    for kind, operations in ((Kind.CHUNK, (RESTORE,)),
                             (Kind.DIGESTS, _READING)):
        yield from _each(f'GET of {kind} with a wrong bit', operations,
                         rule(Flip(), 'GET', kind))
    # A restore reads that of the full backup first.
    for operation, first in ((INCREMENTAL, 1), (RESTORE, 2)):
        yield from _each('GET of manifest with a wrong bit', (operation,),
                         rule(Flip('gold'), 'GET', Kind.MANIFEST,
                              first=first))
    for kind in (Kind.CHUNK, Kind.DIGESTS, Kind.MANIFEST):
        yield from _each(f'PUT of {kind} with a wrong bit', (BACKUP,),
                         rule(Flip(), 'PUT', kind),
                         quick=_ALL if kind == Kind.MANIFEST else ())
    yield from _each(
        'every GET of a chunk with a wrong bit', (RESTORE,),
        rule(Flip(), 'GET', Kind.CHUNK, count=None), outcomes=(DAMAGED,))
    yield from _each(
        'every GET of the digests with a wrong bit', (RESTORE,),
        rule(Flip(), 'GET', Kind.DIGESTS, count=None),
        outcomes=(DAMAGED, UNAVAILABLE), patience=3)


def _of_parent(kind: Kind, count: int | None, backup: Any,
               parent: Any) -> rules.Rule:
    """What is asked of the backup is answered for its parent."""
    return _of_other(kind, count, parent, backup)


def _of_other(kind: Kind, count: int | None, other: Any,
              asked: Any, first: int = 1) -> rules.Rule:
    mine, others = (each.service_metadata for each in (asked, other))
    return rule(Other(re.escape(mine), others), 'GET', kind,
                first=first, count=count, match=re.escape(mine))


def _strange_answers() -> Iterator[Case]:
    """Answers of something else, and answers for something else."""
    for kind, operations in ((Kind.MANIFEST, (*_READING, DELETE)),
                             (Kind.DIGESTS, _READING),
                             (Kind.CHUNK, (RESTORE,)),
                             (Kind.LISTING, (BACKUP, DELETE))):
        yield from _each(f'GET of {kind} answered by a web page', operations,
                         rule(Answer(200, body=_PAGE), 'GET', kind),
                         options=_RETRIED, quick=(RESTORE, DELETE))
        yield from _each(f'GET of {kind} answered 204', operations,
                         rule(Answer(204), 'GET', kind),
                         options=_RETRIED, quick=())
    yield from _each(
        'listings are web pages', (DELETE,),
        rule(Answer(200, body=_PAGE), 'GET', Kind.LISTING, count=None),
        outcomes=(UNAVAILABLE,), left=EVERYTHING, patience=3)
    yield from _each(
        'a manifest with the MD5 of another text', _READING,
        rule(Replace(_PAGE), 'GET', Kind.MANIFEST), options=_RETRIED,
        quick=())
    yield from _each(
        'DELETE of a chunk answered by a web page', (DELETE,),
        rule(Answer(200, body=_PAGE), 'DELETE', Kind.CHUNK))
    yield from _each(
        'PUT of a chunk answered by a web page', (BACKUP,),
        rule(Answer(200, body=_PAGE), 'PUT', Kind.CHUNK))
    yield from _each(
        'HEAD of the digests answered by a web page', (INCREMENTAL, DELETE),
        rule(Answer(200, body=_PAGE), 'HEAD', Kind.DIGESTS))
    yield from _each(
        'nothing is listed, HEAD of a chunk answered by a web page',
        (BACKUP,),
        rule(List(Extent.NOTHING), 'GET', Kind.LISTING, count=None),
        rule(Answer(200, body=_PAGE), 'HEAD', Kind.CHUNK))
    yield from _each(
        'HEAD of the container answered by a web page', (BACKUP,),
        rule(Answer(200, body=_PAGE), 'HEAD', Kind.CONTAINER))
    yield from _each(
        'GET of a chunk answers another, once', (RESTORE,),
        rule(Other('-00008 ', '-00016 '), 'GET', Kind.CHUNK,
             match='-00008'))
    yield from _each(
        'GET of a chunk answers another, for good', (RESTORE,),
        rule(Other('-00008 ', '-00016 '), 'GET', Kind.CHUNK, count=None,
             match='-00008'), outcomes=(DAMAGED,))
    for fault, count, outcome in (('once', 1, DONE),
                                  ('for good', None, DAMAGED)):
        yield from _each(
            f"GET of the manifest answers the parent's, {fault}",
            (RESTORE,), late=functools.partial(
                _of_parent, Kind.MANIFEST, count),
            outcomes=(outcome,), quick=())
        yield from _each(
            f'GET of the digests answers another, {fault}', (RESTORE,),
            late=functools.partial(_of_parent, Kind.DIGESTS, count),
            outcomes=(outcome,), quick=(RESTORE,) if count else ())
    # With the other's digests there is nothing to store.
    yield from _each(
        'GET of the digests answers another, once', (SECOND,),
        late=functools.partial(_of_other, Kind.DIGESTS, 1))
    yield from _each(
        'GET of the manifest answers the digests, once',
        (*_READING, DELETE),
        rule(Other('_metadata', '_sha256file'), 'GET', Kind.MANIFEST),
        quick=())


def _headers() -> Iterator[Case]:
    """Headers of answers that are wrong, or not there."""
    for fault, headers in (('wrong', {'Etag': '0' * 32}),
                           ('missing', {'Etag': None})):
        yield from _each(
            f'PUT of a chunk, the ETag is {fault} once', (BACKUP,),
            rule(Tell(headers), 'PUT', Kind.CHUNK))
        yield from _each(
            f'PUT of chunks, the ETag is {fault} for good', (BACKUP,),
            rule(Tell(headers), 'PUT', Kind.CHUNK, count=None),
            outcomes=(UNAVAILABLE,), quick=())
    yield from _each(
        'GETs, no ETag', _READING,
        rule(Tell({'Etag': None}), 'GET', *OBJECTS, count=None), quick=())
    for value in ('999999999', '100', '-1', 'abc', '0'):
        for operation, kind in ((RESTORE, Kind.CHUNK),
                                (DELETE, Kind.MANIFEST)):
            yield from _each(
                f'GET of {kind}, the length is {value}', (operation,),
                rule(Tell({'Content-Length': value}), 'GET', kind),
                patience=30, quick=(RESTORE,) if value == '100' else ())
    yield from _each(
        'GET of a chunk without a length', (RESTORE,),
        rule(Unmeasured(), 'GET', Kind.CHUNK), quick=())
    yield from _each(
        'every GET without a length', (RESTORE,),
        rule(Unmeasured(), 'GET', count=None), outcomes=(UNAVAILABLE,),
        patience=3, quick=())
    yield from _each(
        'a container that does not count', (BACKUP, DELETE),
        rule(Tell({'X-Container-Object-Count': '-3',
                   'X-Container-Bytes-Used': None}), 'HEAD GET',
             Kind.CONTAINER, Kind.LISTING, count=None), quick=())


def _listings() -> Iterator[Case]:
    """Listings that lag."""
    for extent in (Extent.NOTHING, Extent.HALF):
        yield from _each(
            f'listings show {extent}', (BACKUP, INCREMENTAL, DELETE),
            rule(List(extent), 'GET', Kind.LISTING, count=None),
            quick=((BACKUP, DELETE) if extent == Extent.NOTHING
                   else (DELETE,)))
    yield from _each(
        f'listings show {Extent.OLD}', (INCREMENTAL, DELETE),
        rule(List(Extent.OLD), 'GET', Kind.LISTING, count=None), quick=())
    for extent in (Extent.TWICE, Extent.BACKWARDS):
        yield from _each(
            f'listings show {extent}', (BACKUP, INCREMENTAL, DELETE),
            rule(List(extent), 'GET', Kind.LISTING, count=None),
            quick=(DELETE,))
    for extent in (Extent.FIRST, Extent.CUT, Extent.NULLS):
        yield from _each(
            f'listings show {extent}, for good', (DELETE,),
            rule(List(extent), 'GET', Kind.LISTING, count=None),
            outcomes=(UNAVAILABLE,), left=EVERYTHING, patience=3)
        yield from _each(
            f'listings show {extent}, once', (BACKUP, DELETE),
            rule(List(extent), 'GET', Kind.LISTING), quick=())
    yield from _each(
        'listings show nothing, GET of the manifest 503', (DELETE,),
        rule(List(Extent.NOTHING), 'GET', Kind.LISTING, count=None),
        rule(Answer(503), 'GET', Kind.MANIFEST, count=None),
        outcomes=(UNAVAILABLE,), left=EVERYTHING, patience=3)


def _outages() -> Iterator[Case]:
    """All of it, for good."""
    more: dict[str, Any] = {
        'outcomes': (UNAVAILABLE,), 'left': ANYTHING, 'patience': 3}
    for operation, first in ((BACKUP, 1), (INCREMENTAL, 1), (RESTORE, 1),
                             (DELETE, 1), (BACKUP, 6), (INCREMENTAL, 10),
                             (RESTORE, 6), (DELETE, 5)):
        yield from _each(
            f'all 503 from request {first} on', (operation,),
            rule(Answer(503), first=first, count=None),
            quick=_ALL if first > 1 else (BACKUP,), **more)
    # Everything else works, and so does cleaning up.
    yield from _each(
        'PUT and HEAD of the digests 503 for good', (BACKUP, INCREMENTAL),
        rule(Answer(503), 'PUT HEAD', Kind.DIGESTS, count=None),
        quick=(BACKUP,), **{**more, 'left': NOTHING})
    for operation, first in ((BACKUP, 6), (INCREMENTAL, 10), (RESTORE, 6),
                             (DELETE, 5)):
        yield from _each(
            f'connections are refused from request {first} on', (operation,),
            rule(Refuse(3600), first=first), quick=(BACKUP,), **more)
        # As long as a socket waits.
        yield from _each(
            f'all stalls from request {first} on', (operation,),
            rule(Stall(3600), first=first, count=None), quick=(),
            within=90, **more)


def _slowness() -> Iterator[Case]:
    """What takes its time."""
    for operation, method in ((BACKUP, 'PUT'), (RESTORE, 'GET')):
        yield from _each(
            '64 KiB a second', (operation,),
            rule(Slow(1 << 16), method, Kind.CHUNK, count=None), quick=())
        for moment in (Moment.BEFORE, Moment.IN_BODY, Moment.AFTER_BODY):
            yield from _each(
                f'{method} of a chunk stalls: {moment}', (operation,),
                rule(Stall(3600, moment if operation == BACKUP
                           else Moment.IN_ANSWER), method, Kind.CHUNK),
                quick=(), patience=300, within=400)
            if operation == RESTORE:
                break


def _segments() -> Iterator[Case]:
    """Digests in segments, in a container of their own."""
    for fault, operations, action, method, kind in (
            ('PUT of the container of segments 503', (BACKUP,), Answer(503),
             'PUT', Kind.CONTAINER),
            ('PUT of a segment 503', (BACKUP, INCREMENTAL), Answer(503),
             'PUT', Kind.SEGMENT),
            ('PUT of a segment 404', (BACKUP,), Answer(404), 'PUT',
             Kind.SEGMENT),
            ('PUT of the digests answered by a web page,', (BACKUP,),
             Answer(200, body=_PAGE), 'PUT', Kind.DIGESTS),
            ('HEAD of the list of segments answered by a web page,',
             (RESTORE, DELETE), Answer(200, body=_PAGE), 'HEAD',
             Kind.DIGESTS),
            ('PUT of a segment with a wrong bit', (BACKUP,), Flip(), 'PUT',
             Kind.SEGMENT),
            ('GET of a segment 404', _READING, Answer(404), 'GET',
             Kind.SEGMENT),
            ('GET of a segment with a wrong bit', _READING, Flip(), 'GET',
             Kind.SEGMENT),
            ('GET of a segment breaks off', _READING, Close(), 'GET',
             Kind.SEGMENT),
            ('GET of the list of segments with a wrong bit',
             (INCREMENTAL, RESTORE, DELETE), Flip('segments'), 'GET',
             Kind.DIGESTS),
            ('DELETE of a segment 503', (DELETE,), Answer(503), 'DELETE',
             Kind.SEGMENT)):
        yield from _each(f'{fault} once', operations,
                         rule(action, method, kind), segmented=True,
                         quick=(BACKUP, INCREMENTAL, DELETE))
    yield from _each(
        'every DELETE of a segment 404, their container 503', (DELETE,),
        rule(Answer(404), 'DELETE', Kind.SEGMENT, count=None),
        rule(Answer(503), 'HEAD', Kind.CONTAINER, count=None),
        segmented=True, outcomes=(UNAVAILABLE,), left=ANYTHING, patience=3)
    # An incremental asks for the list before, to see whether all are there.
    for fault, kind, first in (('a segment', Kind.SEGMENT, 1),
                               ('the list of segments', Kind.DIGESTS, 2)):
        yield from _each(
            f'GET of {fault} answers another, once', (RESTORE,),
            late=functools.partial(_of_parent, kind, 1), segmented=True)
        yield from _each(
            f'GET of {fault} answers another, once', (SECOND,),
            late=functools.partial(_of_other, kind, 1, first=first),
            segmented=True, quick=())


def _silence() -> Iterator[Case]:
    """What says nothing for long, and goes on."""
    yield from _each(
        'bodies slower than patience', (RESTORE,),
        rule(Slow(45 << 10), 'GET', Kind.CHUNK, count=None), many=True,
        patience=8, within=300, quick=())
    for kind, operations in ((Kind.CHUNK, (RESTORE,)),
                             (Kind.MANIFEST, (*_READING, DELETE)),
                             (Kind.LISTING, (BACKUP, DELETE))):
        yield from _each(
            f'GET of {kind} stalls before its answer', operations,
            rule(Stall(3600, Moment.ANSWERED), 'GET', kind),
            patience=60, within=120, quick=())
    yield from _each(
        'the head of an answer at 20 bytes a second', (BACKUP, RESTORE),
        rule(Drip(20), 'PUT GET', Kind.CHUNK), within=120, quick=())


def _logins() -> Iterator[Case]:
    """Keystone, where the driver logs in."""
    yield from _each('logins are refused for 2 s', (BACKUP, RESTORE),
                     rule(Refuse(2), 'POST'), quick=(BACKUP,))
    yield from _each('login 503, 4 times', (BACKUP, RESTORE, DELETE),
                     rule(Answer(503), 'POST', count=4), quick=(RESTORE,))
    for operation, left in ((BACKUP, NOTHING), (RESTORE, NOTHING),
                            (DELETE, EVERYTHING)):
        yield from _each(
            'login 503 for good', (operation,),
            rule(Answer(503), 'POST', count=None), quick=(DELETE,),
            outcomes=(UNAVAILABLE,), left=left, patience=3)
    yield from _each('login 500, twice', (BACKUP,),
                     rule(Answer(500), 'POST', count=2), quick=())
    yield from _each(
        'login answered by a web page for good', (BACKUP, DELETE),
        rule(Answer(201, body=_PAGE), 'POST', count=None), patience=3,
        outcomes=(UNAVAILABLE, FAILED), left=ANYTHING, quick=())
    yield from _each(
        'a catalog without object-store', (BACKUP, DELETE),
        rule(Substitute('object-store', 'objekt-store'), 'POST', count=None),
        outcomes=(FAILED,), left=ANYTHING, quick=(BACKUP,))
    yield from _each(
        'tokens that have always expired', (BACKUP, RESTORE),
        rule(Substitute('"expires_at": "20', '"expires_at": "19'), 'POST',
             count=None), quick=())
    yield from _each('a login that stalls', (BACKUP,),
                     rule(Stall(3600), 'POST'), patience=200, within=300,
                     quick=())


def _packs() -> Iterator[Case]:
    """The same of packs, and of pages, which are named as chunks are."""
    pack, page = Kind.PACK, Kind.CHUNK
    for fault, operations, action, method, kind in (
            ('PUT of a pack 503, 4 times', (BACKUP, INCREMENTAL),
             Answer(503), 'PUT', pack),
            ('PUT of a pack, its answer is lost', (BACKUP,),
             Reset(Moment.ANSWERED), 'PUT', pack),
            ('PUT of a pack is reset', (INCREMENTAL,), Reset(Moment.IN_BODY),
             'PUT', pack),
            ('PUT of a pack with a wrong bit', (BACKUP,), Flip(), 'PUT',
             pack),
            ('PUT of pages with a wrong bit', (INCREMENTAL,), Flip(), 'PUT',
             page),
            ('GET of a pack with a wrong bit', _READING, Flip(), 'GET',
             pack),
            ('GET of a pack is short', _READING, Shorten(), 'GET', pack),
            ('GET of a pack breaks off', _READING, Close(), 'GET', pack),
            ('GET of a pack 404 once', (RESTORE,), Answer(404), 'GET', pack),
            ('GET of pages with a wrong bit', _READING, Flip(), 'GET', page),
            ('GET of pages is short', (RESTORE,), Shorten(), 'GET', page),
            ('DELETE of a pack 503, 4 times', (DELETE,), Answer(503),
             'DELETE', pack),
            # The sweep notes all packs before it deletes them.
            ('PUT of the note 503, 4 times', (DELETE,), Answer(503), 'PUT',
             Kind.NOTE),
            ('PUT of the note with a wrong bit', (DELETE,), Flip(), 'PUT',
             Kind.NOTE),
            ('DELETE of the note, its answer is lost', (DELETE,),
             Reset(Moment.ANSWERED), 'DELETE', Kind.NOTE)):
        yield from _each(
            fault, operations,
            rule(action, method, kind, count=4 if '4 times' in fault else 1),
            quick=operations[:1], packed=True)
    yield from _each(
        'GET of a pack 404 for good', (RESTORE,),
        rule(Answer(404), 'GET', pack, count=None), outcomes=(DAMAGED,),
        packed=True)
    yield from _each(
        'GET of pages with a wrong bit for good', (RESTORE,),
        rule(Flip(), 'GET', page, count=None), outcomes=(DAMAGED,),
        packed=True)
    # It becomes a full backup.
    yield from _each(
        'GET of pages with a wrong bit for good', (INCREMENTAL,),
        rule(Flip(), 'GET', page, count=None), packed=True)
    yield from _each(
        "GET of the parent's packs 404 for good", (INCREMENTAL,),
        rule(Answer(404), 'GET', pack, count=None), packed=True)
    yield from _each(
        'nothing is listed', (BACKUP, INCREMENTAL),
        rule(List(Extent.NOTHING), 'GET', Kind.LISTING, count=None),
        packed=True, quick=(INCREMENTAL,))


def _all() -> Iterator[Case]:
    for some in (_absent, _absent_containers, _absent_for_a_while, _unsure,
                 _refusals, _statuses, _denials, _deletes, _connections,
                 _few_connections, _bodies, _strange_answers, _headers,
                 _listings, _outages, _slowness, _silence, _segments,
                 _packs):
        yield from some()


CASES = tuple(_all())
QUICK = tuple(case for case in CASES if case.quick)
LOGINS = tuple(_logins())
QUICK_LOGINS = tuple(case for case in LOGINS if case.quick)
