"""Takes the words of commands and the values of variables as they are written.

A process gets texts only, so that `run: [sleep, 1]` and `env: {PORT: 8080}` need no quotes. `1.10`
stays `1.10`, although the number is 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orc.scheduler.core.source.paths import Path
from orc.scheduler.core.source.yaml_source import Document
from orc.scheduler.core.spec.file_texts import mappings_of_steps


def take_as_written(document: Document) -> None:
    """Replace the numbers and booleans in each `run` and `env`, also of hooks, by their texts."""
    owners = ((document.value, ()), *mappings_of_steps(document.value), *_hooks(document))
    for owner, path in owners:
        # New lists and mappings: an alias may stand for the same one elsewhere, as data.
        run = owner.get("run")
        if isinstance(run, list):
            words = enumerate(run)
            owner["run"] = [_text(word, (*path, "run", at), document) for at, word in words]
        elif run is not None:
            owner["run"] = _text(run, (*path, "run"), document)
        if isinstance(owner.get("env"), dict):
            variables = owner["env"].items()
            owner["env"] = {
                name: _text(value, (*path, "env", name), document) for name, value in variables
            }


def _hooks(document: Document) -> Iterator[tuple[dict[str, Any], Path]]:
    """The hooks of the job that are mappings. A list in the place of one is replaced here."""
    hooks = document.value.get("hooks")
    if not isinstance(hooks, dict):
        return
    document.value["hooks"] = own = dict(hooks)
    for name, hook in hooks.items():
        path: Path = ("hooks", name)
        if isinstance(hook, list):
            own[name] = [_text(word, (*path, at), document) for at, word in enumerate(hook)]
        elif isinstance(hook, dict):
            own[name] = dict(hook)
            yield own[name], path


def _text(value: Any, path: Path, document: Document) -> Any:
    if not isinstance(value, int | float):
        return value
    written = document.places.written.get(path)
    if written is not None:
        return written
    # An alias: how a fraction was written is not known there, and it stays a number.
    return value if isinstance(value, float) else str(value).lower()
