"""What a job's state makes of bytes that were removed from the ledger."""

from __future__ import annotations

from dataclasses import replace

from orc.ledger.digest import digest_bytes
from orc.ledger.events import AnyEvent, BlobRemoved, JobStarted
from orc.scheduler.core.fold.evolve import evolve
from tests.builders import OWNER, at, fold_recorded, job, record, resumed, step, submitted

GONE = BlobRemoved(digests=(digest_bytes(b"x"),), size_bytes=1, cause="prune")


def test_the_state_knows_which_bytes_are_gone_and_nothing_else_changes() -> None:
    definition = job(step("a"))
    stream = record([submitted(definition), JobStarted(owner=OWNER), GONE])
    before, after = fold_recorded(definition, stream[:2]), fold_recorded(definition, stream)
    assert after.removed == {digest_bytes(b"x")}
    assert after.summary() == before.summary() | {"version": 3}


def test_the_time_of_a_removal_is_nobodys_time_of_running() -> None:
    """A job that died is pruned a day later: its limit of time has not been used by that day."""
    definition = job(step("a"))
    events: list[AnyEvent] = [submitted(definition), JobStarted(owner=OWNER), GONE, resumed()]
    stream = [
        replace(recorded, recorded_at=at(seconds))
        for recorded, seconds in zip(record(events), (0.0, 10.0, 86_400.0, 86_500.0), strict=True)
    ]
    state = fold_recorded(definition, stream)
    assert state.owned_s == 0.0
    assert evolve(state, replace(stream[2], version=5, recorded_at=at(99_999))).last_at == at(
        86_500
    )
