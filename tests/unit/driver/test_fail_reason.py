# SPDX-License-Identifier: Apache-2.0

"""What is wrong and what to do are whole in what Cinder keeps of an error.

Cinder's column for it has 255 characters, and Cinder's own words come first.

1. Each kind of error with each remedy, and with the longest names there are.
2. Each error that the package raises, found in its source. What only a run
   can tell stands there as samples of realistic lengths.
3. Whatever else somebody may say: the remedy is whole all the same.
"""

import ast
from collections.abc import Iterator
import dataclasses
import itertools
import pathlib
import uuid

from cinder import exception as cinder_exception
from hypothesis import given
from hypothesis import strategies as st

import cinder_swift_backup
from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import errors
from tests.unit.driver import base

_ROOT = pathlib.Path(cinder_swift_backup.__file__).parent
_ID = str(uuid.UUID(int=1 << 127))
_NAMES = {
    'name': f'volume_{_ID}/20260821120000/az_nova_backup_{_ID}-0001600',
    'container': 'c' * 256, 'offset': 52428800, 'end': 52461568,
    'transaction': 'tx0123456789abcdef01234-0065a1b2c3'}
_BODY = 'b' * 110
_NESTED = (
    "HTTPConnectionPool(host='swift.example.com', port=8080): Max retries "
    "exceeded with url: /v1/AUTH_0123456789abcdef0123456789abcdef/backups/"
    "volume_1 (Caused by NewConnectionError('<urllib3.connection."
    "HTTPConnection object at 0x7f0123456789>: Failed to establish a new "
    "connection: [Errno 111] Connection refused'))")

# What stands in braces in the source, by what it is. All else is a number or
# the name of an option.
_SAMPLES = {
    'err': _NESTED,
    '_noun(name)': 'the digest file',
    'refused.what': f'Swift answered 401 Unauthorized ({_BODY})',
    'text': f'Swift answered 413 Request Entity Too Large ({_BODY})',
    '_answer(err)': f'413 Request Entity Too Large ({_BODY})',
    'network_errors.reason(err)': 'r' * 100,
    'self._url.netloc': 'swift.internal.example.com:8080',
    'self._access.storage_url': 'https://swift.internal.example.com:8080/v1/'
                                'AUTH_0123456789abcdef0123456789abcdef',
    'url': 'https://swift.internal.example.com:8080/v1/AUTH_0123456789abcdef',
    'what': 'it names ' + 'n' * 80 + ', which is not an object of this backup',
    'word[:80].lower()': 'w' * 80,
}
# The same, where the words mean something else.
_LOCAL_SAMPLES = {
    ('engine/volumes/base.py', 'err'): '[Errno 5] Input/output error',
    ('engine/spool.py', 'err.strerror or err'): 'No space left on device',
    ('engine/spool.py', 'what'):
        'no file can be created in the directory for temporary files',
    ('format/documents.py', 'err'):
        'Expecting property name enclosed in double quotes: line 1 column 2 '
        '(char 1)',
    ('format/streams.py', 'what'):
        'an object is no valid zstd stream (Data corruption detected)',
    ('stores/version_1.py', 'what'): 'user',
    ('format/streams.py', 'err'):
        'Error -3 while decompressing data: invalid distance too far back',
}
_OTHER = 'backup_swift_option'
# Remedies that are an argument or an attribute where an error is made.
_GIVEN_REMEDIES = {
    'certificate': (exceptions.Remedy.CERTIFICATE,
                    exceptions.Remedy.SERVICE_CERTIFICATE),
    'login': (exceptions.Remedy.LOGIN, exceptions.Remedy.SERVICE_LOGIN),
    'unfit': (exceptions.Remedy.LOGIN, exceptions.Remedy.LOGIN_URL,
              exceptions.Remedy.SERVICE_LOGIN),
    'remedy': (exceptions.Remedy.ENDPOINT, exceptions.Remedy.LOGIN_ENDPOINT),
    'self._credentials.remedy': (exceptions.Remedy.TOKEN,
                                 exceptions.Remedy.LOGIN)}


def _kinds(root=exceptions.BackupError) -> Iterator[type]:
    yield root
    for kind in root.__subclasses__():
        if kind.__module__.startswith('cinder_swift_backup'):
            yield from _kinds(kind)


@dataclasses.dataclass(frozen=True)
class _Site:
    """A place in the source that makes an error."""

    path: str
    line: int
    kind: type[exceptions.BackupError]
    what: str
    numbers: bool
    remedy: exceptions.Remedy | None


def _sites() -> Iterator[_Site]:
    """All of them, but those of the command, which Cinder does not see."""
    kinds = {kind.__name__: kind for kind in _kinds()}
    makers = {**kinds, 'damaged': exceptions.FormatError,
              '_damaged': exceptions.FormatError}
    for path in sorted(_ROOT.rglob('*.py')):
        name = str(path.relative_to(_ROOT))
        if name.startswith('cli/'):
            continue
        known = makers if name.startswith('format/') else kinds
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _called(node) in known:
                yield from _made(name, node, known[_called(node)])


