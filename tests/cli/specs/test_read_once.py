"""A spec is parsed once, however large it is: for its inputs it is parsed again only on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.scheduler.core.source.yaml_source import Document, parse_yaml
from orc.scheduler.core.spec import parse
from tests.cli.command_line import orc

SPEC = "project: once\ninputs: {a: {default: 'x'}}\nsteps: {only: {value: '${{ inputs.a }}'}}\n"


@pytest.mark.parametrize("command", ["run", "submit", "validate"])
def test_a_spec_is_parsed_once_without_a_terminal(
    command: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("spec.yaml").write_text(SPEC, "utf-8")
    parsed: list[str] = []

    def count(text: str, *, source_name: str) -> Document:
        parsed.append(source_name)
        return parse_yaml(text, source_name=source_name)

    monkeypatch.setattr(parse, "parse_yaml", count)
    assert orc(command, "spec.yaml").code == 0
    assert [name.rpartition("/")[2] for name in parsed] == ["spec.yaml"]
