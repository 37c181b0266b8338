"""What a crate needs of a job's events beyond the rows of the tables, and how its entities are named."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from orc.ledger.errors import LedgerError, RemovedBlob
from orc.ledger.events import (
    FileRef,
    FileWritten,
    JobAmended,
    JobSubmitted,
    LlmRequested,
    Payload,
    StepFailed,
    StepReused,
    StepSucceeded,
)
from orc.ledger.reader import LedgerReader
from orc.ledger.step_names import folder_name
from orc.projections.exports.source import ExportSource

Entity = dict[str, Any]

VALUE_CHARS_MAX = 10_000
"""How much of a value a crate quotes."""

_BY_SUFFIX = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".yaml": "application/yaml",
}


@dataclass(slots=True)
class Facts:
    """`media` and `artifacts` are by path in the run folder, `calls` by step and attempt."""

    inputs: Payload
    media: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    outputs: dict[str, Payload] = field(default_factory=dict)
    calls: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    def media_type(self, path: str) -> str:
        """What kind of bytes a file of the run folder has."""
        _, dot, suffix = path.rpartition(".")
        known = self.media.get(path) or _BY_SUFFIX.get(dot + suffix)
        return known or "application/octet-stream"


def read_facts(source: ExportSource) -> Facts:
    """One pass over the job's events."""
    facts = Facts(source.submitted.inputs)
    for recorded in source.reader.read_stream(source.job_id):
        match event := recorded.event:
            case JobSubmitted() | JobAmended():
                facts.inputs = event.inputs
            case FileWritten():
                facts.media[f"outputs/{event.path}"] = event.media_type
            case StepReused():
                for file in event.files:
                    facts.media[f"outputs/{file.path}"] = file.media_type
                facts.outputs[event.step] = event.output
                _take_artifacts(facts, event.step, event.artifacts or ())
            case StepSucceeded():
                facts.outputs[event.step] = event.output
                _take_artifacts(facts, event.step, event.artifacts or ())
            case StepFailed():
                _take_artifacts(facts, event.step, event.artifacts or ())
            case LlmRequested():
                path = f".cache/{event.request_sha256}.json"
                facts.calls.setdefault((event.step, event.attempt), []).append(path)
            case _:
                pass
    return facts


def _take_artifacts(facts: Facts, step: str, files: Iterable[FileRef]) -> None:
    paths = []
    for file in files:
        path = f"artifacts/{folder_name(step)}/{file.path}"
        facts.media[path] = file.media_type
        paths.append(path)
    facts.artifacts[step] = paths


def read_value(reader: LedgerReader, payload: Payload) -> str:
    """A value as a crate quotes it; a note in its place where its bytes are gone."""
    try:
        return value_text(reader.read_payload(payload))
    except RemovedBlob as error:
        return f"[{str(error).partition(': ')[2]}]"
    except LedgerError as error:
        return f"[{error}]"


def value_text(value: Any) -> str:
    """A value as text, JSON where it is none; cut, with a note, where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= VALUE_CHARS_MAX:
        return text
    return f"{text[:VALUE_CHARS_MAX]} [{len(text) - VALUE_CHARS_MAX} more characters]"


def fragment(*parts: object) -> str:
    """The id of what is no file of the crate: a fragment, whatever characters a name has."""
    return "#" + "/".join(quote(str(part), safe="") for part in parts)


def ref(key: str) -> Entity:
    """A reference to an entity."""
    return {"@id": key}


def refs(keys: Iterable[str]) -> list[Entity]:
    """References to entities."""
    return [ref(key) for key in keys]


def action_status(name: str) -> str:
    """A status of schema.org: Completed, Failed or Active. A text, as the profile's checks want it."""
    return f"http://schema.org/{name}ActionStatus"


def action_time(at: str | None) -> str | None:
    """UTC text in the one form of ISO 8601 that the profile's checks take: to the millisecond."""
    return None if at is None else f"{at[:23]}+00:00"