def _called(node: ast.Call) -> str:
    return getattr(node.func, 'attr', getattr(node.func, 'id', ''))


def _made(path: str, node: ast.Call, kind: type) -> Iterator[_Site]:
    # The document is the first argument of documents.damaged().
    place = 1 if _called(node) == 'damaged' else 0
    given = {each.arg: ast.unparse(each.value) for each in node.keywords}
    before = 'the digest file is damaged, ' if place else ''
    for text in _texts(path, node.args[place]):
        for remedy in _remedies(given.get('remedy')):
            yield _Site(path, node.lineno, kind, before + text,
                        'expected' in given and 'actual' in given, remedy)


def _remedies(words: str | None) -> tuple[exceptions.Remedy | None, ...]:
    if words is None or words in _GIVEN_REMEDIES:
        return _GIVEN_REMEDIES.get(words, (None,))
    return (exceptions.Remedy[words.rpartition('.')[2]],)


def _texts(path: str, node: ast.expr) -> list[str]:
    """What an expression may be, with samples for what is not known."""
    match node:
        case ast.Constant():
            return [str(node.value)]
        case ast.JoinedStr():
            return _joined([_texts(path, each) for each in node.values])
        case ast.BinOp():
            return _joined([_texts(path, node.left),
                            _texts(path, node.right)])
        case ast.IfExp():
            return _texts(path, node.body) + _texts(path, node.orelse)
        case ast.FormattedValue():
            return _texts(path, node.value)
    words = ast.unparse(node)
    return [_LOCAL_SAMPLES.get((path, words),
                               _SAMPLES.get(words, _OTHER))]


def _joined(parts: list[list[str]]) -> list[str]:
    return [''.join(each) for each in itertools.product(*parts)]


def _remedy(err: exceptions.BackupError) -> str:
    """What the driver tells to do about an error."""
    return errors.sentence(type(err)('', remedy=err.remedy))[2:]


class FailReasonTest(base.DriverTestCase):
    """The first 255 characters."""

    def _kept(self, err):
        """What Cinder keeps of an error, and all of it."""
        def run():
            with errors.translated(_ID):
                raise err
        text = str(self.assertRaises(cinder_exception.CinderException, run))
        return text[:255], text

    def _assert_whole(self, err, why=''):
        kept, text = self._kept(err)
        remedy = _remedy(err)
        self.assertRegex(remedy, r'^[A-Z].*\.$')
        self.assertIn(f': {err.clause}. {remedy}', kept, f'{why}: {text}')
        self.assertIn(f'{remedy} [', text)

    def test_each_kind_with_each_remedy(self):
        kinds = set(_kinds()) - {exceptions.Cancelled}
        self.assertLess(15, len(kinds))
        for kind in kinds:
            for remedy in (None, *exceptions.Remedy):
                self._assert_whole(kind(
                    'what is wrong is told in no more words than such a line',
                    remedy=remedy, **_NAMES), (kind, remedy))

    def test_digests_are_names(self):
        err = exceptions.DigestMismatch(
            'an object is damaged', expected='a' * 64, actual='b' * 64,
            **_NAMES)
        self._assert_whole(err)
        self.assertIn(f'; {"b" * 64} instead of {"a" * 64}]',
                      self._kept(err)[1])

    def test_each_error_that_is_raised(self):
        sites = list(_sites())
        self.assertLess(80, len(sites))
        self.assertLess(15, len({site.path for site in sites}))
        cut = []
        for site in sites:
            if issubclass(site.kind, exceptions.Cancelled):
                continue
            numbers = {'expected': 1 << 40, 'actual': 1 << 40} if (
                site.numbers) else {}
            err = site.kind(site.what, remedy=site.remedy, **numbers, **_NAMES)
            kept, text = self._kept(err)
            if f'{err.clause}. {_remedy(err)}' not in kept:
                cut.append(f'{site.path}:{site.line}: {text}')
        self.assertEqual([], cut)

    def test_no_error_begins_with_what_only_names_could_tell(self):
        for site in _sites():
            self.assertNotRegex(site.what, '^(it|its|they|this) ',
                                f'{site.path}:{site.line}')

    def test_refused_tokens(self):
        for remedy in (exceptions.Remedy.TOKEN, exceptions.Remedy.LOGIN):
            self._assert_whole(exceptions.AccessDenied(
                f'Swift answered 401 Unauthorized ({_BODY})', remedy=remedy,
                **_NAMES), remedy)

    @given(st.text(max_size=600), st.sampled_from(list(exceptions.Remedy)),
           st.sampled_from(sorted(_kinds(), key=str)))
    def test_whatever_is_said(self, what, remedy, kind):
        if issubclass(kind, exceptions.Cancelled):
            return
        kept, _ = self._kept(kind(what, remedy=remedy, **_NAMES))
        self.assertIn(_remedy(kind('', remedy=remedy)), kept)
