"""The facts from a job's events that a crate needs beyond the tables, and the ids of its entities."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from msgspec import Struct, field

from orc.ledger.errors import LedgerError, RemovedBlob
from orc.ledger.events import (
    JobAmended,
    JobSubmitted,
    LlmRequested,
    Payload,
    StepReused,
    StepSucceeded,
)
from orc.ledger.file_owners import dropped_by
from orc.ledger.reader import LedgerReader
from orc.ledger.step_names import is_within
from orc.projections.exports.source import ExportSource
from orc.projections.folds.owned_files import OwnedFiles, artifact_path, output_path

Entity = dict[str, Any]

VALUE_CHARS_MAX = 10_000
"""The number of characters of a value that a crate contains."""

_BY_SUFFIX = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".yaml": "application/yaml",
}


class Facts(Struct):
    """Facts from the events. Paths are those of the run folder.

    `media` has the media type by path, `artifacts` the paths by step, `outputs` the output by
    step, `calls` the paths of requests by step and attempt.
    """

    inputs: Payload
    media: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    outputs: dict[str, Payload] = field(default_factory=dict)
    calls: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    def media_type(self, path: str) -> str:
        """The media type of a file of the run folder."""
        _, dot, suffix = path.rpartition(".")
        known = self.media.get(path) or _BY_SUFFIX.get(dot + suffix)
        return known or "application/octet-stream"


def read_facts(source: ExportSource) -> Facts:
    """The facts, from one pass over the job's events."""
    facts, owned = Facts(source.submitted.inputs), OwnedFiles()
    for recorded in source.reader.read_stream(source.job_id):
        owned.apply(recorded)
        match event := recorded.event:
            case JobSubmitted():
                facts.inputs = event.inputs
            case JobAmended():
                facts.inputs = event.inputs
                named = dropped_by(event)
                for step in [step for step in facts.outputs if is_within(step, named)]:
                    del facts.outputs[step]
            case StepReused() | StepSucceeded():
                facts.outputs[event.step] = event.output
            case LlmRequested():
                path = f".cache/{event.request_sha256}.json"
                facts.calls.setdefault((event.step, event.attempt), []).append(path)
            case _:
                pass
    for found in owned.outputs:
        facts.media[output_path(found.file.path)] = found.file.media_type
    for step, files in owned.artifacts.items():
        paths = {artifact_path(step, file): file.media_type for file in files}
        facts.media |= paths
        facts.artifacts[step] = list(paths)
    return facts


def read_value(reader: LedgerReader, payload: Payload) -> str:
    """The text of a value; a note in brackets if the ledger no longer has its bytes."""
    try:
        return value_text(reader.read_payload(payload))
    except RemovedBlob as error:
        return f"[{str(error).partition(': ')[2]}]"
    except LedgerError as error:
        return f"[{error}]"


def value_text(value: Any) -> str:
    """A value as text, or as JSON if it is no text; a long one is cut and has a note."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= VALUE_CHARS_MAX:
        return text
    return f"{text[:VALUE_CHARS_MAX]} [{len(text) - VALUE_CHARS_MAX} more characters]"


def fragment(*parts: object) -> str:
    """The id of an entity that is not a file: a fragment, with the parts percent-encoded."""
    return "#" + "/".join(quote(str(part), safe="") for part in parts)


def ref(key: str) -> Entity:
    """A reference to an entity."""
    return {"@id": key}


def refs(keys: Iterable[str]) -> list[Entity]:
    """References to entities."""
    return [ref(key) for key in keys]


def action_status(name: str) -> str:
    """A status of schema.org: Completed, Failed or Active. The profile's validator requires a text."""
    return f"http://schema.org/{name}ActionStatus"


def action_time(at: str | None) -> str | None:
    """UTC text in the form of ISO 8601 that the profile's validator accepts: to the millisecond."""
    return None if at is None else f"{at[:23]}+00:00"
