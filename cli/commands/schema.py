"""`orc schema`: prints the JSON Schema of specs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from orc.cli.terminal.text import put
from orc.scheduler.core.spec.model import JobSpec


def command(
    as_json: Annotated[
        bool, typer.Option("--json", help="The output is always JSON.", hidden=True)
    ] = False,
) -> int:
    """Print the JSON Schema of specs, for editors."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **JobSpec.model_json_schema(),
        "title": "orc spec",
    }
    # A key under `defaults` has the meaning of the same key of a step.
    of_step = document["$defs"]["StepSpec"]["properties"]
    for key, shape in document["$defs"]["DefaultsSpec"]["properties"].items():
        shape.setdefault("description", of_step[key].get("description", ""))
    put(json.dumps(document, indent=2))
    return 0
