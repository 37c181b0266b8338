"""Reads the spec that was in force at an event of a job.

An amendment replaces the spec of a job; earlier events belong to the spec before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, ValidationError

from orc.ledger.definition import JobDef, StepDef, load_job
from orc.ledger.digest import Digest, digest_bytes
from orc.ledger.errors import LedgerError, describe_unreadable
from orc.ledger.events import JobAmended, JobSubmitted, Payload
from orc.ledger.reader import LedgerReader

_IN_FORCE = (
    "SELECT version FROM events WHERE job_id = ? AND version <= ? "
    "AND type IN ('job.submitted', 'job.amended') ORDER BY version DESC LIMIT 1"
)
_LAST = 1 << 62


class SpecSeen(Struct, frozen=True):
    """A job's spec: its definition, and the name, the text and the digest of its source.

    `version` is that of the event with the spec. `definition` is None if its bytes were removed or
    this version of orc cannot read it, `source` if its bytes were removed; `lost` is the reason.
    """

    definition: JobDef | None
    source_name: str
    source: str | None
    source_sha256: Digest | None
    inputs: Mapping[str, Any]
    version: int
    lost: str | None = None

    def step(self, name: str) -> StepDef | None:
        """The definition of a step, item, round or member; None if the spec has none."""
        return None if self.definition is None else self.definition.step(name)


def read_spec(reader: LedgerReader, job_id: str, *, version: int | None = None) -> SpecSeen:
    """The spec in force at the job's event `version`, or the last one.

    Raises LedgerError if there is no such job.
    """
    row = reader.connection.execute(_IN_FORCE, (job_id, version or _LAST)).fetchone()
    recorded = reader.read_event(job_id, row[0] if row else 1)
    event = recorded.event
    assert isinstance(event, JobSubmitted | JobAmended), event.type
    definition, lost = _read_definition(reader, event.spec)
    source, source_lost = read_or_lost(reader, event.source)
    inputs, _ = read_or_lost(reader, event.inputs)
    digest = event.source.sha256
    if digest is None and isinstance(source, str):
        digest = digest_bytes(source.encode("utf-8", "replace"))
    return SpecSeen(
        definition,
        event.source_name,
        source,
        digest,
        inputs or {},
        recorded.version,
        lost or source_lost,
    )


def _read_definition(reader: LedgerReader, payload: Payload) -> tuple[JobDef | None, str | None]:
    document, lost = read_or_lost(reader, payload)
    if document is None:
        return None, lost
    try:
        return load_job(document), lost
    except ValidationError:
        return None, "it cannot be read by this version of orc"


def read_or_lost(reader: LedgerReader, payload: Payload | None) -> tuple[Any, str | None]:
    """The value of a payload and None; or None and the reason why its bytes cannot be read."""
    try:
        return reader.read_payload(payload), None
    except LedgerError as error:
        return None, describe_unreadable(error)
