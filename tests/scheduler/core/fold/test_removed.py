"""How blobs that were removed from the ledger change the state of a job."""

from __future__ import annotations

from orc.ledger.digest import digest_bytes
from orc.ledger.events import AnyEvent, BlobRemoved, JobStarted
from orc.scheduler.core.fold.evolve import evolve
from tests.builders import OWNER, at, fold_recorded, job, record, resumed, step, submitted

GONE = BlobRemoved(digests=(digest_bytes(b"x"),), size_bytes=1, cause="prune")


def test_the_state_records_the_removed_blobs_and_nothing_else_changes() -> None:
    definition = job(step("a"))
    stream = record([submitted(definition), JobStarted(owner=OWNER), GONE])
    before, after = fold_recorded(definition, stream[:2]), fold_recorded(definition, stream)
    assert after.removed == {digest_bytes(b"x")}
    assert after.summary() == before.summary() | {"version": 3}


def test_the_time_of_a_removal_does_not_count_as_running_time() -> None:
    """A job whose owner died is pruned a day later; that day does not count for its timeout."""
    definition = job(step("a"))
    events: list[AnyEvent] = [submitted(definition), JobStarted(owner=OWNER), GONE, resumed()]
    stream = [
        recorded._replace(recorded_at=at(seconds))
        for recorded, seconds in zip(record(events), (0.0, 10.0, 86_400.0, 86_500.0), strict=True)
    ]
    state = fold_recorded(definition, stream)
    assert state.owned_s == 0.0
    assert evolve(state, stream[2]._replace(version=5, recorded_at=at(99_999))).last_at == at(
        86_500
    )
