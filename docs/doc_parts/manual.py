"""The manual page `orc.1`, made from the command line and from tables of the pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_DESCRIPTION = (
    "orc runs pipelines of model prompts, shell commands, Python functions and human decisions from "
    "one YAML file, records everything in one SQLite file, the ledger, and continues after any crash "
    "without paying twice."
)
_FILES = (
    ("runs.db", "The ledger, in the current folder unless --db or ORC_DB names another one."),
    ("runs/JOB/", "The run folder of a job, derived from the ledger."),
    ("NAME.replay.yaml", "Recorded replies for NAME.yaml, for the provider replay."),
)


def render_manual() -> str:
    """The page in roff, for `man`."""
    from typer.main import get_command

    from orc.cli.app import app

    root: Any = get_command(app)
    lines = [
        '.\\" Made by docs/generate.py.',
        '.TH ORC 1 "" "orc" "User Commands"',
        ".SH NAME",
        "orc \\- run pipelines of model prompts and commands, and continue them after any crash",
        ".SH SYNOPSIS",
        ".B orc",
        "COMMAND [OPTIONS]",
        ".SH DESCRIPTION",
        _text(_DESCRIPTION),
        "JOB is an id, any unique part of one, or latest; latest~1 is the job before the latest.",
        ".SH COMMANDS",
    ]
    for name, command in root.commands.items():
        if not command.hidden:
            lines += _command(name, command)
    lines += [".SH EXIT STATUS", *_rows("docs/cli.md", "## Exit codes")]
    lines += [".SH ENVIRONMENT", *_rows("docs/environment.md", "| variable | meaning |")]
    lines += [".SH FILES"]
    for path, about in _FILES:
        lines += [".TP", f".I {_text(path)}", _text(about)]
    lines += [".SH SEE ALSO", _text("orc COMMAND --help; the pages in docs/, and README.md.")]
    return "\n".join(lines) + "\n"


def _command(name: str, command: Any) -> list[str]:
    from orc.cli.lazy_group import argument_words

    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join(["orc", name, *argument_words(command.params), "[OPTIONS]"])
    lines = [f".SS {_text(usage)}", *_paragraphs(str(command.help))]
    for parameter in arguments:
        lines += [".TP", f".I {_text(str(parameter.metavar))}", _text(str(parameter.help or ""))]
    for option in options:
        names = ", ".join((*option.opts, *option.secondary_opts))
        value = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
        lines += [".TP", f".B {_text(names + value)}", _text(str(option.help or ""))]
    return lines


def _paragraphs(text: str) -> list[str]:
    return [line for part in text.split("\n\n") for line in (".PP", _text(" ".join(part.split())))]


def _rows(page: str, start: str) -> list[str]:
    """The rows of the first table after a text of a page, as a list."""
    after = (ROOT / page).read_text("utf-8").partition(start)[2]
    lines = []
    found = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    for row in (found[0] if found else "").splitlines():
        term, about = (cell.strip() for cell in row.strip("| ").split(" | ", 1))
        if not re.match(r"-+$|code$", term):
            lines += [".TP", f".B {_text(_plain(term))}", _text(_plain(about))]
    return lines


def _plain(markdown: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", markdown).replace("`", "").replace("\\|", "|")


def _text(text: str) -> str:
    """A text in which nothing is a request or an escape of roff."""
    escaped = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
