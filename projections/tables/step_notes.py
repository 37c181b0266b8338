"""What is said about a step in one line: why it failed, was skipped or waits, and what to know of it.

`orc show`, the rows of pages and `--json` say the same.
"""

from __future__ import annotations

from orc.ledger.kinds import CUT_SHORT, INTERRUPTED, facts_of
from orc.ledger.step_names import lineage
from orc.ledger.wording import count_text, decision_text, duration_text, number_text
from orc.projections.tables.inner_waits import is_asking, is_in_batch, is_over_budget
from orc.projections.tables.job_view import JobView
from orc.projections.tables.rows import StepRow
from orc.projections.tables.status import step_state

LEFT_RUNNING = "was running when its process ended"
JOB_TIMED_OUT = "the job had reached its time limit"
_SKIPPED = {
    "condition": "its condition was false",
    "dependency_failed": "a step that it needs failed",
    "dependency_skipped": "a step that it needs was skipped",
    "job_timeout": JOB_TIMED_OUT,
}


def step_note(view: JobView, step: StepRow, *, is_live: bool = True) -> str:
    """The note of a step, with its line breaks; empty if nothing is to be said.

    `is_live` says whether a process runs the job.
    """
    return "; ".join(filter(None, (_first(view, step, is_live), *_more(view, step))))


def _first(view: JobView, step: StepRow, is_live: bool) -> str:
    """Why the step is in its state."""
    if step.status == "failed":
        how = "tolerated: " if step.tolerated else ""
        return f"{how}{step.failure or ''}"
    if step.status == "skipped":
        return skip_text(step.skip_reason)
    if step.status == "waiting":
        return waiting_text(step, is_live=is_live)
    if step.status == "running" and facts_of(step.kind).is_container:
        return container_text(view, step)
    if is_in_batch(step):
        return batch_note(view, step)
    if step_state(view, step, is_live=is_live) == INTERRUPTED:
        return LEFT_RUNNING
    if step.status == "pending":
        attempts = view.attempts_of.get(step.name) if step.attempts else None
        is_cut = attempts is not None and attempts[-1].status in CUT_SHORT
        return f"attempt {step.attempts} was interrupted" if is_cut else ""
    if step.reused_from is not None:
        source = f"from {step.reused_from.partition('/')[0]} ({step.reused})"
        return "; ".join(filter(None, (source, step.warning)))
    if step.decision is not None:
        return f"decided: {decision_text(step.decision, step.decided_by)}"
    return step.warning or ""


def _more(view: JobView, step: StepRow) -> tuple[str, str]:
    return (_tolerated(view, step), _where(step))


def _tolerated(view: JobView, step: StepRow) -> str:
    """The failures that were tolerated in the step, as far as no other note of it says them."""
    found, own = view.tolerated.get(step.name), view.own_tolerated.get(step.name)
    if found is None or (found.total == 1 and (step.tolerated or step.warning)):
        return ""
    return found.text() if found == own else found.summary()


def failures_of(view: JobView) -> tuple[list[StepRow], list[StepRow]]:
    """The failures of a job, each once: those that it failed by, and those that were tolerated.

    A failure inside a container is the reason for that one's, which is left out then. It is tolerated
    if its step or a step around it is.
    """
    by_reason: tuple[list[StepRow], list[StepRow]] = ([], [])
    for step in view.steps:
        if step.status != "failed" or any(
            child.status == "failed" and not child.tolerated
            for child in view.children_of.get(step.name, ())
        ):
            continue
        by_reason[is_tolerated(view, step)].append(step)
    return by_reason


def is_tolerated(view: JobView, step: StepRow) -> bool:
    """Whether the failure of the step, or that of a step around it, was tolerated."""
    around = (view.by_name.get(name) for name in lineage(step.name))
    return any(each is not None and each.tolerated for each in around)


def skip_text(reason: str | None) -> str:
    """Why a step was skipped, in words: `a step that it needs failed: a`."""
    kind, found, steps = (reason or "").partition(": ")
    said = _SKIPPED.get(kind, kind)
    return f"{said}: {steps}" if found else said


def waiting_text(step: StepRow, *, is_live: bool) -> str:
    """What a waiting step waits for."""
    if is_asking(step):
        return f"asks: {step.question}"
    if is_over_budget(step):
        return step.failure or "waits for a larger budget"
    resumed = "" if is_live else " when the job is resumed,"
    return f"will be retried{resumed} after {step.failure_kind}: {step.failure}"


def batch_note(view: JobView, step: StepRow) -> str:
    """The batch in which the step's call is, and where that stands: `in batch 1: in progress, ...`."""
    batch = view.batches.get(step.batch or 0)
    return f"in batch {step.batch}" + ("" if batch is None else f": {batch.text()}")


def container_text(view: JobView, step: StepRow) -> str:
    """What the steps inside an open container wait for; empty if they go on by themselves."""
    inside = view.inner_waits.get(step.name)
    if inside is None:
        return ""
    if inside.waiting or view.job.status != "waiting":
        return inside.text()
    if inside.ended < inside.total:
        left = inside.total - inside.ended
        verb = "has" if left == 1 else "have"
        return f"{number_text(left)} of {count_text(inside.total, inside.holds)} {verb} not started"
    ended = count_text(inside.total, inside.holds)
    return f"{ended} ended; the job must be resumed to end it"


def _where(step: StepRow) -> str:
    """Where a step of an executor runs or ran, and how long it waited: `on node1 (cluster)`."""
    if step.executor is None:
        return ""
    queued = f", queued {duration_text(step.queued_s)}" if step.queued_s else ""
    return f"on {step.host} ({step.executor}){queued}" if step.host else f"on {step.executor}"
