"""Runs the hook of a job after a run: performs its command, and records how that ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from orc.cli.jobs.hooks.facts import build_facts, build_variables
from orc.cli.jobs.state import append_command
from orc.ledger import JobId, Ledger
from orc.ledger.command_lines import quoted_command
from orc.ledger.events import HookEnded
from orc.ledger.wording import duration_text
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.hooks.performing import HookPlace, perform_hook
from orc.scheduler.runner import Observer
from orc.scheduler.stopping import OpenStops
from orc.scheduler.turn import Message


class HookRun(Struct, frozen=True):
    """The job whose hook has started, which this process owns; `folder` is its run folder."""

    ledger: Ledger
    job_id: JobId
    state: JobState
    folder: Path
    environment: Mapping[str, str]


async def run_hook(
    run: HookRun,
    open_stops: OpenStops,
    on_events: Observer,
    on_notice: Callable[[str], None],
) -> None:
    """Run the started hook, and record how it ended. If that is not well, it is a notice only.

    Raises LedgerError.
    """
    facts = build_facts(run.ledger, run.job_id, run.state, folder=run.folder)
    place = HookPlace(
        run.job_id,
        run.state,
        run.ledger,
        run.folder,
        run.environment,
        run.ledger.mask,
        facts,
        build_variables(facts),
    )

    def apply(message: Message) -> None:
        recorded = append_command(
            run.ledger, run.job_id, run.state, message.command, blobs=message.blobs
        )
        on_events(recorded)
        for one in recorded:
            if isinstance(one.event, HookEnded) and not one.event.is_good:
                on_notice(notice_of(one.event, run.job_id))

    apply(await perform_hook(place, open_stops=open_stops, apply=apply))


def notice_of(ended: HookEnded, job_id: str) -> str:
    """What a person should know of a hook that did not end well."""
    if ended.exit_code is not None:
        how = f"exit code {ended.exit_code}"
    elif ended.signal is not None:
        how = f"ended by {ended.signal}"
    else:
        how = ended.message or ended.outcome
    after = "" if ended.duration_s is None else f" after {duration_text(ended.duration_s)}"
    return (
        f"the hook {ended.hook!r} did not end well{after}: {how}. The job's result stays as it is; "
        f"{quoted_command('tail', job_id, '--type', 'hook.ended')} shows what it printed"
    )
