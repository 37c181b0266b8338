"""A line that is made of the stored text of an event has the bytes of one that is made of the event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orc.ledger import Payload
from orc.ledger.codec import dump_event, row_to_recorded
from orc.ledger.digest import canonical_json
from orc.ledger.events import EVENT_TYPES, AnyEvent, Recorded, StepSucceeded
from orc.projections import event_line
from orc.projections.folder import stored_lines as module
from orc.projections.folder.stored_lines import stored_lines
from tests.builders import JOB, at
from tests.histories.recorder import COLUMNS, FOLDER
from tests.projections.contained import contained_stories
from tests.projections.support import Story, ledger_of

HISTORIES = sorted(path.stem for path in Path(FOLDER).glob("*.jsonl"))
HASH = "ab" * 32
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)  # fmt: skip


def from_events(stored: list[tuple[Recorded, str]]) -> str:
    return "".join(f"{event_line(recorded)}\n" for recorded, _ in stored)


def stored_event(event: AnyEvent, data: str | None = None) -> tuple[Recorded, str]:
    """The event as it is read from the ledger; `data` takes the place of its own data."""
    data = canonical_json(dump_event(event)) if data is None else data
    step, attempt = getattr(event, "step", None), getattr(event, "attempt", None)
    row = (2, JOB, 2, event.type, step, attempt, at(1000.0), data, HASH)
    return row_to_recorded(row), data


def succeeded(value: Any, **fields: Any) -> StepSucceeded:
    return StepSucceeded(
        step="a", attempt=1, output=Payload(value=value), **{"duration_s": 0.5, **fields}
    )


@pytest.mark.parametrize("history", HISTORIES)
def test_the_lines_of_recorded_histories_are_those_of_their_events(history: str) -> None:
    text = (FOLDER / f"{history}.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    stored = []
    for row in rows:
        if set(COLUMNS) <= row.keys():
            columns = (0, *(row[name] for name in COLUMNS))
            stored.append((row_to_recorded(columns), row["data"]))
    assert stored
    assert stored_lines(stored).decode() == from_events(stored)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contained_stories())
def test_the_lines_of_a_ledger_are_those_of_its_events(story: Story) -> None:
    with ledger_of(story) as ledger:
        stored = list(ledger.read_stored(JOB))
        assert [recorded for recorded, _ in stored] == list(ledger.read_stream(JOB))
    assert stored_lines(stored).decode() == from_events(stored)


@given(_values, st.floats(0, 1e15) | st.sampled_from((5e-06, 0.0, 1e15, 12.0)))
def test_any_value_has_the_same_text(value: Any, duration_s: float) -> None:
    stored = [stored_event(succeeded(value, duration_s=duration_s))]
    assert stored_lines(stored).decode() == from_events(stored)


@pytest.mark.parametrize(
    "data",
    [
        '{"duration_s":1,"output":{"value":1}}',
        '{"duration_s":0.5,"log":null,"output":{"value":1}}',
        '{"duration_s":0.5,"output":{"value":1},"warning":null}',
        '{"duration_s":0.5,"output":{"parts":[{"value":{"b":1,"a":2}}],"size_bytes":9}}',
        '{"duration_s":0.5,"output":{"value":"\x7f"}}',
        '{"duration_s":0.5,"output":{"value":"\u00e9\U0001f600"}}',
    ],
)
def test_what_the_event_would_change_is_made_of_the_event(data: str) -> None:
    stored = [stored_event(succeeded(1), data)] * 2
    assert stored_lines(stored).decode() == from_events(stored)


def test_most_lines_are_made_without_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = [stored_event(succeeded({"b": [1, "x"], "a": 5e-06}, folders=("c",)))]
    expected = from_events(stored)

    def broken(recorded: Recorded) -> str:
        raise AssertionError("the line was made of the event")

    monkeypatch.setattr(module, "event_line", broken)
    assert stored_lines(stored).decode() == expected


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_every_type_has_a_form_without_the_keys_of_a_lines_head(kind: str) -> None:
    module._form_of(kind)
    form = module._form(EVENT_TYPES[kind])
    head = {"type", "job_id", "timestamp", "seq", "hash", "step", "attempt"}
    assert not head & set(form.__struct_fields__)
