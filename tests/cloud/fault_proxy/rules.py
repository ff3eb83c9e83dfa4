# SPDX-License-Identifier: Apache-2.0

"""What the fault proxy breaks, as values that travel as JSON.

A rule says which requests it is for, and what happens to them. The first rule
that takes a request is the only one to touch it.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import enum
import json
import re
from typing import Any
import urllib.parse


class Kind(enum.StrEnum):
    """What a request is about."""

    INFO = 'info'
    ACCOUNT = 'account'
    CONTAINER = 'container'
    LISTING = 'listing'
    CHUNK = 'chunk'
    PACK = 'pack'
    NOTE = 'note of packs'
    DIGESTS = 'digests'
    SEGMENT = 'segment'
    MANIFEST = 'manifest'
    OTHER = 'other'


OBJECTS = (Kind.CHUNK, Kind.PACK, Kind.DIGESTS, Kind.SEGMENT, Kind.MANIFEST)


class Moment(enum.StrEnum):
    """When something happens to a request."""

    BEFORE = 'before its body is read'
    IN_BODY = 'half of its body was read'
    AFTER_BODY = 'all of it was read, and Swift has not got the end'
    ANSWERED = 'Swift has done it, and the client does not know'
    IN_ANSWER = 'half of the body of the answer was sent'


class Extent(enum.StrEnum):
    """How much of the truth a listing shows."""

    NOTHING = 'no objects'
    HALF = 'every second object'
    OLD = 'what there was at first'
    FIRST = 'the first page again'
    TWICE = 'every object twice'
    BACKWARDS = 'objects backwards'
    CUT = 'half of their text'
    NULLS = 'objects without values'


@dataclasses.dataclass(frozen=True)
class Pass:
    """Let it through, and count it."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """Answer with a status instead of Swift.

    ``early`` answers before the body is read, and closes the connection.
    ``body`` is what to say; ``headers`` win over those that belong to it.
    """

    status: int
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    early: bool = False
    body: str = '<html><h1>A fault of the tests</h1></html>'


@dataclasses.dataclass(frozen=True)
class Claim:
    """Have Swift do it, and answer with this status instead of Swift's."""

    status: int


@dataclasses.dataclass(frozen=True)
class Lose:
    """Answer as Swift would that it is done, and do nothing."""


@dataclasses.dataclass(frozen=True)
class Tell:
    """Change headers of the answer: None takes one away."""

    headers: Mapping[str, str | None]


@dataclasses.dataclass(frozen=True)
class Replace:
    """Answer as Swift does, with another text."""

    text: str
    type: str = 'text/html'


@dataclasses.dataclass(frozen=True)
class Substitute:
    """Replace a text in the body of the answer."""

    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Unmeasured:
    """Send the body in chunks of HTTP, without its length."""


@dataclasses.dataclass(frozen=True)
class Other:
    """Ask Swift for something else: a regular expression, and its place."""

    pattern: str
    text: str


@dataclasses.dataclass(frozen=True)
class Drip:
    """Send the head of the answer a byte at a time, so many a second."""

    rate: float


@dataclasses.dataclass(frozen=True)
class Limit:
    """Answer with a status what is more than so many requests at once."""

    count: int
    status: int


@dataclasses.dataclass(frozen=True)
class Alone:
    """Serve a connection only when no other one is open."""


@dataclasses.dataclass(frozen=True)
class Reset:
    """Reset the connection."""

    moment: Moment = Moment.BEFORE


@dataclasses.dataclass(frozen=True)
class Close:
    """End the connection as if all were said."""

    moment: Moment = Moment.IN_ANSWER


@dataclasses.dataclass(frozen=True)
class Stall:
    """Do nothing for so many seconds, then reset the connection."""

    seconds: float
    moment: Moment = Moment.BEFORE


@dataclasses.dataclass(frozen=True)
class Shorten:
    """Send the first half of the body, as if that were all of it."""


@dataclasses.dataclass(frozen=True)
class Flip:
    """Flip one bit of the body: of the request's, or else of the answer's.

    It is in the middle, or in the last byte of ``text`` where that is first.
    """

    text: str = ''


