"""Commands about specs: validate, graph, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Database, Json


def validate(
    specs: Annotated[list[Path], typer.Argument(help="Specs to check.", metavar="SPEC...")],
    inputs: Annotated[list[str] | None, typer.Option("--input", "-i", metavar="KEY=VALUE")] = None,
    inputs_file: Annotated[Path | None, typer.Option("--inputs", metavar="FILE")] = None,
    provider: Annotated[str | None, typer.Option("--provider", "-p")] = None,
    as_json: Json = False,
) -> int:
    """Check specs and print every error with its place."""
    import os

    from cli.exits import SUCCEEDED, USAGE
    from cli.inputs import check_names, parse_inputs
    from cli.problems import problem_lines
    from cli.submission import Submission, UsageProblem, prepare
    from cli.text import put_json, safe, say
    from scheduler.core.errors import SpecError

    code = SUCCEEDED
    given = parse_inputs(inputs or [], inputs_file)
    for path in specs:
        problems: list[dict[str, object]] = []
        try:
            check_names(inputs_file, given, path)
            _, definition = prepare(
                Submission(path=path, inputs=given, provider=provider), os.environ
            )
        except SpecError as error:
            problems = [
                {"line": found.line, "column": found.column, "message": found.message}
                for found in error.problems
            ]
            lines = list(problem_lines(error))
        except UsageProblem as error:
            problems = [{"line": 0, "column": 0, "message": str(error)}]
            lines = [safe(error)]
        if problems:
            code = USAGE
        if as_json:
            put_json({"spec": str(path), "valid": not problems, "problems": problems})
        elif problems:
            for line in lines:
                say(line)
        else:
            say(f"{safe(path)}: valid, {len(definition.steps)} steps")
    return code


def graph(
    target: Annotated[str, typer.Argument(help="A spec, or a job.", metavar="SPEC|JOB")],
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flowchart.")] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Draw the graph of a spec, or of a job and its progress."""
    from cli.text import put, put_json
    from projections import mermaid_graph, text_graph

    path = Path(target)
    statuses: dict[str, str] | None = None
    inside: dict[str, list[str]] = {}
    if path.suffix in (".yaml", ".yml") or path.is_file():
        needs = _needs_of_spec(path)
    else:
        needs, statuses, inside = _needs_of_job(target, database)
    if as_json:
        put_json({"needs": needs, "statuses": statuses})
    elif mermaid:
        put(mermaid_graph(needs, statuses))
    else:
        put(text_graph(needs, statuses, inside))
    return 0


def schema(
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON it is in any case.", hidden=True)
    ] = False,
) -> int:
    """Print the JSON Schema of specs, for editors."""
    import json

    from cli.text import put
    from scheduler.core.spec_model import JobSpec

    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **JobSpec.model_json_schema(),
        "title": "orc spec",
    }
    # What a step has by default means what it means in a step.
    of_step = document["$defs"]["StepSpec"]["properties"]
    for key, shape in document["$defs"]["DefaultsSpec"]["properties"].items():
        shape.setdefault("description", of_step[key].get("description", ""))
    put(json.dumps(document, indent=2))
    return 0


def _needs_of_spec(path: Path) -> dict[str, list[str]]:
    from cli.spec_files import SpecFiles
    from cli.submission import Submission, UsageProblem, read_spec
    from scheduler.core.references import needs_of
    from scheduler.core.spec import parse_spec

    if not path.is_file():
        raise UsageProblem(f"cannot read the spec {path}: no such file")
    text, name = read_spec(Submission(path=path))
    steps = parse_spec(
        text, source_name=name, read_text=SpecFiles(path.absolute().parent).read_text
    ).steps
    return {step_id: list(needs_of(step_id, step, steps)) for step_id, step in steps.items()}


def _needs_of_job(
    name: str, database: Path | None
) -> tuple[dict[str, list[str]], dict[str, str], dict[str, list[str]]]:
    """The steps of the spec with what they need, how all steps are, and what is inside which."""
    from cli.options import read_tables
    from ledger import find_job

    with read_tables(database) as (connection, path):
        job_id = find_job(connection, name, path=path)
        rows = connection.execute(
            "SELECT name, needs, status, parent FROM steps WHERE job_id = ? AND status <> 'removed' "
            "ORDER BY position",
            (job_id,),
        ).fetchall()
    needs = {row[0]: row[1].split(", ") if row[1] else [] for row in rows if row[3] is None}
    inside: dict[str, list[str]] = {}
    for name, _, _, parent in rows:
        if parent is not None:
            inside.setdefault(parent, []).append(name)
    return needs, {row[0]: row[2] for row in rows}, inside
