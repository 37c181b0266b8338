"""What `orc work` prints: a line for each job that is taken or has ended, or JSON objects."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from orc.cli.errors import ReaderGone
from orc.cli.jobs.folders import output_folder
from orc.cli.jobs.owned_job import Ended, Listener
from orc.cli.jobs.queue.worker import AGAIN_S, WorkListener
from orc.cli.terminal.display import JsonDisplay
from orc.cli.terminal.next_commands import continue_command
from orc.cli.terminal.paragraphs import paragraph
from orc.cli.terminal.run_lines import ending_line, say_details, say_questions
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger import JobId
from orc.ledger.command_lines import command_line
from orc.ledger.kinds import INTERRUPTED, JOB_ENDED_BADLY
from orc.ledger.wording import count_text, duration_text
from orc.projections.money.prices import PriceTable
from orc.scheduler.core.fold.evolve import JobState


def worker_lines(*, quiet: bool) -> WorkListener:
    """Lines on stderr; with `quiet`, only those about jobs that did not succeed."""

    def note(text: str) -> None:
        if not quiet:
            say(f"{_time()}  {text}")

    def listener_of(job_id: JobId) -> Listener:
        def on_job(state: JobState, job_id: str, folder: Path) -> None:
            note(f"{job_id} taken: {safe(state.project)}, {count_text(len(state.steps), 'step')}")

        return Listener(on_job=on_job, on_notice=lambda text: note(f"{job_id}: {safe(text)}"))

    def on_ended(ended: Ended) -> None:
        if quiet and ended.status == "succeeded" and not ended.left_alone:
            return
        say(f"{_time()}  {ending_line(ended)}")
        for failure in ended.failures[:1]:
            lead = f"  {safe(failure.step or 'the job')}: {failure.kind}:"
            say(paragraph(lead, failure.message, stream=sys.stderr))
        if ended.left_alone:
            count = count_text(len(ended.left_alone), "file")
            target = safe(output_folder(ended.state, ended.database))
            say(f"  {count} not copied to {target}, since orc did not write those that are there")
            say(f"  next: {command_line('resume', ended.job_id, '--force')}    (overwrites them)")
        if ended.status == "waiting":
            say_questions(ended)
        if ended.status == INTERRUPTED and not ended.state.is_queued:
            say(f"  {_why_left(ended)}")
        if ended.status in JOB_ENDED_BADLY:
            say(f"  next: {continue_command(ended)}")
        if ended.status == "succeeded" and not quiet:
            say_details(ended)

    on_stopping = WorkListener().on_stopping if quiet else _say_stopping
    return WorkListener(listener_of, on_ended, _say_left, _say_problem, on_stopping)


def worker_json(prices: PriceTable) -> WorkListener:
    """JSON objects on stdout, as `orc run --json` prints them, each with its `job_id`."""
    displays: dict[JobId, JsonDisplay] = {}

    def listener_of(job_id: JobId) -> Listener:
        displays[job_id] = JsonDisplay(prices)
        return displays[job_id].listener()

    def on_ended(ended: Ended) -> None:
        displays.pop(ended.job_id).done(ended)

    def on_left(job_id: JobId, error: BaseException) -> None:
        displays.pop(job_id, None)
        # A script may close the pipe. The worker continues, as a run does.
        with suppress(ReaderGone):
            put_json({"event": "left", "job_id": job_id, "message": str(error)})
        _say_left(job_id, error)

    def on_problem(job_id: JobId, error: BaseException) -> None:
        displays.pop(job_id, None)
        with suppress(ReaderGone):
            put_json({"event": "problem", "job_id": job_id, "message": str(error)})
        _say_problem(job_id, error)

    return WorkListener(listener_of, on_ended, on_left, on_problem, _say_stopping)


def _why_left(ended: Ended) -> str:
    if ended.state.only is not None:
        return "the requested steps have ended"
    return f"it left the queue, since its workers died: {command_line('show', ended.job_id)}"


def _say_left(job_id: JobId, error: BaseException) -> None:
    say(
        f"{_time()}  {job_id} stays in the queue: {safe(error)}. This worker tries it again in "
        f"{duration_text(AGAIN_S)}"
    )


def _say_problem(job_id: JobId, error: BaseException) -> None:
    say(f"{_time()}  {job_id}: {safe(error)}")


def _say_stopping(signal: str | None) -> None:
    why = "its time is over" if signal is None else signal
    say(f"{_time()}  stopping ({why}): jobs that still run go back to the queue")


def _time() -> str:
    return f"{datetime.now(UTC):%H:%M:%S}"
