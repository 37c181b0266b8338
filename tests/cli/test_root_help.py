"""`orc --help` is what typer would print, at every width."""

from __future__ import annotations

from typing import Any

import pytest
from typer.main import get_command

from orc.cli.app import app
from tests.cli.command_line import orc


@pytest.mark.parametrize("columns", [30, 52, 60, 72, 80, 200])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_is_that_of_typer(
    columns: int, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    root: Any = get_command(app)
    with pytest.raises(SystemExit):
        root.main(args=["--help"], prog_name="orc")
    assert orc(option).out == capsys.readouterr().out