@dataclasses.dataclass(frozen=True)
class List:
    """Show less than there is."""

    extent: Extent


@dataclasses.dataclass(frozen=True)
class Slow:
    """Pass so many bytes a second, both ways."""

    rate: int


@dataclasses.dataclass(frozen=True)
class Refuse:
    """Reset all connections and refuse others, for so many seconds."""

    seconds: float


@dataclasses.dataclass(frozen=True)
class Forget:
    """Let it through, then forget all connections.

    Each is reset when it is used again, as by a balancer that was restarted;
    new ones work.
    """


Action = (Pass | Answer | Reset | Close | Stall | Shorten | Flip | List | Slow
          | Refuse | Forget | Claim | Lose | Tell | Replace | Substitute
          | Unmeasured | Other | Drip | Limit | Alone)
_ACTIONS = {each.__name__: each for each in (
    Pass, Answer, Reset, Close, Stall, Shorten, Flip, List, Slow, Refuse,
    Forget, Claim, Lose, Tell, Replace, Substitute, Unmeasured, Other, Drip,
    Limit, Alone)}


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which requests to break, and how.

    ``methods`` and ``kinds`` are of any if there are none. ``first`` is the
    number of the first of these requests that is broken, and with ``every``
    above 1 only each so many-th behind it; ``count`` is how many are, or None
    if all the rest. ``idle`` leaves out those whose connection has been idle
    for less than so many seconds. ``match``, a regular expression, has to be
    in the target. Behind the first that is broken, it lasts ``seconds``.
    """

    action: Action
    methods: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    first: int = 1
    count: int | None = 1
    every: int = 1
    idle: float = 0
    match: str = ''
    seconds: float | None = None

    def concerns(self, method: str, kind: Kind, target: str) -> bool:
        """Whether it is for such requests."""
        return ((not self.methods or method in self.methods)
                and (not self.kinds or kind in self.kinds)
                and bool(re.search(self.match, target)))


def rule(action: Action, method: str = '', *kinds: Kind,
         count: int | None = 1, **more: Any) -> Rule:
    """A rule, written briefly: ``method`` may be several, as ``HEAD GET``."""
    return Rule(action, tuple(method.split()), kinds, count=count, **more)


def dump(rules: Iterable[Rule]) -> str:
    """Rules as text."""
    return json.dumps([
        {**dataclasses.asdict(each), 'name': type(each.action).__name__}
        for each in rules])


def load(text: str) -> list[Rule]:
    """The rules of a text."""
    return [_load(fields) for fields in json.loads(text)]


def _load(fields: dict[str, Any]) -> Rule:
    action = _ACTIONS[fields.pop('name')](**fields.pop('action'))
    methods = tuple(fields.pop('methods'))
    kinds = tuple(map(Kind, fields.pop('kinds')))
    return Rule(action, methods, kinds, **fields)


_ENDINGS = (
    (re.compile(r'_metadata\Z'), Kind.MANIFEST),
    (re.compile(r'_sha256file\Z'), Kind.DIGESTS),
    (re.compile(r'_sha256file-\d{6,}\Z'), Kind.SEGMENT),
    (re.compile(r'/packs/[^/]+-\d{6,}\Z'), Kind.PACK),
    (re.compile(r'/packs/condemned\Z'), Kind.NOTE),
    # In the form of packs, these are objects of pages.
    (re.compile(r'-\d{5,}\Z'), Kind.CHUNK),
)


def kind_of(method: str, target: str) -> Kind:
    """What a request is about, by its target."""
    path = urllib.parse.urlsplit(target).path.strip('/')
    if path == 'info':
        return Kind.INFO
    # Version, account, container, object.
    parts = path.split('/', 3)
    if len(parts) < 3:
        return Kind.ACCOUNT
    if len(parts) == 3:
        return Kind.LISTING if method == 'GET' else Kind.CONTAINER
    for ending, kind in _ENDINGS:
        if ending.search(parts[3]):
            return kind
    return Kind.OTHER
