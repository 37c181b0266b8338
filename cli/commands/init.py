"""`orc init`: writes a starter spec from a built-in template."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.options import Json, refuse_ignored
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.tables.columns import id_column
from orc.cli.terminal.tables.table import put_table
from orc.cli.terminal.text import put_json, safe, say
from orc.ledger.command_lines import command_line
from orc.ledger.files.descriptors import DASH
from orc.ledger.files.folder import Folder
from orc.ledger.files.new_file import obstacle_at
from orc.ledger.files.temporary import sweep


def command(
    template: Annotated[
        str,
        Argument(
            help="A built-in template; see --list.",
            metavar="TEMPLATE",
            complete="complete_templates",
        ),
    ] = "app",
    to: Annotated[
        Path,
        Option("--to", help="The file to write (.yaml), or a folder for it.", metavar="PATH"),
    ] = Path(),
    show: Annotated[bool, Option("--list", help="List the templates; write nothing.")] = False,
    force: Annotated[
        bool, Option("--force", help="Overwrite an existing spec and its replies.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Write a starter spec, with replies and files to try it offline.

    Files of yours that the spec would read, such as questions.csv, are kept.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.caller.templates import ABOUT, read_template
    from orc.scheduler.core.spec.json_schema import EDITOR_LINE, SCHEMA_FILE, is_schema, schema_text

    if show:
        to_path = None if to == Path() else to
        refuse_ignored({"--to": to_path, "--force": force}, why="--list writes nothing")
        if as_json:
            put_json(ABOUT)
        else:
            put_table((id_column("TEMPLATE"), "MAKES"), ABOUT.items())
        return 0
    try:
        spec = read_template(template)
        replies = read_template(template, suffix=".replay.yaml")
    except ValueError as error:
        raise UsageProblem(str(error)) from error
    if to == DASH:
        raise UsageProblem("--to -: several files are written; name one, or a folder")
    is_file = to.suffix in (".yaml", ".yml")
    path = to if is_file else to / f"{template}.yaml"
    beside = path.with_name(f"{path.stem}.replay.yaml")
    examples, kept = _examples(template, path.parent)
    schema = path.with_name(SCHEMA_FILE)
    contents = {
        **examples,
        beside: replies,
        schema: schema_text(),
        path: EDITOR_LINE + spec,
    }
    for found, content in contents.items():
        obstacle = obstacle_at(found)
        if obstacle is not None:
            raise UsageProblem(f"{found} is {obstacle}; name another file with --to")
        # A file that has the content already may be the first half of a killed command.
        is_older = found == schema and is_schema(_read(found) or "")
        if not force and not is_older and os.path.lexists(found) and _read(found) != content:
            raise UsageProblem(
                f"{found} exists already; name another file with --to, or overwrite it with --force"
            )
    try:
        for found, content in contents.items():
            found.parent.mkdir(parents=True, exist_ok=True)
            sweep(found.parent, [found.name])
            Folder(found.parent.absolute(), private=False).write(found.name, content.encode())
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write {path}: {error.strerror}; name another place with --to"
        ) from error
    if as_json:
        put_json(
            {
                "template": template,
                "spec": str(path),
                "replies": str(beside),
                "schema": str(schema),
                "files": [str(found) for found in examples],
            }
        )
        return 0
    say(f"wrote {safe(path)}, and {safe(beside)} with recorded replies to try it offline")
    say(f"wrote {safe(schema)}, with which an editor completes and checks the spec")
    if examples:
        say(f"wrote {', '.join(map(safe, examples))}: examples of what it reads")
    for found in kept:
        say(f"kept your {safe(found)}, which it reads")
    say("with -p replay no model is called: the cost is what the recorded tokens would cost")
    say(f"next: {command_line('run', path, '-p', 'replay')}    then: {command_line('run', path)}")
    return 0


def _examples(template: str, folder: Path) -> tuple[dict[Path, str], list[Path]]:
    """The files to write for the template to read, and the person's own ones in their place.

    A folder is the person's own if it has anything else than the template's files.
    """
    from orc.cli.jobs.caller.templates import read_example_files

    written: dict[Path, str] = {}
    kept: dict[Path, None] = {}
    for name, content in read_example_files(template).items():
        top = folder / name.partition("/")[0]
        if os.path.lexists(top) and not _is_ours(top, template, folder):
            kept[top] = None
        else:
            written[folder / name] = content
    return written, list(kept)


def _is_ours(top: Path, template: str, folder: Path) -> bool:
    """Whether everything there is of the template: it may be the half of a killed command."""
    from orc.cli.jobs.caller.templates import read_example_files

    ours = {folder / name: content for name, content in read_example_files(template).items()}
    found = [path for path in top.rglob("*") if not path.is_dir()] if top.is_dir() else [top]
    return all(
        path in ours and not path.is_symlink() and _read(path) == ours[path]
        for path in found
        if not path.name.endswith(".orc-tmp")
    )


def _read(path: Path) -> str | None:
    """The text of the file; None if it cannot be read."""
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return None
