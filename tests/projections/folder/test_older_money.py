"""A run folder of a version that counted money in binary floats is still the ledger's folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orc.ledger import LedgerReader, open_ledger
from orc.ledger.codec import row_to_recorded
from orc.ledger.events import AnyEvent, ChildShape, JobStarted, StepExpanded
from orc.ledger.integrity import blobs_of
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import Publisher, ReadModel, event_line
from orc.projections.folder.verify import line_as_stored
from orc.projections.verify import verify_job
from tests.builders import JOB, OWNER, job, record, started, step, submitted
from tests.histories.recorder import COLUMNS, FOLDER


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerReader:
    """A ledger with the stored rows of a job that an older version ran."""
    return ledger_of("doubt", tmp_path)


def ledger_of(history: str, tmp_path: Path) -> LedgerReader:
    text = (FOLDER / f"{history}.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    path = tmp_path / "runs.db"
    with open_ledger(path, projector=ReadModel(), mask=NO_MASK) as ledger:
        for row in rows[:-1]:
            columns = [row[name] for name in COLUMNS]
            ledger.connection.executemany(
                "INSERT INTO blobs VALUES (?, 4, 'text')",
                [(digest,) for digest in blobs_of(row["data"].encode())],
            )
            marks = ", ".join("?" * len(COLUMNS))
            ledger.connection.execute(
                f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({marks})", columns
            )
            ReadModel().apply(ledger.connection, [row_to_recorded((0, *columns))])
    return LedgerReader.open(path)


def lines_as_stored(ledger: LedgerReader) -> str:
    stored = ledger.read_stored(JOB)
    return "".join(line_as_stored(found, data, with_hash=True) for found, data in stored)


def test_events_in_us_dollars_were_not_changed(ledger: LedgerReader, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / JOB
    Publisher(ledger, JOB, folder).publish(final=True)
    events = folder / "events.jsonl"
    now = events.read_text("utf-8")
    then = re.sub(r', "v": 2', "", now).replace('"cost_nano_usd": 100000000', '"cost_usd": 0.1')
    assert then.count("cost_usd") == 1

    assert verify_job(ledger, JOB, folder=folder).problems == ()
    events.write_text(then, "utf-8")
    assert "events.jsonl" not in " ".join(verify_job(ledger, JOB, folder=folder).problems)
    events.write_text(then.replace('"cost_usd": 0.1', '"cost_usd": 0.2'), "utf-8")
    assert verify_job(ledger, JOB, folder=folder).problems == (
        "events.jsonl was changed in the run folder",
    )


@pytest.mark.parametrize(
    ("cost", "is_fine"), [(0.1 + 2e-17, True), (0.1000000004, True), (0.2, False)]
)
def test_costs_of_a_manifest_may_have_parts_of_a_nano_dollar(
    ledger: LedgerReader, tmp_path: Path, cost: float, is_fine: bool
) -> None:
    folder = tmp_path / "runs" / JOB
    Publisher(ledger, JOB, folder).publish(final=True)
    manifest = folder / "manifest.json"
    text = manifest.read_text("utf-8").replace('max": 0.1', f'max": {cost!r}')
    assert (repr(cost) in text) is True
    manifest.write_text(text, "utf-8")

    problems = verify_job(ledger, JOB, folder=folder).problems
    assert problems == (() if is_fine else ("manifest.json was changed in the run folder",))


@pytest.mark.parametrize("history", ["budget", "flow", "fallback"])
def test_other_fields_are_compared_in_the_order_of_the_event(history: str, tmp_path: Path) -> None:
    ledger = ledger_of(history, tmp_path)
    now = "".join(f"{event_line(found)}\n" for found in ledger.read_stream(JOB))
    then = re.sub(r', "v": 2|, "cache_write_tokens": 0', "", now)
    then = re.sub(r'"(maximum|spent|needed)": (\d+)', r'"\1": \2.0', then)

    assert lines_as_stored(ledger) == then


def test_parts_of_an_event_are_compared_in_the_order_of_their_fields(tmp_path: Path) -> None:
    shape = ChildShape(kind="prompt", needs=("a",), provider="p", model="m")
    definition = job(step("all", kind="value"))
    events: list[AnyEvent] = [
        submitted(definition),
        JobStarted(owner=OWNER),
        started("all"),
        StepExpanded(
            step="all", attempt=1, children=("all[0]",), first=0, total=1, shapes=(shape,)
        ),
    ]
    with open_ledger(tmp_path / "runs.db", projector=ReadModel(), mask=NO_MASK) as ledger:
        ledger.append(record(events))
    with LedgerReader.open(tmp_path / "runs.db") as reader:
        now = "".join(f"{event_line(found)}\n" for found in reader.read_stream(JOB))
        assert '"provider": "p", "model": "m"' in now
        assert lines_as_stored(reader) == now
