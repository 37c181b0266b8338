"""Usual rows are read by a shorter way, which gives what the careful functions give, for any row."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import MsgspecError

from orc.ledger.codec import _usual, parse_text, read_carefully, row_to_recorded
from orc.ledger.events import EVENT_TYPES, SHAPES
from orc.ledger.stored import DEPTH_MAX, parse_json
from tests.histories.recorder import COLUMNS, FOLDER

TYPE, STEP, ATTEMPT, AT, DATA = 3, 4, 5, 6, 7


def _recorded() -> list[tuple[Any, ...]]:
    """The rows of the recorded histories with different data, and of each type a few."""
    found: dict[str, dict[tuple[str, ...], tuple[Any, ...]]] = {}
    for path in sorted(FOLDER.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines()[:-1]:
            values = json.loads(line)
            row = (0, *(values[name] for name in COLUMNS))
            keys = tuple(sorted(json.loads(row[DATA])))
            found.setdefault(row[TYPE], {}).setdefault(keys, row)
    return [row for rows in found.values() for row in rows.values()]


ROWS = _recorded()
_SHORT = [row for row in ROWS if len(row[DATA]) < 1500]
_TOKENS = (
    *('"v":1,', '"v":2,', ',"v":1', ',"v":2', '"v":2.0,', '"v":0,', '"step":"x",', '"attempt":7,'),
    *('"attempt":null,', ',"step":null', "1e400", "-1e400", "-0", "-0.0", "1e16", "9" * 15),
    *("9" * 16, "9" * 400, "9" * 5000, "1.5", "01", "1.", "NaN", "Infinity", "null", "true", '""'),
    *(
        "\\ud800",
        "\\udc00",
        "\\ud83d\\ude00",
        "\\u0041",
        "\\u0000",
        "\\/",
        "\\x",
        "\\",
        '"',
        "\x7f",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        "{}",
        "[]",
        ",",
        ":",
        " ",
        "\n",
        "\t",
        "\0",
        "\ufeff",
        "\ud800",
        "é",
        "😀",
    ),
    *(
        "[" * (DEPTH_MAX + 1),
        "[" * 300 + "]" * 300,
        '"path":"../x",',
        '"pa\\u0074h":"/x",',
        '{"a":',
    ),
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 10**15, 10**16, 1e15, 2e15, 1e-300, 2**64]),
    st.text(max_size=5),
    st.sampled_from(["../x", "/x", "a\0", "x/y"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["a", "v", "value", "sha256", "size_bytes", "step"]), inner, max_size=3
        ),
    ),
    max_leaves=5,
)
_COLUMN_VALUES: dict[int, list[Any]] = {
    1: ["job_aaaaaaaaaaab", "job_A", "", None, 1, b"job_aaaaaaaaaaaa"],
    2: [0, 1, 2, 3.0, "2", None, True],
    TYPE: [*EVENT_TYPES, "job.teleported", None, 3, b"step.started"],
    STEP: [
        None,
        "",
        ".",
        "..",
        "a",
        'a"b',
        "a\\b",
        "a\nb",
        "a\0",
        "é",
        "\ud800",
        " ",
        3,
        b"a",
        "s" * 5000,
    ],
    ATTEMPT: [None, 0, 1, -1, 2**31, 2**31 + 1, 1.0, True, "1"],
    AT: ["2026-02-31T00:00:00.000000Z", "2026-02-28T00:00:00.000000Z", "2026", None, 5, b"2026"],
    DATA: ["", "{}", "{ }", "[]", "null", "}", "1", None, b"{}", 3],
    8: ["x", None, b"x", 3],
}


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [place, *(found for key, item in items for found in _places(item, (*place, key)))]


def _with(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    if not place:
        return other
    copy = value.copy()
    copy[place[0]] = _with(value[place[0]], place[1:], other)
    return copy


@st.composite
def _rows(draw: st.DrawFn) -> tuple[Any, ...]:
    row = list(_SHORT[draw(st.integers(0, len(_SHORT) - 1))])
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        data = row[DATA]
        match draw(st.sampled_from(["text", "value", "token", "cut", "column"])):
            case "column":
                column = draw(st.sampled_from(sorted(_COLUMN_VALUES)))
                row[column] = draw(st.sampled_from(_COLUMN_VALUES[column]))
            case "text":
                row[DATA] = draw(st.text(max_size=20))
            case "token" if isinstance(data, str):
                place = draw(st.integers(0, len(data)))
                end = draw(st.sampled_from([place, place, min(place + 1, len(data))]))
                row[DATA] = data[:place] + draw(st.sampled_from(_TOKENS)) + data[end:]
            case "cut" if isinstance(data, str):
                place = draw(st.integers(0, len(data)))
                row[DATA] = data[:place] + data[draw(st.integers(place, len(data))) :]
            case "value":
                try:
                    value = json.loads(data)
                    places = _places(value)
                    way = places[draw(st.integers(0, len(places) - 1))]
                    row[DATA] = json.dumps(_with(value, way, draw(_VALUES)), ensure_ascii=False)
                except (ValueError, TypeError, RecursionError):
                    pass
    return tuple(row)


def _is_usual(row: tuple[Any, ...]) -> bool:
    try:
        return _usual(row) is not None
    except MsgspecError:
        return False


def _outcome(read: Callable[[Any], Any], stored: object) -> tuple[str, str]:
    try:
        recorded = read(stored)
    except Exception as error:
        return type(error).__name__, str(error)
    # The text tells 1 from 1.0 and from True, and one NaN is as good as another.
    return type(recorded).__name__, repr(recorded)


def _started(data: str, **changes: Any) -> tuple[Any, ...]:
    row = [
        0,
        "job_aaaaaaaaaaaa",
        2,
        "step.started",
        "a",
        1,
        "2026-01-02T03:04:05.000006Z",
        data,
        "0" * 64,
    ]
    for name, value in changes.items():
        row[["job_id", "version", "type", "step", "attempt"].index(name) + 1] = value
    return tuple(row)


_KIND = '{"kind":"a","needs":[]}'
_NESTED = '{{"duration_s":1.0,"output":{{"value":{}{}}}}}'
_WRITTEN = '{{{},"sha256":"0","size_bytes":1,"media_type":"t"}}'


@example(_started('{"kind":"a","needs":[],"step":"b","attempt":4}'))
@example(_started('{"kind":"a","needs":[],"deadline_at":1e16}'))
@example(_started('{"kind":"a","needs":[],"deadline_at":1000000000000001}'))
@example(_started('{"kind":1,"needs":[],"kind":"a"}'))
@example(_started('{"kind":"a","needs":[],"step":"b","attempt":4}', step=None, attempt=None))
@example(_started('{"kind":"a","needs":[],"attempt":4}', attempt=None))
@example(_started('{"kind":"a","needs":[],"attempt":1152921504606846976}', attempt=None))
@example(_started('{"max_calls":3}', type="budget.raised", step=None, attempt=None))
@example(_started('{"max_calls":3,"v":2}', type="budget.raised", step=None, attempt=None))
@example(_started('{"v":2,"max_calls":3,"v":1}', type="budget.raised", step=None, attempt=None))
@example(_started('{"v":1,"max_calls":3,"v":2}', type="budget.raised", step=None, attempt=None))
@example(_started('{"v":0,"max_calls":3}', type="budget.raised", step=None, attempt=None))
@example(_started("{}", type="job.succeeded", step=None, attempt=None))
@example((*_started("{}", type="job.succeeded", step=None, attempt=None)[:DATA], b"{}", "0" * 64))
@example(_started('{"v":1}', type="job.succeeded", step=None, attempt=None))
@example(_started(_KIND, step="a\\b"))
@example(_started(_KIND, step='a"b'))
@example(_started(_KIND, step='a","step":"b'))
@example(_started(_KIND, step="a\nb"))
@example(_started(_KIND, step="."))
@example(_started(_KIND, step=".."))
@example(_started(_KIND, step="s" * 5000))
@example(_started(_KIND, attempt=2**40))
@example(_started(_NESTED.format("[" * 650, "]" * 650), type="step.succeeded"))
@example(_started(_WRITTEN.format('"path":"../x"'), type="file.written"))
@example(_started(_WRITTEN.format('"p\\u0061th":"../x"'), type="file.written"))
@example(_started(_WRITTEN.format('"path":"x","mode":"999"'), type="file.written"))
@settings(deadline=None)
@given(_rows())
def test_any_row_is_read_or_refused_as_by_the_careful_functions(row: tuple[Any, ...]) -> None:
    assert _outcome(row_to_recorded, row) == _outcome(read_carefully, row)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[TYPE]))
def test_a_recorded_row_in_the_current_shape_is_usual(row: tuple[Any, ...]) -> None:
    is_current = json.loads(row[DATA]).get("v", 1) == SHAPES.get(row[TYPE], 1)
    assert _is_usual(row) is is_current
    assert _outcome(row_to_recorded, row) == _outcome(read_carefully, row)


@settings(deadline=None)
@given(_rows())
def test_a_text_is_parsed_or_refused_as_by_the_careful_function(row: tuple[Any, ...]) -> None:
    if isinstance(row[DATA], str):
        assert _outcome(parse_text, row[DATA]) == _outcome(parse_json, row[DATA])


@pytest.mark.parametrize("text", _TOKENS)
def test_a_token_is_parsed_or_refused_as_by_the_careful_function(text: str) -> None:
    for around in ("{}", '"{}"', "[{}]", " {} ", '{{"a": {}}}', "-{}", '{{"{}": 1}}'):
        whole = around.format(text)
        assert _outcome(parse_text, whole) == _outcome(parse_json, whole)
