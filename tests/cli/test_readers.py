"""Every command that only reads prints plain text, and with --json only JSON."""

from __future__ import annotations

import pytest

from tests.cli.command_line import orc
from tests.cli.conftest import Kept

EVERY_READER = [
    ("list",),
    ("list-runs",),
    ("show", "latest"),
    ("show", "latest", "--events"),
    ("show", "latest", "--files"),
    ("tail", "latest"),
    ("tail", "latest", "-f"),
    ("graph", "latest"),
    ("graph", "latest", "--mermaid"),
    ("verify",),
    ("doctor",),
]


@pytest.mark.parametrize("command", EVERY_READER, ids=" ".join)
def test_a_reading_command_prints_plain_text(command: tuple[str, ...], kept: Kept) -> None:
    said = orc(*command, "--db", kept.database)

    assert said.code == 0, said.err
    assert "\x1b" not in said.out + said.err
    assert all(line == line.rstrip() for line in said.out.splitlines())
    # `verify` prints messages on stderr; its result is the exit code.
    assert bool(said.out) == (command != ("verify",))


@pytest.mark.parametrize("command", EVERY_READER, ids=" ".join)
def test_a_reading_command_prints_only_json_with_json(command: tuple[str, ...], kept: Kept) -> None:
    said = orc(*command, "--json", "--db", kept.database)

    assert said.code == 0, said.err
    assert said.err == ""
    assert said.out.isascii()
    assert all(isinstance(line, dict) for line in said.lines())
    assert said.lines()
