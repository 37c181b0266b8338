"""Sends a job's telemetry while it runs, if the environment asks for it; `sender.py` does the work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from orc.cli.jobs.telemetry.wanted import telemetry_problem, wanted_telemetry
from orc.ledger import JobId, Recorded

Observe = Callable[[Sequence[Recorded]], None]


@asynccontextmanager
async def sending(
    database: Path,
    job_id: JobId,
    environment: Mapping[str, str],
    on_events: Observe,
    on_notice: Callable[[str], None],
) -> AsyncIterator[Observe]:
    """Send telemetry while the block runs, if the environment asks for it.

    Yields the function that takes each commit, in place of `on_events`. Why nothing can be sent is
    one notice.
    """
    wanted = wanted_telemetry(environment)
    problem = "" if wanted is None else telemetry_problem(environment)
    if problem:
        on_notice(problem)
    if wanted is None or problem:
        yield on_events
        return
    # Imported here, since most runs send nothing.
    from orc.cli.jobs.telemetry.sender import Sender

    sender = Sender(database, job_id, wanted, environment.get("OTEL_SERVICE_NAME"))
    sender.start()

    def observe(batch: Sequence[Recorded]) -> None:
        on_events(batch)
        sender.observe(batch)

    try:
        yield observe
    finally:
        sender.finish()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(sender.join)
        if sender.problem:
            on_notice(sender.problem)
