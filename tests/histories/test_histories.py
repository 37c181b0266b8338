"""Ledgers of older versions fold to the states they had then; those of newer versions are refused."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orc.ledger import Recorded
from orc.ledger.codec import load_event, row_to_recorded
from orc.ledger.definition import load_job
from orc.ledger.digest import chain_hash
from orc.ledger.errors import LedgerTooNew
from orc.ledger.events import EVENT_TYPES, SHAPES, JobSubmitted
from orc.ledger.upcasts import UPCASTS, upcast
from orc.projections import ReadModel
from orc.scheduler.core.fold.evolve import JobState, evolve, initial_state
from orc.scheduler.core.fold.graph import build_graph
from tests.each_case import each_case
from tests.histories.recorder import COLUMNS, FOLDER, histories, plain_summary

HISTORIES = sorted(FOLDER.glob("*.jsonl"))


@each_case("path", HISTORIES)
def test_a_recorded_history_folds_to_its_recorded_summary(path: Path) -> None:
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
    assert without_newer_fields(plain_summary(state), last["summary"]) == last["summary"]


def without_newer_fields(now: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """The current summary without the fields that were added after the history was recorded."""
    steps = {name: fields[: len(then["steps"][name])] for name, fields in now["steps"].items()}
    return {key: now[key] for key in then} | {"steps": steps}


def test_each_shape_of_job_has_a_history() -> None:
    assert set(histories()) <= {path.stem for path in FOLDER.glob("*.jsonl")}


def test_each_type_of_event_and_each_field_of_it_is_in_a_history() -> None:
    found: dict[str, set[str]] = {}
    for path in FOLDER.glob("*.jsonl"):
        for row in map(json.loads, path.read_text("utf-8").splitlines()):
            if "type" in row:
                found.setdefault(row["type"], set()).update(json.loads(row["data"]))
    for name, model in EVENT_TYPES.items():
        missing = set(model.__struct_fields__) - {"type", "step", "attempt"} - found[name]
        assert not missing, f"no history has {name} with {sorted(missing)}"


@each_case("path", HISTORIES)
def test_a_recorded_history_gives_equal_tables_whatever_the_batch(path: Path) -> None:
    stream = read_stream(path)
    at_once, one_by_one = (sqlite3.connect(":memory:") for _ in range(2))
    with closing(at_once), closing(one_by_one):
        for connection, size in ((at_once, len(stream)), (one_by_one, 1)):
            projector = ReadModel()
            # The tables of the read model refer to them.
            connection.execute("CREATE TABLE blobs (sha256 TEXT PRIMARY KEY)")
            connection.execute("CREATE TABLE events (position, job_id, version)")
            projector.create(connection)
            for start in range(0, len(stream), size):
                projector.apply(connection, stream[start : start + size])
        assert list(at_once.iterdump()) == list(one_by_one.iterdump())


def test_every_history_leaves_the_same_steps_ready_under_any_hash_seed() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-m", "tests.histories.ready_sets"],
            cwd=FOLDER.parents[1],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1")
    }
    (printed,) = found
    assert len(printed.splitlines()) > 100


def read_stream(path: Path) -> list[Recorded]:
    *rows, _ = map(json.loads, path.read_text("utf-8").splitlines())
    return [row_to_recorded((0, *(row[name] for name in COLUMNS))) for row in rows]


def read_inline(payload: Any) -> Any:
    assert payload.sha256 is None
    return payload.value


def test_an_upcast_goes_from_shape_to_shape_and_drops_the_shape_number() -> None:
    steps = {
        ("x", 1): lambda data: {**data, "b": data["a"] + 1},
        ("x", 2): lambda data: {"c": data["b"] * 10},
    }
    assert upcast("x", {"a": 1}, target=3, upcasts=steps) == {"c": 20}
    assert upcast("x", {"b": 5, "v": 2}, target=3, upcasts=steps) == {"c": 50}
    assert upcast("x", {"c": 7, "v": 3}, target=3, upcasts=steps) == {"c": 7}


def test_an_upcast_does_not_change_the_stored_data() -> None:
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
