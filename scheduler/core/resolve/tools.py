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

    The spec's checks report a template in a name or in `mcp`, and a tool of no kind.
    """
    if spec.builtin is not None:
        return {"name": spec.builtin, "allow": list(spec.allow or ())}
    name = tool_name(spec)
    name = "" if texts_in(name) else name
    if spec.mcp is not None:
        mcp = "" if texts_in(spec.mcp) else spec.mcp
        return {"name": name, "mcp": mcp, "allow": list(spec.allow or ())}
    return {
        "name": name,
        "function": spec.python,
        "description": spec.description,
        "parameters": spec.parameters,
    }
