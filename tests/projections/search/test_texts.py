"""Which events have texts that are searched: each type of event is in one list or the other."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from orc.ledger import LedgerError, LedgerReader
from orc.ledger.events import EVENT_TYPES
from orc.projections.search.texts import KINDS, SEARCHED_TYPES, texts_of
from tests.histories.as_ledger import write_histories

# Names, times and numbers, or words that an event which is searched has as well.
UNSEARCHED = set(
    "job.submitted job.started job.resumed job.amended job.interrupted job.waiting job.succeeded "
    "job.failed job.cancelling job.cancelled job.tagged hook.started circuit.opened circuit.closed "
    "budget.raised batch.submitted batch.accepted batch.progressed batch.ended "
    "budget.exceeded blob.removed step.configured step.started step.switched step.expanded "
    "step.skipped "
    "step.interrupted step.placed step.unplaced step.reattached file.written".split()
)


def test_each_type_of_event_is_searched_or_is_named_as_one_without_texts(tmp_path: Path) -> None:
    assert not UNSEARCHED & {*SEARCHED_TYPES}
    assert UNSEARCHED | {*SEARCHED_TYPES} == set(EVENT_TYPES)
    write_histories(tmp_path / "runs.db")
    found: dict[str, set[str]] = {}
    with LedgerReader.open(tmp_path / "runs.db") as reader:
        for recorded in reader.read_all():
            # Some bytes were removed, and some blobs are there as any text.
            with suppress(LedgerError, ValueError):
                kinds = {kind for kind, _ in texts_of(reader, recorded)}
                found.setdefault(recorded.event.type, set()).update(kinds)
    assert {name for name, kinds in found.items() if kinds} == {*SEARCHED_TYPES}
    assert {kind for kinds in found.values() for kind in kinds} == {*KINDS}
