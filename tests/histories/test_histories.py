"""Yesterday's ledgers: today's code folds them to what they meant, and refuses tomorrow's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ledger.codec import load_event
from ledger.errors import LedgerTooNew
from ledger.events import EVENT_TYPES, SHAPES, JobSubmitted
from ledger.reader import row_to_recorded
from ledger.store import chain_hash
from ledger.upcasts import UPCASTS, upcast
from scheduler.core.graph import build_graph
from scheduler.core.resolved import load_job
from scheduler.core.state import JobState, evolve, initial_state
from tests.histories.recorder import COLUMNS, FOLDER, histories, plain_summary


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_recorded_history_folds_to_what_it_meant(path: Path) -> None:
    *rows, last = map(json.loads, path.read_text("utf-8").splitlines())
    state: JobState | None = None
    previous = ""
    for row in rows:
        *columns, stored_hash = (row[name] for name in COLUMNS)
        assert chain_hash(previous, columns) == stored_hash
        previous = stored_hash
        recorded = row_to_recorded((0, *columns, stored_hash))
        if state is None:
            assert isinstance(recorded.event, JobSubmitted)
            definition = load_job(read_inline(recorded.event.spec))
            state = initial_state(definition, build_graph(definition.steps))
        evolve(state, recorded)
    assert state is not None
    assert as_of_then(plain_summary(state), last["summary"]) == last["summary"]


def as_of_then(now: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """Today's summary without what summaries did not yet have when the history was recorded."""
    steps = {name: fields[: len(then["steps"][name])] for name, fields in now["steps"].items()}
    return {key: now[key] for key in then} | {"steps": steps}


def test_each_shape_of_job_has_a_history() -> None:
    assert set(histories()) <= {path.stem for path in FOLDER.glob("*.jsonl")}


def test_each_type_of_event_is_in_a_history() -> None:
    lines = (
        line for path in FOLDER.glob("*.jsonl") for line in path.read_text("utf-8").splitlines()
    )
    assert {json.loads(line).get("type") for line in lines} >= set(EVENT_TYPES)


def read_inline(payload: Any) -> Any:
    assert payload.sha256 is None
    return payload.value


def test_data_climbs_from_shape_to_shape_and_loses_its_number() -> None:
    steps = {
        ("x", 1): lambda data: {**data, "b": data["a"] + 1},
        ("x", 2): lambda data: {"c": data["b"] * 10},
    }
    assert upcast("x", {"a": 1}, target=3, upcasts=steps) == {"c": 20}
    assert upcast("x", {"b": 5, "v": 2}, target=3, upcasts=steps) == {"c": 50}
    assert upcast("x", {"c": 7, "v": 3}, target=3, upcasts=steps) == {"c": 7}


def test_an_upcast_leaves_what_was_stored_as_it_is() -> None:
    stored = {"a": 1, "v": 1}
    upcast("x", stored, target=2, upcasts={("x", 1): lambda data: data | {"b": 2}})
    assert stored == {"a": 1, "v": 1}


def test_every_shape_can_be_reached_from_the_first() -> None:
    assert set(SHAPES) <= set(EVENT_TYPES)
    wanted = {(name, old) for name, shape in SHAPES.items() for old in range(1, shape)}
    assert set(UPCASTS) == wanted


def test_a_newer_shape_is_refused() -> None:
    with pytest.raises(LedgerTooNew, match="has shape 2"):
        load_event("job.succeeded", step=None, attempt=None, data={"v": 2})


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(LedgerTooNew, match=r"job\.teleported"):
        load_event("job.teleported", step=None, attempt=None, data={})


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(LedgerTooNew, match="why"):
        load_event("job.interrupted", step=None, attempt=None, data={"signal": "X", "why": 1})
