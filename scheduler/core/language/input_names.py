"""Finds the inputs whose files a command names: `$ORC_INPUTS/notes`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_VARIABLE = re.compile(r"ORC_INPUTS\b")
_NAMED = re.compile(r"ORC_INPUTS\b[}\"']*/([A-Za-z0-9_]+)")


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
