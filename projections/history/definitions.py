"""What the spec said of a step when something happened: the spec that was in force then.

An amendment gives a job another spec; what ran before it ran by the one before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orc.ledger.digest import Digest, digest_bytes
from orc.ledger.errors import LedgerError, why_lost
from orc.ledger.events import JobAmended, JobSubmitted, Payload
from orc.ledger.reader import LedgerReader

_IN_FORCE = (
    "SELECT version FROM events WHERE job_id = ? AND version <= ? "
    "AND type IN ('job.submitted', 'job.amended') ORDER BY version DESC LIMIT 1"
)
_LAST = 1 << 62


@dataclass(frozen=True, slots=True)
class SpecSeen:
    """A job's spec: resolved, and the name, the text and the digest of its source.

    `version` is the event that brought it. Without its bytes `resolved` is empty, or
    `source` none, and `lost` says why.
    """

    resolved: Mapping[str, Any]
    source_name: str
    source: str | None
    source_sha256: Digest | None
    inputs: Mapping[str, Any]
    version: int
    lost: str | None = None

    def step(self, step_id: str) -> Mapping[str, Any]:
        """The definition of a step, or of a part of one; empty where there is none."""
        found: Mapping[str, Any] = {}
        steps = self.resolved.get("steps", ())
        for part in step_id.split("/"):
            own = re.split(r"[\[#]", part, maxsplit=1)[0]
            found = next((step for step in steps if step["id"] == own), {})
            steps = found.get("steps", ())
        return found


def read_spec(reader: LedgerReader, job_id: str, *, version: int | None = None) -> SpecSeen:
    """The spec of a job at its event `version`, or the last one. Raises LedgerError for no such job."""
    row = reader.connection.execute(_IN_FORCE, (job_id, version or _LAST)).fetchone()
    recorded = reader.read_event(job_id, row[0] if row else 1)
    event = recorded.event
    assert isinstance(event, JobSubmitted | JobAmended), event.type
    resolved, lost = read_or_lost(reader, event.spec)
    source, source_lost = read_or_lost(reader, event.source)
    inputs, _ = read_or_lost(reader, event.inputs)
    digest = event.source.sha256
    if digest is None and isinstance(source, str):
        digest = digest_bytes(source.encode("utf-8", "replace"))
    return SpecSeen(
        resolved or {},
        event.source_name,
        source,
        digest,
        inputs or {},
        recorded.version,
        lost or source_lost,
    )


def read_or_lost(reader: LedgerReader, payload: Payload | None) -> tuple[Any, str | None]:
    """The value of a payload; without its bytes none, and why they cannot be shown."""
    try:
        return reader.read_payload(payload), None
    except LedgerError as error:
        return None, why_lost(error)
