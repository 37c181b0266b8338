"""Rewrites the generated parts of the documentation: `python docs/generate.py`, or `--check`.

A generated part is between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. With `--check`
nothing is written, and the exit code is 1 if a page is not up to date. Each word of the glossary is
linked where it first occurs in a page (`glossary_links.py`).
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from glossary_links import link_words
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "docs/architecture.md",
    "README.md",
    "docs/cli.md",
    "docs/events.md",
    "docs/promises.md",
    "docs/spec.md",
    "docs/security.md",
    "docs/tables.md",
    "docs/threat-model.md",
)
_PART = re.compile(r"<!-- generated: (?P<name>[\w-]+) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)


def main() -> int:
    """Rewrite or check every page; the exit code."""
    check = sys.argv[1:] == ["--check"]
    pages = linked_pages()
    stale = [page for page in pages if (ROOT / page).read_text("utf-8") != render_page(page)]
    for page in stale:
        if not check:
            (ROOT / page).write_text(render_page(page), "utf-8")
        message = "not up to date; run python docs/generate.py" if check else "rewritten"
        sys.stdout.write(f"{page}: {message}\n")
    return 1 if check and stale else 0


def render_page(page: str) -> str:
    """The page's text with new generated parts, and with links to the glossary."""

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        body = PARTS[name]().strip("\n")
        return f"<!-- generated: {name} -->\n{body}\n<!-- end of {name} -->"

    return link_words(page, _PART.sub(fill, (ROOT / page).read_text("utf-8")))


def linked_pages() -> list[str]:
    """The pages that get links to the glossary."""
    pages = (ROOT / "docs").rglob("*.md")
    return ["README.md", "SECURITY.md", *sorted(str(path.relative_to(ROOT)) for path in pages)]


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
    return _table(("package", "what it holds"), rows)


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
    return _table(("provider", "default model", "model from"), rows)


def render_commands() -> str:
    """Every command, with its arguments and options as the command line declares them."""
    from typer.main import get_command

    from orc.cli.app import app

    root: Any = get_command(app)
    shown = {name: command for name, command in root.commands.items() if not command.hidden}
    parts = []
    for name, command in shown.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        usage = " ".join(["orc", name, *(str(p.metavar) for p in arguments), "[OPTIONS]"])
        rows = [(f"`{p.metavar}`", str(p.help or "")) for p in arguments]
        rows += [(_option_names(p), str(p.help or "") + _default(p)) for p in options]
        parts.append(f"### {name}\n\n`{usage}`\n\n{command.help}\n\n{_table(('', ''), rows)}")
    hidden = [name for name, command in root.commands.items() if command.hidden]
    parts.append(f"Other names of commands: {', '.join(f'`{name}`' for name in hidden)}.")
    return "\n\n".join(parts)


def render_events() -> str:
    """Every event type with its own fields."""
    from orc.ledger.events import EVENT_TYPES

    parts = []
    for name, model in EVENT_TYPES.items():
        fields = [
            (f"`{field}`", _type_name(info.annotation), "" if info.is_required() else "optional")
            for field, info in model.model_fields.items()
            if field not in ("type", "step", "attempt")
        ]
        body = _table(("field", "type", ""), fields) if fields else "No fields of its own."
        parts.append(f"### {name}\n\n{_paragraphs(model.__doc__)}\n\n{body}")
    return "\n\n".join(parts)


def render_values() -> str:
    """The value types in events, with their fields."""
    from orc.ledger import events

    parts = []
    for model in (
        events.Payload,
        events.FileRef,
        events.Owner,
        events.TokenUsage,
        events.CallRef,
        events.Failure,
    ):
        fields = [
            (f"`{field}`", _type_name(info.annotation), "" if info.is_required() else "optional")
            for field, info in model.model_fields.items()
        ]
        table = _table(("field", "type", ""), fields)
        parts.append(f"### {model.__name__}\n\n{_paragraphs(model.__doc__)}\n\n{table}")
    return "\n\n".join(parts)


