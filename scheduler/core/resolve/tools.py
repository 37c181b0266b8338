"""The tools of a prompt, as the job's definition has them."""

from __future__ import annotations

from typing import Any

from orc.ledger.definition import ToolDef
from orc.ledger.stored_struct import load
from orc.scheduler.core.language.templates import texts_in
from orc.scheduler.core.spec.prompt import ToolSpec, tool_name


def tool_of(spec: ToolSpec) -> ToolDef:
    """The tool, without what has templates."""
    known = {key: item for key, item in written_tool(spec).items() if not texts_in(item)}
    return load(ToolDef, known)


def written_tool(spec: ToolSpec) -> dict[str, Any]:
    """The fields of the tool, with their templates.

    The spec's checks report a tool of no kind, and a template in a key where none is rendered, which
    is left out here.
    """
    if spec.builtin is not None:
        return {"name": spec.builtin, "allow": list(spec.allow or ())}
    name = _plain(tool_name(spec))
    if spec.mcp is not None:
        return {"name": name, "mcp": _plain(spec.mcp), "allow": list(spec.allow or ())}
    return {
        "name": name,
        "function": _plain(spec.python),
        "description": spec.description,
        "parameters": spec.parameters,
    }


def _plain(value: Any) -> Any:
    return "" if texts_in(value) else value
