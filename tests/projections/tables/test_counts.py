"""Tables, manifest and scheduler agree on the steps of amended jobs with inner steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orc.ledger import Ledger, Recorded
from orc.ledger.definition import ForEachDef
from orc.ledger.events import Payload
from orc.projections import Manifest
from orc.scheduler.core.commands import (
    AmendJob,
    CancelJob,
    ExpandStep,
    FinishAttempt,
    ResumeJob,
    Settle,
    Succeeded,
)
from orc.scheduler.core.fold.containers import child_ids
from tests.builders import EPOCH_S, OWNER, amended, job, step
from tests.projections.contained import contained_stories
from tests.projections.support import Story, begun, ledger_of, states, tables

_few = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _cut(events: Sequence[Recorded], cuts: Sequence[int]) -> Iterator[Sequence[Recorded]]:
    places = sorted({0, len(events), *(cut % (len(events) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        yield events[start:end]


def counts_in(ledger: Ledger) -> dict[str, int]:
    columns = ("steps_total", "steps_succeeded", "steps_failed", "steps_skipped")
    row = ledger.connection.execute(f"SELECT {', '.join(columns)} FROM jobs").fetchone()
    return dict(zip(columns, row, strict=True))


def counts_of(statuses: Sequence[str]) -> dict[str, int]:
    found = Counter(statuses)
    names = ("succeeded", "failed", "skipped")
    return {"steps_total": len(statuses), **{f"steps_{name}": found[name] for name in names}}


def manifest_of(story: Story, ledger: Ledger) -> dict[str, Any]:
    manifest = Manifest(ledger.read_payload)
    for recorded in story.stream:
        manifest.apply(recorded)
    return manifest.value()


def check_counts(story: Story, cuts: Sequence[int]) -> None:
    with ledger_of(story, batches=_cut(story.stream, cuts)) as ledger:
        live = tables(ledger)
        rows = ledger.connection.execute(
            "SELECT name, status, attempts FROM steps WHERE status <> 'removed'"
        ).fetchall()
        counts = counts_in(ledger)
        manifest = manifest_of(story, ledger)
        ledger.rebuild()
        assert tables(ledger) == live
    found = states(story)
    assert {name: (status, attempts) for name, status, attempts in rows} == found
    statuses = [status for status, _ in found.values()]
    assert counts == counts_of(statuses)
    assert {
        name: (one["status"], one["attempts"]) for name, one in manifest["steps"].items()
    } == found


@_few
@given(contained_stories(), st.lists(st.integers(0, 400), max_size=12))
def test_tables_manifest_and_scheduler_agree_on_every_step(story: Story, cuts: list[int]) -> None:
    check_counts(story, cuts)


def test_an_amended_job_counts_the_members_that_it_keeps() -> None:
    story = begun(step("all", kind="group", steps=(step("m"), step("n"))), step("end", needs="all"))
    holder = story.definition.steps[0]
    story.tell(ExpandStep("all", child_ids("all", holder)))
    story.start("all/m").succeed("all/m").start("all/n").succeed("all/n")
    outcome = Succeeded(Payload(value=1), 1.0)
    story.tell(FinishAttempt("all", 1, outcome, now=EPOCH_S)).start("end").fail("end")
    story.tell(Settle(), AmendJob(amended(job(holder), removed=("end",))))
    with ledger_of(story) as ledger:
        assert counts_in(ledger) == counts_of(["succeeded"] * 3)
    story.tell(AmendJob(amended(story.definition, "all")), ResumeJob(OWNER))
    with ledger_of(story) as ledger:
        assert counts_in(ledger) == counts_of(["pending"] * 2)


def test_a_step_that_expanded_to_no_items_runs_on_after_a_resume() -> None:
    story = begun(step("each", for_each=ForEachDef(items=[])))
    story.tell(ExpandStep("each", ())).tell(CancelJob(at_once=True))
    story.tell(ResumeJob(OWNER))
    check_counts(story, ())


def test_a_container_that_was_reset_is_pending_after_a_resume() -> None:
    story = begun(step("all", kind="group", steps=(step("m"),)), step("last", needs="all"))
    holder = story.definition.steps[0]
    story.tell(ExpandStep("all", child_ids("all", holder)))
    story.start("all/m").succeed("all/m")
    story.tell(FinishAttempt("all", 1, Succeeded(Payload(value=1), 1.0), now=EPOCH_S))
    story.start("last").fail("last").tell(Settle(), AmendJob(amended(story.definition, "all")))
    story.tell(ResumeJob(OWNER), CancelJob(at_once=True), ResumeJob(OWNER))
    check_counts(story, ())