def render_read_model() -> str:
    """Every table of the read model with its columns."""
    from orc.projections.tables.columns import table_of
    from orc.projections.tables.rows import ROWS

    return "\n\n".join(_described_table(table_of(row_type)) for row_type in ROWS)


def render_ledger_tables() -> str:
    """Every table of the ledger itself with its columns."""
    from orc.ledger.tables import LEDGER_TABLES

    return "\n\n".join(map(_described_table, LEDGER_TABLES))


def _described_table(table: Any) -> str:
    rows = []
    for column in table.columns:
        kind = {"TEXT": "text", "INTEGER": "integer", "REAL": "number", "ANY": "any"}[column.type]
        kind = f"{kind} (JSON)" if column.is_json else kind
        kind = f"{kind} or NULL" if column.is_nullable and not column.is_key else kind
        key = "Primary key. " if column.is_key else ""
        link = "" if column.refers is None else f" Refers to `{column.refers}`."
        meaning = f"{key}{column.meaning}{link}"
        rows.append((f"`{column.name}`", kind, column.unit or "", meaning))
    body = _table(("column", "type", "unit", "meaning"), rows)
    return f"### {table.name}\n\n{table.about}\n\n{body}"


def render_failure_kinds() -> str:
    """The closed list of failure kinds."""
    from orc.ledger.events import FailureKind

    return _names(get_args(FailureKind))


def render_filters() -> str:
    """The filters of the template language."""
    from orc.scheduler.core.language.evaluation import FILTERS

    return _names(FILTERS)


def render_tests() -> str:
    """The tests of the template language."""
    from orc.scheduler.core.language.evaluation import TESTS

    return _names(TESTS)


def render_later_keys() -> str:
    """Keys that are refused as not supported yet."""
    from orc.scheduler.core.spec.model import LATER_JOB_KEYS, LATER_STEP_KEYS

    return (
        f"Of a job: {_names(sorted(LATER_JOB_KEYS))}\n\n"
        f"Of a step: {_names(sorted(LATER_STEP_KEYS))}"
    )


def render_promises() -> str:
    """Every promise, with its limits, its tests and its guards."""
    import yaml

    parts = []
    text = (ROOT / "tests/promises/promises.yaml").read_text("utf-8")
    for entry in yaml.safe_load(text):
        tests = " \\\n  ".join(entry["tests"])
        lines = [f"## {entry['name'].capitalize()}", entry["promise"].strip()]
        lines.append(f"**Limits.** {entry['limits'].strip()}")
        lines.append(f"```sh\n.venv/bin/python -m pytest -m '' \\\n  {tests}\n```")
        names = [f"*{guard['name']}* (`{guard['file']}`)" for guard in entry.get("guards", ())]
        if names:
            lines.append(f"Guards: {', '.join(names)}.")
        parts.append("\n\n".join(lines))
    return "\n\n".join(parts)


def render_threats() -> str:
    """Who is trusted with what, and the tests that show it."""
    import yaml

    entries = yaml.safe_load((ROOT / "tests/promises/threats.yaml").read_text("utf-8"))
    return _table(
        ("who", "is trusted with", "can do at most", "shown by"),
        (
            (entry["who"], entry["trusted"], entry["most"], _names(entry["tests"]))
            for entry in entries
        ),
    )


def render_encoders() -> str:
    """The encoders in which a secret is found."""
    from orc.ledger.secrets.encoders import ENCODERS

    return "\n".join(f"- {encoder.name}" for encoder in ENCODERS)


def spec_models() -> dict[str, type[BaseModel]]:
    """Every mapping of the spec, by the name of its keys' part: `retry` for `RetrySpec`."""
    from orc.scheduler.core.spec import model as spec_model

    models = spec_model.Strict.__subclasses__()
    return {
        model.__name__.removesuffix("Spec").lower(): model
        for model in models
        if model.__name__.endswith("Spec")
    }


