"""Parts about the project: the graph of the example, packages, providers, decisions, encoders."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from doc_parts.markup import table

if TYPE_CHECKING:
    from orc.providers.servers.presets import Preset

ROOT = Path(__file__).resolve().parents[2]


def render_graph() -> str:
    """The example's graph, as `orc graph --mermaid` draws it."""
    from orc.projections import mermaid_graph
    from orc.projections.pictures.nodes import nodes_of_needs
    from orc.scheduler.core.spec.parse import parse_spec
    from orc.scheduler.core.spec.references import needs_of

    text = (ROOT / "examples/tiny_spec.yaml").read_text("utf-8")
    steps = parse_spec(text).steps
    needs = {step_id: needs_of(step_id, step, steps) for step_id, step in steps.items()}
    return f"```mermaid\n{mermaid_graph(nodes_of_needs(needs))}\n```"


_FOLDERS = ("orc", "cli", "projections", "scheduler", "providers", "ledger")


def render_packages() -> str:
    """Every package with the first line of its docstring: by folder, then by name."""
    rows = []
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("__init__.py"), key=lambda path: path.parts):
            about = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
            name = path.parent.relative_to(ROOT).as_posix()
            rows.append((f"`{name}/`", about.partition("\n")[0]))
    return table(("package", "what it holds"), rows)


def render_providers() -> str:
    """Every provider that the registry names."""
    from orc.providers import REGISTRY

    rows = [
        (
            f"`{entry.name}`",
            f"`{entry.default_model}`" if entry.model_variables else "",
            ", ".join(f"`{name}`" for name in entry.model_variables),
        )
        for entry in REGISTRY.values()
    ]
    return table(("provider", "default model", "model from"), rows)


def render_servers() -> str:
    """Every server that orc knows without a definition."""
    from orc.providers.servers.presets import PRESETS

    rows = [
        (
            f"`{preset.name}`",
            f"`{preset.key}`" if preset.key else "none",
            f"`{preset.base_url}`" if preset.base_url else "yours",
            f"`{preset.address_variable}`",
            f"`{preset.default_model}`" if preset.default_model else "",
            ", ".join(_deviations(preset)),
            f"`{preset.source.removeprefix('https://')}`",
        )
        for preset in PRESETS.values()
    ]
    heads = ("server", "key", "address", "another address", "default model", "deviations", "source")
    return table(heads, rows)


def _deviations(preset: Preset) -> Iterator[str]:
    if preset.limit_field is not None:
        yield f"`limit_field: {preset.limit_field}`"
    if preset.json_mode != "schema":
        yield f"`json: {preset.json_mode}`"
    if not preset.tools_strict:
        yield "`tools_strict: false`"
    if not preset.stream:
        yield "`stream: false`"
    if preset.reasoning_field is not None:
        yield f"`reasoning_field: {preset.reasoning_field}`"
    if preset.batch:
        yield "`batch: true`"


def render_decisions() -> str:
    """A link to every decision, by its number."""
    rows = []
    for path in sorted((ROOT / "docs/decisions").glob("*.md")):
        number, _, title = path.read_text("utf-8").partition("\n")[0].lstrip("# ").partition(": ")
        rows.append((number, f"[{title}](decisions/{path.name})"))
    return table(("number", "decision"), rows)


def render_encoders() -> str:
    """The encoders in which a secret is found."""
    from orc.ledger.secrets.encoders import ENCODERS

    return "\n".join(f"- {encoder.name}" for encoder in ENCODERS)
