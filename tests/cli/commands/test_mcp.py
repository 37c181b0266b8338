"""`orc mcp`: what it refuses before it serves. `tests/cli/mcp` has its tools."""

from __future__ import annotations

import pytest

from tests.cli.command_line import orc


def test_without_the_extra_the_error_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orc.cli.commands.mcp.find_spec", lambda name: None)
    said = orc("mcp")
    assert said.code == 7
    assert "pip install 'orc-ledger[mcp]'" in said.err


def test_a_folder_of_specs_that_is_not_there_is_refused() -> None:
    assert "there is no such folder" in orc("mcp", "--specs", "nowhere").err
