"""All recorded histories in one ledger with prices, once as recorded and once with values in blobs.

In this ledger, every column of the read model has a value in at least one row.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from orc.ledger import JobId, Recorded, open_ledger
from orc.ledger.codec import row_to_recorded
from orc.ledger.digest import digest_json
from orc.ledger.integrity import blobs_of
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel
from orc.projections.money.price import Price
from orc.projections.money.prices import PriceTable
from tests.histories.recorder import COLUMNS, FOLDER

_MODELS = ("m", "n", "model-1")
PRICES = PriceTable(
    models={
        provider: {
            model: Price(input=1.0, output=2.0, seen=dt.date(2026, 1, 1)) for model in _MODELS
        }
        for provider in ("alpha", "beta", "fake")
    },
)


_PAYLOADS = ("output", "log", "request", "reply", "arguments", "result")


def write_histories(path: Path) -> None:
    """Create a ledger with each history as two jobs. Every blob has a placeholder text."""
    with open_ledger(path, projector=ReadModel(PRICES), mask=NO_MASK) as ledger:
        for number, history in enumerate(sorted(FOLDER.glob("*.jsonl"))):
            *rows, _ = map(json.loads, history.read_text("utf-8").splitlines())
            for kind, stream in (("a", rows), ("b", [_with_blobs(row) for row in rows])):
                digests = {digest for row in stream for digest in blobs_of(row["data"].encode())}
                ledger.connection.executemany(
                    "INSERT INTO blobs VALUES (?, 4, 'text')", [(digest,) for digest in digests]
                )
                ledger.append([_of_job(f"job_{number:011}{kind}", row) for row in stream])


def _with_blobs(row: dict[str, Any]) -> dict[str, Any]:
    data = json.loads(row["data"])
    for name in _PAYLOADS:
        if isinstance(data.get(name), dict) and "value" in data[name]:
            data[name] = {"sha256": digest_json(data[name]["value"]), "size_bytes": 4}
    if row["type"] == "job.submitted":
        data["spec"]["value"]["task_description"] = "What the job is for."
    return {**row, "data": json.dumps(data)}


def _of_job(job_id: str, row: dict[str, Any]) -> Recorded:
    recorded = row_to_recorded((0, *(row[name] for name in COLUMNS)))
    return recorded._replace(job_id=JobId(job_id))
