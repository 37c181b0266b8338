"""Prints what `orc prune` and `orc redact` would remove, or have removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orc.cli.jobs.remove import Removed, Unfinished
from orc.cli.terminal.tables.columns import id_column, number_column, status_column
from orc.cli.terminal.tables.table import put_table
from orc.cli.terminal.text import put_json, safe, say
from orc.cli.terminal.times import ago
from orc.ledger.wording import count_text, number_text, size_text
from orc.projections.removal_plan import Removal

_SHOWN_MAX = 20


def print_removal(
    plan: Removal,
    unfinished: Sequence[Unfinished],
    done: Removed | None,
    *,
    command_line: str,
    as_json: bool,
) -> None:
    """Print the plan, or, with `done`, the result; `command_line` is the command that removes."""
    if as_json:
        put_json(_as_json(plan, unfinished, done))
        return
    if plan.jobs and done is None:
        rows = [
            (job.job_id, job.status, ago(job.at), len(job.digests), number_text(job.size_bytes))
            for job in plan.jobs
        ]
        heads = (
            id_column("JOB"),
            status_column(),
            "LAST EVENT",
            number_column("BLOBS"),
            number_column("BYTES"),
        )
        put_table(heads, rows)
    for job_id, why in plan.left_out:
        say(f"left out: {job_id}: {why}")
    if plan.shared:
        say(f"{count_text(plan.shared, 'blob stays', 'blobs stay')}: other jobs need them")
    _say_copies(plan)
    counted = (
        f"{count_text(len(plan.digests), 'blob')} of {count_text(len(plan.jobs), 'job')}, "
        f"{size_text(plan.size_bytes)}"
    )
    if done is None:
        _say_planned(plan, unfinished, counted, command_line)
    else:
        _say_done(plan, done, counted, command_line)


def _say_done(plan: Removal, done: Removed, counted: str, command_line: str) -> None:
    if plan.jobs:
        say(f"removed: {counted}")
    elif done.completed:
        say("nothing to remove from the ledger: an earlier removal had removed these bytes")
    elif plan.earlier:
        say("nothing was left to do: an earlier removal had removed these bytes")
    else:
        say("nothing to remove")
    more = _say_first(done.completed, "completed an earlier removal: the run folder of {}")
    if more:
        say(f"completed an earlier removal: {count_text(more, 'more run folder')}")
    more = _say_first(done.files, "  also removed: the file {}")
    if more:
        say(f"  also removed: {count_text(more, 'more file')}")
    more = _say_first(done.folders, "  also removed: the working folders in {}")
    if more:
        say(f"  also removed: {count_text(more, 'more folder')} of kept working folders")
    for job_id in done.owned:
        say(
            f"the run folder of {job_id} was left alone, since a process has begun to run the job; "
            f"later, run again: {command_line}"
        )
    more = _say_first(done.files_left, "not removed: {} holds the same bytes")
    if more:
        say(f"not removed: {count_text(more, 'more file')} with the same bytes")
    if not done.is_compact:
        say(
            "the ledger file was not rewritten, since another program uses it: unused pages in it "
            f"may still hold the bytes; later, run again: {command_line}"
        )


def _say_planned(
    plan: Removal, unfinished: Sequence[Unfinished], counted: str, command_line: str
) -> None:
    if plan.jobs:
        say(f"would be removed: {counted}")
    elif plan.earlier:
        say("nothing to remove from the ledger: an earlier removal removed these bytes")
    else:
        say("nothing to remove")
    for found in unfinished[:_SHOWN_MAX]:
        files = f", with {count_text(len(found.files), 'file')}" if found.files else ""
        say(f"would be completed: the run folder of {found.job_id}{files}")
    if len(unfinished) > _SHOWN_MAX:
        more = count_text(len(unfinished) - _SHOWN_MAX, "more run folder")
        say(f"would be completed: {more}")
    if plan.jobs:
        say(f"nothing is removed yet; to remove it: {command_line}")
    elif unfinished:
        say(f"nothing is done yet; to complete it: {command_line}")


def _say_copies(plan: Removal) -> None:
    more = _say_first(
        plan.also_in_blobs, "also in blob {}: to remove it too, add its digest to the command"
    )
    if more:
        say(f"also in {count_text(more, 'more blob')} (--json names them)")
    for job_id, version in plan.also_in_events[:_SHOWN_MAX]:
        say(f"also in event {version} of {job_id}, which cannot be changed")


def _say_first(found: Sequence[object], line: str) -> int:
    """Print the line with each of the first ones in it; the number of those that were left out."""
    for one in found[:_SHOWN_MAX]:
        say(line.format(safe(one)))
    return max(0, len(found) - _SHOWN_MAX)


def _as_json(
    plan: Removal, unfinished: Sequence[Unfinished], done: Removed | None
) -> dict[str, Any]:
    completed = [found.job_id for found in unfinished] if done is None else list(done.completed)
    return {
        "removed": done is not None and done.blobs > 0,
        "done": done is not None,
        "cause": plan.cause,
        "blobs": sorted(plan.digests),
        "size_bytes": plan.size_bytes,
        "jobs": [
            {
                "job_id": job.job_id,
                "status": job.status,
                "last_event_at": job.at,
                "blobs": sorted(job.digests),
                "size_bytes": job.size_bytes,
            }
            for job in plan.jobs
        ],
        "left_out": [{"job_id": job_id, "why": why} for job_id, why in plan.left_out],
        "shared": plan.shared,
        "also_in_blobs": list(plan.also_in_blobs),
        "also_in_events": [
            {"job_id": job_id, "seq": version} for job_id, version in plan.also_in_events
        ],
        "removed_before": sorted({digest for job in plan.earlier for digest in job.digests}),
        "completed": completed,
        "left_alone": [] if done is None else list(done.owned),
        "folders": [] if done is None else [str(path) for path in done.folders],
        "files": [] if done is None else [str(path) for path in done.files],
        "files_left": [] if done is None else [str(path) for path in done.files_left],
        "compact": done is not None and done.is_compact,
    }
