"""`orc schema`: prints the JSON Schema of specs, or writes it beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from orc.cli.errors import UsageProblem
from orc.cli.options import refuse_ignored
from orc.cli.parameters import Option
from orc.cli.terminal.text import put, put_json, safe, say
from orc.ledger.digest import digest_bytes
from orc.ledger.files.descriptors import DASH
from orc.ledger.files.new_file import write_new_bytes


def command(
    output: Annotated[
        Path | None,
        Option(
            "--output",
            "-o",
            help="Write the schema to this file, or folder; - is stdout.",
            metavar="PATH",
        ),
    ] = None,
    force: Annotated[
        bool, Option("--force", help="Overwrite a file that is not a schema of orc.")
    ] = False,
    as_json: Annotated[
        bool, Option("--json", help="The output is always JSON.", hidden=True)
    ] = False,
) -> int:
    """Print the JSON Schema of specs, for editors.

    An editor with the YAML language server completes and checks a spec whose first line is
    `# yaml-language-server: $schema=orc.schema.json`, if the schema lies beside it.
    """
    # Imported here: completion, help and an error of the line need only the options.
    from orc.scheduler.core.spec.json_schema import EDITOR_LINE, SCHEMA_FILE, is_schema, schema_text

    if output == DASH:
        output = None
    if output is None:
        refuse_ignored({"--force": force}, why="without --output, no file is written")
        put(schema_text().rstrip("\n"))
        return 0
    path = output / SCHEMA_FILE if output.is_dir() else output
    if path.suffix != ".json":
        raise UsageProblem(f"--output {output}: name a .json file, or a folder")
    content = schema_text().encode()
    is_older = is_schema(_read(path))
    write_new_bytes(path.absolute(), content, force=force or is_older, what=digest_bytes(content))
    if as_json:
        put_json({"file": str(path.absolute())})
    else:
        line = EDITOR_LINE.strip().replace(SCHEMA_FILE, path.name)
        say(f"wrote {safe(path)}; the first line of a spec beside it: {safe(line)}")
    return 0


def _read(path: Path) -> str:
    """The text of the file; empty if it cannot be read."""
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""