def _keys(model: type[BaseModel]) -> Callable[[], str]:
    """A renderer of one mapping of the spec, key by key."""

    def render() -> str:
        of_step = _own_schema(spec_models()["step"])["properties"]
        schema = _own_schema(model)
        required = schema.get("required", [])
        rows = []
        for key, shape in schema["properties"].items():
            about = shape.get("description") or of_step.get(key, {}).get("description", "")
            default = shape.get("default")
            if key in required:
                about = f"Required. {about}"
            elif default not in (None, [], {}) and not isinstance(default, dict):
                about = f"{about} Default: `{json.dumps(default)}`."
            rows.append((f"`{key}`", _shape_name(shape), about.strip()))
        return _table(("key", "type", ""), rows)

    return render


def _own_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of the model; a recursive model has it under `$defs`."""
    schema = model.model_json_schema()
    return schema if "properties" in schema else schema["$defs"][model.__name__]


PARTS: dict[str, Callable[[], str]] = {
    "packages": render_packages,
    "graph": render_graph,
    "providers": render_providers,
    "commands": render_commands,
    "events": render_events,
    "values": render_values,
    "read-model": render_read_model,
    "ledger-tables": render_ledger_tables,
    "failure-kinds": render_failure_kinds,
    "filters": render_filters,
    "tests": render_tests,
    "later-keys": render_later_keys,
    "encoders": render_encoders,
    "promises": render_promises,
    "threats": render_threats,
    **{f"{name}-keys": _keys(model) for name, model in spec_models().items()},
}


def _table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(headers), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(
        "|".join(["", *(f" {cell} " if cell else " " for cell in line), ""]) for line in lines
    )


def _names(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


def _paragraphs(text: str | None) -> str:
    blocks = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def _option_names(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    takes_value = not option.is_flag
    return f"{names} {option.metavar or 'VALUE'}" if takes_value else names


def _default(option: Any) -> str:
    is_shown = isinstance(option.default, int | str) and not isinstance(option.default, bool)
    return f" Default: {option.default}." if is_shown else ""


def _type_name(annotation: Any) -> str:
    """A Python annotation in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(each) for each in arguments if each is not NoneType)
    if origin is Literal:
        return "failure kind" if len(arguments) > 10 else _choice(arguments)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if annotation is Any:
        return "any JSON value"
    names = {str: "text", int: "integer", float: "number", bool: "boolean"}
    return names.get(annotation) or str(annotation.__name__)


def _shape_name(shape: dict[str, Any]) -> str:
    """A JSON Schema in words."""
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return _MAPPINGS.get(name, f"[mapping](#{name.removesuffix('Spec').lower()})")
    if "anyOf" in shape:
        kinds = [each for each in shape["anyOf"] if each.get("type") != "null"]
        if {"number", "integer", "string"} == {each.get("type") for each in kinds}:
            return "duration"
        return " or ".join(dict.fromkeys(_shape_name(each) for each in kinds))
    if "enum" in shape:
        return "failure kind" if len(shape["enum"]) > 10 else _choice(shape["enum"])
    kind = shape.get("type")
    if kind == "array":
        return f"list of {_shape_name(shape['items'])}"
    if kind == "object" and isinstance(shape.get("additionalProperties"), dict):
        return f"mapping to {_shape_name(shape['additionalProperties'])}"
    names = {"string": "text", "object": "mapping", None: "any value"}
    return names.get(kind) or str(kind)


_MAPPINGS = {
    "FileSpec": "[mapping](#files)",
    "InputSpec": "[input](#inputs)",
    "MessageSpec": "[message](#messages)",
    "PartSpec": "[part](#messages)",
    "StepSpec": "[step](#steps)",
    "TargetSpec": "[mapping](#fallback)",
    "FileText": "`{file: PATH}`",
    "ToolSpec": "[mapping](#tools)",
}
"""The mappings whose section has not their name."""


def _choice(values: Iterable[Any]) -> str:
    return " or ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    sys.exit(main())
