"""Tolerated failures: what an event says, what an amendment forgets, and one fact in every view."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from orc.ledger import LedgerReader
from orc.ledger.definition import ForEachDef
from orc.ledger.events import AnyEvent, ChildShape, LlmRequested, StepExpanded, ToleratedCount
from orc.ledger.stored_struct import dump, load
from orc.projections.folds.tolerance_fold import ToleranceFold, tolerances_of
from orc.projections.folds.tolerated import SETTINGS, Tolerated
from orc.projections.tables.tolerated import count_tolerated, read_tolerated
from tests.builders import (
    JOB,
    amended,
    failed,
    job,
    record,
    requested,
    reused,
    started,
    step,
    succeeded,
    switched,
    tool_returned,
)
from tests.histories.as_ledger import write_histories
from tests.projections.support import begun, ledger_of

UNTIL = "`until` was still false after 3 rounds: steps.a.output"
COUNT = ToleratedCount(setting="continue_on_error", kind="exit_code", failures=2)
TOOL = replace(tool_returned("a"), is_error=True)


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerReader]:
    path: Path = tmp_path_factory.mktemp("histories") / "runs.db"
    write_histories(path)
    with LedgerReader.open(path) as reader:
        yield reader


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (failed("a", tolerated=True), ("continue_on_error", "timeout")),
        (failed("a"), None),
        (succeeded("a", warning=UNTIL), ("on_exhausted", "until")),
        (succeeded("a", warning="the log was cut at its limit"), None),
        (succeeded("a"), None),
        (switched("a", message="rate_limit: slow down"), ("fallback", "rate_limit")),
        (switched("a", message="its circuit is open"), ("fallback", "circuit")),
        (TOOL, ("tools", "tool")),
        (tool_returned("a"), None),
        (requested("a", call=2, corrects="no JSON"), ("repair", "schema")),
        (requested("a"), None),
        (reused("a", tolerated=(COUNT,)), ("continue_on_error", "exit_code")),
        (reused("a"), None),
    ],
)
def test_what_an_event_says(event: AnyEvent, found: tuple[str, str] | None) -> None:
    tolerances = tolerances_of(record([event])[0])
    assert [(one.setting, one.kind) for one in tolerances] == ([found] if found else [])


def test_a_request_that_is_sent_again_asks_for_one_correction() -> None:
    asks = requested("a", call=2, corrects="no JSON")
    again = load(LlmRequested, dump(asks) | {"attempt": 2, "call": 3})
    assert fold(asks, again).of_job().total == 1


def test_what_a_reset_step_had_is_forgotten_with_its_inner_steps() -> None:
    events = [failed(name, tolerated=True) for name in ("a", "a[0]", "b")]
    found = fold(*events, amended(job(step("a"), step("b")), "a"))
    assert list(found.by_step()) == ["b"]


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, ""),
        (
            {("continue_on_error", "exit_code"): 1},
            "1 step failed, and the job continued (continue_on_error): 1 exit_code",
        ),
        (
            {("continue_on_error", "rejected"): 1, ("continue_on_error", "exit_code"): 1200},
            "1,201 steps failed, and the job continued (continue_on_error): "
            "1,200 exit_code, 1 rejected",
        ),
        (
            {("repair", "schema"): 1, ("fallback", "circuit"): 2},
            "2 switches to another model (fallback): 2 circuit; "
            "1 unusable reply asked for again (repair)",
        ),
        (
            {("on_exhausted", "until"): 1, ("tools", "tool"): 2},
            "1 loop ended after its last round, with `until` still false (on_exhausted); "
            "2 errors of tools went back to the model (tools)",
        ),
    ],
)
def test_the_words(counts: dict[tuple[str, str], int], text: str) -> None:
    tolerated = Tolerated()
    for (setting, kind), count in counts.items():
        tolerated.add(setting, kind, count)
    assert tolerated.text() == text
    total = sum(counts.values())
    assert tolerated.value()["total"] == total
    words = {0: "", 1: "1 tolerated failure"}
    assert tolerated.summary() == words.get(total, f"{total:,} tolerated failures")


def test_the_tables_say_of_each_history_what_the_fold_says(histories: LedgerReader) -> None:
    seen: set[str] = set()
    rows = histories.connection.execute("SELECT job_id FROM jobs").fetchall()
    for (job_id,) in rows:
        folded = ToleranceFold()
        for recorded in histories.read_stream(job_id):
            folded.apply(recorded)
        assert read_tolerated(histories.connection, job_id) == folded.by_step()
        assert count_tolerated(histories.connection, [job_id]) == {job_id: folded.of_job().total}
        seen |= {setting for setting, _ in folded.of_job().counts}
    assert seen == set(SETTINGS) - {"on_exhausted"}


def fold(*events: AnyEvent) -> ToleranceFold:
    found = ToleranceFold()
    for recorded in record(events):
        found.apply(recorded)
    return found


def test_the_tables_forget_what_an_amendment_drops_with_its_inner_steps() -> None:
    steps = (step("a", for_each=ForEachDef(items=[1])), step("b"))
    shapes = (ChildShape(kind="value", needs=()),)
    grown = StepExpanded(
        step="a", attempt=1, children=("a[0]",), first=0, total=1, shapes=shapes
    )  # fmt: skip
    story = begun(*steps).record(
        started("a", kind="for_each"),
        grown,
        started("a[0]"),
        failed("a[0]", tolerated=True),
        succeeded("a"),
        started("b"),
        failed("b", tolerated=True),
    )
    with ledger_of(story) as ledger:
        assert list(read_tolerated(ledger.connection, JOB)) == ["a[0]", "b"]
    story.record(amended(job(*steps), "a"))
    with ledger_of(story) as ledger:
        assert list(read_tolerated(ledger.connection, JOB)) == ["b"]
    story.record(amended(job(*steps), "b"))
    with ledger_of(story) as ledger:
        assert read_tolerated(ledger.connection, JOB) == {}
