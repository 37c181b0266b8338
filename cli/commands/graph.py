"""`orc graph`: draws the graph of a spec or a job, as text or in a picture format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import read_job_at
from orc.cli.options import At, Database, Json, ReplaceFile, refuse_ignored, target_file
from orc.cli.output_mask import mask_output
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import (
    is_plain_terminal,
    put,
    put_json,
    safe,
    say,
    terminal_width,
)
from orc.ledger.digest import digest_bytes
from orc.ledger.files.descriptors import is_stream
from orc.ledger.files.new_file import write_new_bytes
from orc.ledger.files.written_paths import written_path
from orc.ledger.kinds import CACHED, INTERRUPTED, NOT_LIVE
from orc.projections import mermaid_graph, text_graph
from orc.projections.tables.job_view import read_view

if TYPE_CHECKING:
    from orc.projections.pictures.nodes import GraphNode
    from orc.scheduler.core.spec.model import StepSpec

_FORMATS = ("text", "mermaid", "dot", "svg")
_SUFFIXES = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".txt": "text"}


def command(
    target: Annotated[
        str,
        Argument(
            help="The path of a spec, or a job.",
            metavar="SPEC|JOB",
            complete="complete_specs_and_jobs",
        ),
    ],
    as_format: Annotated[
        str | None,
        Option(
            "--format",
            help="text, mermaid, dot or svg. Default: by the ending of FILE, else text.",
            metavar="FORMAT",
            complete=lambda: list(_FORMATS),
        ),
    ] = None,
    mermaid: Annotated[bool, Option("--mermaid", help="The same as --format mermaid.")] = False,
    output: Annotated[
        Path | None,
        Option("--output", "-o", help="Write the graph to this file; - is stdout.", metavar="FILE"),
    ] = None,
    force: ReplaceFile = False,
    at: At = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Draw the graph of a spec, or of a job with its progress."""
    chosen = _format(as_format, is_mermaid=mermaid, output=output)
    if output is None:
        refuse_ignored({"--force": force}, why="without --output, no file is written")
    path = written_path(target)
    is_spec = path.suffix in (".yaml", ".yml") or is_stream(path) or path.is_file()
    if is_spec and at is not None:
        raise UsageProblem("--at needs a job: a spec has no events; name a job")
    nodes = _nodes_of_spec(path) if is_spec else _nodes_of_job(target, database, at)
    if output is not None:
        output = target_file(output, as_json=as_json)
        _write(output, _drawn(nodes, chosen, width=120), force=force)
        if as_json:
            put_json({"file": str(output.absolute()), "format": chosen})
        else:
            say(f"{chosen} in {safe(output)}")
    elif as_json:
        tops = [node for node in nodes if node.parent is None]
        put_json(
            {
                "needs": {node.id: node.needs for node in tops},
                "statuses": None if is_spec else {node.id: _stored(node) for node in nodes},
                "kinds": {node.id: node.kind for node in nodes},
            }
        )
    else:
        put(_drawn(nodes, chosen, width=terminal_width()))
    return 0


def _format(as_format: str | None, *, is_mermaid: bool, output: Path | None) -> str:
    from orc.scheduler.core.errors import nearest

    if is_mermaid and as_format not in (None, "mermaid"):
        raise UsageProblem(
            f"--mermaid means --format mermaid; leave it out for --format {as_format}"
        )
    if as_format is not None and as_format not in _FORMATS:
        hint = nearest(as_format, _FORMATS)
        raise UsageProblem(f"--format: there is no format {as_format!r}{hint}")
    if is_mermaid:
        return "mermaid"
    if as_format is None and output is not None and output.suffix:
        ending = output.suffix.lower()
        if ending not in _SUFFIXES:
            raise UsageProblem(
                f"--output {output}: no format has the ending {output.suffix}; use "
                f"{', '.join(_SUFFIXES)}, or name the format with --format"
            )
        return _SUFFIXES[ending]
    return as_format or "text"


def _drawn(nodes: list[GraphNode], chosen: str, *, width: int) -> str:
    from orc.projections.pictures.graph_dot import dot_graph
    from orc.projections.pictures.graph_svg import draw_graph

    match chosen:
        case "svg":
            return str(draw_graph(nodes, standalone=True)).rstrip("\n")
        case "dot":
            return dot_graph(nodes)
        case "mermaid":
            return mermaid_graph(nodes)
        case _:
            return text_graph(nodes, width=width, is_plain=is_plain_terminal())


def _write(output: Path, text: str, *, force: bool) -> None:
    content = f"{mask_output(text)}\n".encode("utf-8", "backslashreplace")
    write_new_bytes(output.absolute(), content, force=force, what=digest_bytes(content))


def _stored(node: GraphNode) -> str | None:
    """The status as the tables store it; the graph shows two statuses of its own."""
    return {CACHED: "succeeded", INTERRUPTED: "running"}.get(node.status or "", node.status)


def _nodes_of_spec(path: Path) -> list[GraphNode]:
    # Imported here and below, since the graph of a job starts fast without the parser of specs.
    from orc.cli.jobs.caller.spec_files import SpecFiles, folder_beside, read_spec_file
    from orc.scheduler.core.spec.parse import parse_spec

    text, name = read_spec_file(path)
    steps = parse_spec(
        text, source_name=name, read_text=SpecFiles(folder_beside(path)).read_text
    ).steps
    return list(_nodes_of_steps(steps, None))


def _nodes_of_steps(steps: dict[str, StepSpec], parent: str | None) -> Iterator[GraphNode]:
    """The steps, each followed by the members of its group. Items and rounds exist only in a job."""
    from orc.projections.pictures.nodes import GraphNode
    from orc.scheduler.core.spec.references import needs_of

    prefix = f"{parent}/" if parent else ""
    for step_id, step in steps.items():
        name = f"{prefix}{step_id}"
        needs = tuple(f"{prefix}{needed}" for needed in needs_of(step_id, step, steps))
        yield GraphNode(name, _kind(step), None, needs, parent)
        if step.steps and step.for_each is None and step.loop is None:
            yield from _nodes_of_steps(step.steps, name)


def _kind(step: StepSpec) -> str:
    from orc.scheduler.core.spec.model import kind_of

    if step.for_each is not None or step.matrix is not None:
        return "for_each"
    return "loop" if step.loop is not None else kind_of(step) or ""


def _nodes_of_job(name: str, database: Path | None, at: int | None) -> list[GraphNode]:
    from orc.projections.pictures.nodes import nodes_of_view

    with read_job_at(database, name, at) as tables:
        view = read_view(tables.connection, tables.job_id)
        is_live = tables.status(view.job.status) not in NOT_LIVE
    return nodes_of_view(view, is_live=is_live)
