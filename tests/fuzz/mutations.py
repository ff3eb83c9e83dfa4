# SPDX-License-Identifier: Apache-2.0

"""What hypothesis makes of examples: other bytes, or another structure.

1. Take an example.
2. Where it has JSON in it, perhaps change that: put something else in some
   place of it, leave an item out, or have one twice.
3. Or change bytes: cut, repeat, flip, or put in what another example has.
"""

from collections.abc import Iterator
import json
from typing import Any

from hypothesis import strategies as st

from tests.fuzz import answers

_DEEP = 900
#: What may stand in the place of any value, as it is stored.
_VALUES = (
    'null', 'true', '{}', '[]', '""', '"0"', '0', '-1', '-0.0', '1.5',
    '1e999', 'NaN', '-Infinity', '9223372036854775807',
    '9223372036854775808', '1' * 5000, r'"\ud800"', r'"\udfff\u0000"',
    r'"\u001b[31m\n"', '"\U0001f600"', f'"{"x" * 3000}"',
    '[' * _DEEP + ']' * _DEEP, '{"a":' * _DEEP + '1' + '}' * _DEEP,
    '[' * 100000, '{"name": "a", "name": "b"}', '[[0, 1], [2]]', '[[1, 1.0]]',
    '[[0, 0], [9223372036854775807, 9223372036854775807]]',
    '"volume_vol-1/20260801120000/az_nova_backup_bak-1-00001"',
    '"2026-08-01"', '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59"',
    f'[{"{}, " * 2000}{{}}]', ' ' * 3000 + '1')
# Mutants know where a value belongs by this.
_HERE = 'put it here'


def inputs(examples: list[bytes]) -> st.SearchStrategy[bytes]:
    """Examples with changes."""
    some = st.sampled_from(examples)
    others = st.binary(max_size=300) | some.flatmap(_other_bytes(some))
    structured = [each for each in examples if _json_of(each)]
    if not structured:
        return others
    return others | st.sampled_from(structured).flatmap(_other_structure)


def _other_bytes(some: st.SearchStrategy[bytes]) -> Any:
    @st.composite
    def change(draw: st.DrawFn, data: bytes) -> bytes:
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(data)))
            end = draw(st.integers(at, len(data)))
            other = draw(some)
            new = draw(st.sampled_from(
                (b'', data[at:end] * 2, data[at:end].swapcase(),
                 other[at:end]))
                | st.binary(max_size=8)
                | st.sampled_from(_VALUES).map(str.encode))
            data = data[:at] + new + data[end:]
        return data
    return change


def _json_of(data: bytes) -> tuple[bytes, Any, bytes] | None:
    """What comes before JSON, the JSON, and what comes after it."""
    for before in (b'', data.partition(b'\n')[0] + b'\n'):
        rest = data.removeprefix(before)
        body, border, after = rest.partition(answers.BORDER)
        try:
            return before, json.loads(body), border + after
        except (ValueError, RecursionError):
            continue
    return None


@st.composite
def _other_structure(draw: st.DrawFn, data: bytes) -> bytes:
    found = _json_of(data)
    assert found is not None
    before, tree, after = found
    raw = [draw(st.sampled_from(_VALUES))
           for _ in range(draw(st.integers(1, 3)))]
    for number in range(len(raw)):
        tree = _changed(draw, tree, f'{_HERE} {number}')
    text = json.dumps(tree, ensure_ascii=draw(st.booleans()),
                      indent=draw(st.sampled_from((None, 0, 2))))
    for number, value in enumerate(raw):
        text = text.replace(f'"{_HERE} {number}"', value)
    # Halves of characters too, as they are.
    return before + text.encode('utf-8', 'surrogatepass') + after


def _changed(draw: st.DrawFn, tree: Any, mark: str) -> Any:
    """The tree with one change, mostly with the mark in some place."""
    places = list(_places(tree))
    if not places:
        return mark
    parent, key = draw(st.sampled_from(places))
    what = draw(st.sampled_from(('put', 'put', 'drop', 'twice')))
    if what == 'drop':
        del parent[key]
    elif what == 'put':
        parent[key] = mark
    elif isinstance(parent, list):
        parent.append(parent[key])
    else:
        parent[mark] = parent[key]
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Everything in a tree, as where it is and by what key."""
    items = (tree.items() if isinstance(tree, dict)
             else enumerate(tree) if isinstance(tree, list) else ())
    for key, value in items:
        yield tree, key
        yield from _places(value)
