"""Folds the events of a job to its state; the specs in them are read with the caller's function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from orc.ledger import Recorded
from orc.ledger.definition import load_job
from orc.ledger.events import Payload
from orc.scheduler.core.fold.evolve import evolve, initial_state
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.fold.state import JobState


def fold_events(events: Iterable[Recorded], read: Callable[[Payload], Any]) -> JobState | None:
    """The state of a job after these events, the first of which submits it; None without events."""
    state: JobState | None = None
    for recorded in events:
        event = recorded.event
        # By the name, which is compared faster than the class of a model.
        if event.type == "job.amended":
            # The fold cannot read blobs, so the new spec is put into the event.
            spec = Payload(value=read(event.spec))
            recorded = recorded._replace(event=replace(event, spec=spec))
        if state is None:
            assert event.type == "job.submitted"
            definition = load_job(read(event.spec))
            state = initial_state(definition, build_graph(definition.steps))
        evolve(state, recorded)
    return state
