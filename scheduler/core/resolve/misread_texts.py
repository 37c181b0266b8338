"""Finds texts that were meant as templates or variables and are none, but plain text.

These are `{{ name }}` and `{% if %}`, and `$ORC_SPEC_DIR` and its like where no shell reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from orc.ledger.definition import JobDef, StepDef
from orc.ledger.stored_struct import dump
from orc.scheduler.core.language.templates import every_text
from orc.scheduler.core.resolve.step_tree import walk

_TEMPLATE = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
# A name comes first: `{{.Names}}` and `{{ .ID }}` are templates of other programs.
_MISREAD = re.compile(r"\{\{-?\s*([A-Za-z_][^{}]*?)\s*-?\}\}|\{%-?\s*[a-z]+[^%]*%\}")
_VARIABLE = re.compile(r"\$(?:ORC_[A-Z_]+|\{ORC_[A-Z_]+\})")
_SHOWN_CHARS = 60


def find_misread_texts(definition: JobDef) -> Iterator[str]:
    """A warning for the first such text of each key of a step."""
    for name, step in walk(definition.steps):
        for key, value in _rendered_keys(step):
            found = next(filter(None, map(_misread, every_text(value))), None)
            if found:
                yield f"step {name!r}: {key}: {found}"
        if isinstance(step.run, tuple):
            yield from (f"step {name!r}: run: {found}" for found in _unread_variables(step.run))


def _rendered_keys(step: StepDef) -> Iterator[tuple[str, Any]]:
    """The keys that the step has, of those that may have templates. Most steps have few of them."""
    if step.messages:
        yield "prompt", [dump(message) for message in step.messages]
    if step.model:
        yield "model", step.model
    if step.params:
        yield "params", step.params
    if step.fallback:
        yield "fallback", [target.model for target in step.fallback]
    if step.tools:
        yield "tools", [[tool.description, tool.parameters, tool.allow] for tool in step.tools]
    if step.output_schema:
        yield "output", step.output_schema
    if step.embed is not None:
        yield "embed", step.embed.texts
    if step.system:
        yield "system", step.system
    if step.run:
        yield "run", step.run
    if step.args:
        yield "args", step.args
    if step.value and not isinstance(step.value, int | float):
        yield "value", step.value
    if step.env and step.facts.runs_code:
        yield "env", step.env
    if step.files:
        yield "files", [dump(file) for file in step.files]
    if step.approval is not None:
        yield "approval", step.approval.message
    if step.inputs:
        yield "with", step.inputs
    if step.for_each is not None:
        yield "for_each", step.for_each.items
        yield "matrix", step.for_each.matrix
        yield "key", step.for_each.key
    if step.score:
        yield "score", [[score.why, score.of] for score in step.score.values()]


def _unread_variables(words: tuple[str, ...]) -> Iterator[str]:
    """The first word that begins with a variable of orc, and is no option's argument, such as `-c`."""
    for before, word in pairwise(words):
        found = None if before.startswith("-") else _VARIABLE.match(word)
        if found is not None:
            yield (
                f"{found[0]} is not replaced in a list of words, which no shell reads; write the "
                "command as a text, or start it where the file is with `cwd`"
            )
            return


def _misread(text: str) -> str | None:
    if "{{" not in text and "{%" not in text:
        return None
    found = _MISREAD.search(_TEMPLATE.sub("", text))
    if found is None:
        return None
    shown = found[0][:_SHOWN_CHARS]
    if found[1] is None:
        return (
            f"{shown} is plain text here: there are no blocks; write an expression, such as "
            "${{ a if b else c }}"
        )
    return f"{shown} is plain text here; a template is written ${{{{ {found[1][:_SHOWN_CHARS]} }}}}"
