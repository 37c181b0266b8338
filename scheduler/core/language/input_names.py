"""Finds the inputs that a text names: `$ORC_INPUTS/notes` in a command, `${{ inputs.notes }}` alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_ONE_INPUT = re.compile(r"\$\{\{\s*inputs\.(\w+)\s*\}\}\Z")
_VARIABLE = re.compile(r"ORC_INPUTS\b")
_NAMED = re.compile(r"ORC_INPUTS\b[}\"']*/([A-Za-z0-9_]+)")


def only_input(value: object) -> str | None:
    """The input that the value is, if it is the text `${{ inputs.notes }}` and nothing else."""
    found = _ONE_INPUT.match(value) if isinstance(value, str) else None
    return None if found is None else found[1]


def names_written(step: Mapping[str, Any], inputs: Collection[str]) -> Iterator[str]:
    """The inputs that the command of a step, as JSON, and its variables name.

    All of them, if it names $ORC_INPUTS and does not say which.
    """
    run = step.get("run") or ()
    for text in (*([run] if isinstance(run, str) else run), *(step.get("env") or {}).values()):
        for place in _VARIABLE.finditer(text or ""):
            name = _NAMED.match(text, place.start())
            if name is not None and name[1] in inputs:
                yield name[1]
            else:
                yield from inputs
