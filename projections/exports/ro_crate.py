"""A job as a Workflow Run RO-Crate: its run folder, and `ro-crate-metadata.json`, which describes it.

The format is RO-Crate 1.1 with the profiles of Workflow Run RO-Crate 0.5, up to Provenance Run
Crate: https://w3id.org/ro/wfrun/provenance/0.5. The spec is the workflow, each attempt of a
step is an action (`crate_actions.py`), each file of the folder is an entity with its digest.
A file whose bytes were removed has an entity that says why. A step that never ran has no
entity, because the profile defines none for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from orc.ledger.digest import clean_json
from orc.ledger.errors import LedgerError
from orc.ledger.kinds import JOB_ENDED_BADLY
from orc.ledger.wording import steps_text
from orc.projections.exports.crate_actions import Actions
from orc.projections.exports.crate_facts import (
    Entity,
    Facts,
    action_status,
    action_time,
    fragment,
    ref,
    refs,
    value_text,
)
from orc.projections.exports.source import ExportSource

METADATA = "ro-crate-metadata.json"
SPEC = "inputs/spec.yaml"

_CRATE = "https://w3id.org/ro/crate/1.1"
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    _WORKFLOW_CRATE: ("Workflow RO-Crate", "1.0"),
}
_PROVENANCE = "https://w3id.org/ro/wfrun/provenance/0.5"
_CONTEXT = [f"{_CRATE}/context", "https://w3id.org/ro/terms/workflow-run/context"]
_LANGUAGE, _LICENSE, _ENGINE, _RUN = "#orc-spec", "#license", "#orc", "#run"
_TYPES = {str: "Text", bool: "Boolean", int: "Integer", float: "Float"}
_ENDED = {"succeeded": "Completed", "failed": "Failed", "cancelled": "Failed"}


class Packed(Struct, frozen=True):
    """A file of the crate: its safe path in the crate, and the digest and size of its bytes."""

    path: str
    sha256: str
    size_bytes: int


def render_crate(
    source: ExportSource, facts: Facts, files: Mapping[str, Packed], lost: Mapping[str, str]
) -> bytes:
    """The bytes of `ro-crate-metadata.json`.

    `files` are the files of the folder by path; `lost` has the reason for each missing path.
    """
    graph = _Crate(source, facts, files, lost).graph()
    value = {"@context": _CONTEXT, "@graph": graph}
    return json.dumps(clean_json(value), indent=2, ensure_ascii=True).encode() + b"\n"


class _Crate:
    def __init__(
        self,
        source: ExportSource,
        facts: Facts,
        files: Mapping[str, Packed],
        lost: Mapping[str, str],
    ) -> None:
        self._source = source
        self._facts = facts
        self._files = files
        self._lost = lost
        self._actions = Actions(source, facts, files)

    def graph(self) -> list[Entity]:
        inputs = self._inputs()
        steps = self._actions.build()
        entities = [
            self._descriptor(),
            self._root(),
            *self._contextual(),
            self._workflow(),
            *inputs,
            self._run(),
            *self._engine_run(),
            *steps,
            *(self._file(packed) for packed in self._files.values() if packed.path != SPEC),
            *(self._gone(path, why) for path, why in self._lost.items()),
        ]
        return [_compact(entity) for entity in entities]

    def _descriptor(self) -> Entity:
        return {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": ref("./"),
            "conformsTo": [ref(_CRATE), ref(_WORKFLOW_CRATE)],
        }

    def _root(self) -> Entity:
        job, actions = self._source.view.job, self._actions
        profiles = [one for one in _PROFILES if one != _PROVENANCE or actions.tools]
        return {
            "@id": "./",
            "@type": "Dataset",
            "name": f"{job.name}: {job.job_id}",
            "description": job.task_description or f"A run of the workflow {job.name} by orc.",
            "identifier": job.job_id,
            "datePublished": self._source.as_of,
            "license": ref(_LICENSE),
            "conformsTo": refs(profiles),
            "hasPart": [ref(quote(path)) for path in self._files],
            "mainEntity": ref(quote(SPEC)),
            "mentions": refs([_RUN, *actions.mentioned]),
        }

    def _contextual(self) -> list[Entity]:
        profiles = [
            {"@id": key, "@type": "CreativeWork", "name": name, "version": version}
            for key, (name, version) in _PROFILES.items()
        ]
        return [
            *profiles,
            {
                "@id": _LICENSE,
                "@type": "CreativeWork",
                "name": "No license is stated",
                "description": "The ledger does not record a license. Ask the author of this crate.",
            },
            {
                "@id": _LANGUAGE,
                "@type": "ComputerLanguage",
                "name": "orc spec",
                "description": "A graph of steps in YAML, run by orc.",
            },
            {
                "@id": _ENGINE,
                "@type": "SoftwareApplication",
                "name": "orc",
                "description": "An event-sourced orchestrator for model pipelines.",
                "softwareVersion": self._source.submitted.orc_version,
            },
        ]

    def _workflow(self) -> Entity:
        packed = self._files.get(SPEC)
        actions = self._actions
        # A spec has no version number; its digest identifies it.
        about = {} if packed is None else _bytes_of(packed) | {"version": packed.sha256[:12]}
        return {
            "@id": quote(SPEC),
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": self._source.view.job.name,
            "alternateName": self._source.view.job.spec_file,
            "encodingFormat": "application/yaml",
            **about,
            "programmingLanguage": ref(_LANGUAGE),
            "hasPart": refs(actions.tools),
            "step": refs(actions.how_to_steps),
            "input": [ref(fragment("parameter", name)) for name in self._job_inputs()],
        }

    def _job_inputs(self) -> dict[str, Any]:
        try:
            found = self._source.reader.read_payload(self._facts.inputs)
        except LedgerError:
            return {}
        return found if isinstance(found, dict) else {}

    def _inputs(self) -> list[Entity]:
        entities: list[Entity] = []
        for name, value in self._job_inputs().items():
            parameter, given = fragment("parameter", name), fragment("input", name)
            entities.append(
                {
                    "@id": parameter,
                    "@type": "FormalParameter",
                    "name": name,
                    "additionalType": _TYPES.get(type(value), "PropertyValue"),
                    "workExample": ref(given),
                }
            )
            entities.append(
                {
                    "@id": given,
                    "@type": "PropertyValue",
                    "name": name,
                    "value": value_text(value),
                    "exampleOfWork": ref(parameter),
                }
            )
        return entities

    def _run(self) -> Entity:
        job, status = self._source.view.job, self._source.status
        given = [fragment("input", name) for name in self._job_inputs()]
        failed = status in JOB_ENDED_BADLY
        tolerated = self._source.view.all_tolerated
        went_on = f"{tolerated.summary()}: {tolerated.text()}; " if tolerated.total else ""
        succeeded = steps_text(job.steps_succeeded, job.steps_total)
        return {
            "@id": _RUN,
            "@type": "CreateAction",
            "name": f"Run of {job.name}: {job.job_id}",
            "description": f"{status}; {succeeded} succeeded; {went_on}"
            f"event {self._source.head.version} of its stream has the hash {self._source.head.hash}",
            "instrument": ref(quote(SPEC)),
            "startTime": action_time(job.started_at or job.submitted_at),
            "endTime": action_time(job.finished_at),
            "actionStatus": action_status(_ENDED.get(status, "Active")),
            "error": (job.failure or f"the job was {status}") if failed else None,
            "object": refs(given),
            "result": refs(self._actions.results),
        }

    def _engine_run(self) -> list[Entity]:
        actions, job = self._actions.control_actions, self._source.view.job
        if not actions:
            return []
        run = {
            "@id": "#engine-run",
            "@type": "OrganizeAction",
            "name": "Run of orc",
            "instrument": ref(_ENGINE),
            "object": refs(actions),
            "result": ref(_RUN),
            "startTime": action_time(job.submitted_at),
            "endTime": action_time(job.finished_at),
        }
        return [run]

    def _file(self, packed: Packed) -> Entity:
        return {
            "@id": quote(packed.path),
            "@type": "File",
            "name": packed.path.rpartition("/")[2],
            "alternateName": packed.path,
            "encodingFormat": self._facts.media_type(packed.path),
            **_bytes_of(packed),
            "about": _one(self._actions.about.get(packed.path)),
        }

    def _gone(self, path: str, why: str) -> Entity:
        return {
            "@id": fragment("removed", path),
            "@type": "CreativeWork",
            "name": path,
            "description": f"Not in this crate: {why.partition(': ')[2] or why}",
        }


def _bytes_of(packed: Packed) -> Entity:
    return {"contentSize": str(packed.size_bytes), "sha256": packed.sha256}


def _one(key: str | None) -> Entity | None:
    return None if key is None else ref(key)


def _compact(entity: Entity) -> Entity:
    """The entity without unknown values, and with lists of one as a value, as RO-Crate asks."""
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in entity.items()
        if value is not None and value != []
    }
