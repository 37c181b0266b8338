"""The JSON Schema of specs, and the line with which an editor finds it."""

from __future__ import annotations

import json
from typing import Any

from orc.scheduler.core.spec.model import JobSpec

SCHEMA_FILE = "orc.schema.json"
EDITOR_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
"""The first line of a spec whose schema lies beside it, for the YAML language server of editors."""

_TITLE = "orc spec"


def spec_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a spec."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **JobSpec.model_json_schema(),
        "title": _TITLE,
    }
    # A key under `defaults` has the meaning of the same key of a step.
    of_step = document["$defs"]["StepSpec"]["properties"]
    for key, shape in document["$defs"]["DefaultsSpec"]["properties"].items():
        shape.setdefault("description", of_step[key].get("description", ""))
    return document


def schema_text() -> str:
    """The schema as the text of a file."""
    return json.dumps(spec_schema(), indent=2) + "\n"


def is_schema(text: str) -> bool:
    """Whether the text is such a schema, of any version of orc."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("title") == _TITLE
