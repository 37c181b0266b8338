"""`orc init`: writes a starter spec from a built-in template."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.jobs.caller.templates import ABOUT, read_template
from orc.cli.options import Json, refuse_ignored
from orc.cli.terminal.text import put, put_json, safe, say, table
from orc.ledger.command_lines import command_line
from orc.ledger.files.folder import Folder
from orc.ledger.files.new_file import what_is_no_file
from orc.ledger.files.temporary import sweep


def command(
    template: Annotated[
        str, typer.Argument(help="A built-in template; see --list.", metavar="TEMPLATE")
    ] = "app",
    to: Annotated[
        Path,
        typer.Option("--to", help="The file to write (.yaml), or a folder for it.", metavar="PATH"),
    ] = Path(),
    show: Annotated[
        bool, typer.Option("--list", help="List the templates; write nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    as_json: Json = False,
) -> int:
    """Write a starter spec, with recorded replies to try it offline."""
    if show:
        to_path = None if to == Path() else to
        refuse_ignored({"--to": to_path, "--force": force}, why="--list writes nothing")
        if as_json:
            put_json(ABOUT)
        else:
            put(table(("TEMPLATE", "MAKES"), ABOUT.items()))
        return 0
    try:
        spec = read_template(template)
        replies = read_template(template, suffix=".replay.yaml")
    except ValueError as error:
        raise UsageProblem(str(error)) from error
    is_file = to.suffix in (".yaml", ".yml")
    path = to if is_file else to / f"{template}.yaml"
    beside = path.with_name(f"{path.stem}.replay.yaml")
    contents = {beside: replies, path: spec}
    for found, content in contents.items():
        obstacle = what_is_no_file(found)
        if obstacle is not None:
            raise UsageProblem(f"{found} is {obstacle}; name another file with --to")
        # A file that has the content already may be the first half of a killed command.
        if not force and os.path.lexists(found) and _read(found) != content:
            raise UsageProblem(
                f"{found} exists already; name another file with --to, or overwrite it with --force"
            )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for found, content in contents.items():
            sweep(found.parent, [found.name])
            Folder(found.parent.absolute(), private=False).write(found.name, content.encode())
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror}") from error
    if as_json:
        put_json({"template": template, "spec": str(path), "replies": str(beside)})
        return 0
    say(f"wrote {safe(path)}, and {safe(beside)} with recorded replies to try it offline")
    say(f"next: {command_line('run', path, '-p', 'replay')}    then: {command_line('run', path)}")
    return 0


def _read(path: Path) -> str | None:
    """The text of the file; None if it cannot be read."""
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return None
