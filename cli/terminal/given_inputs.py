"""The options that give a spec the inputs of a job."""

from __future__ import annotations

import json
from pathlib import Path

from orc.ledger.definition import JobDef
from orc.scheduler.core.errors import SpecError

_SHOWN_CHARS_MAX = 200


def given_inputs(definition: JobDef, spec: Path) -> list[str]:
    """The options of `orc run` by which the spec has the job's inputs: `-i`, `topic=seas`.

    What the spec has by default is left out. VALUE stands for a value that is too long to be shown.
    """
    # Imported here: only a job that failed for want of a provider needs the models of specs.
    from orc.scheduler.core.spec.parse import parse_spec

    try:
        declared = parse_spec(spec.read_text("utf-8-sig"), source_name=spec.name).job.inputs
    except (SpecError, OSError, UnicodeDecodeError):
        return []
    given: dict[str, str] = {}
    for name, value in definition.inputs.items():
        if name in declared and value != declared[name].default:
            given[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    for name, found in definition.read.items():
        if name in declared and not found.default:
            given[name] = found.source
    words: list[str] = []
    for name, text in given.items():
        words += ["-i", f"{name}={text if len(text) <= _SHOWN_CHARS_MAX else 'VALUE'}"]
    return words
