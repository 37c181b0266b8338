"""Wrong inputs and declarations are reported together, and each of them only once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import orc, write

SPEC = """\
project: told
inputs:
  size: {type: integer}
  mood: {enum: [calm, wild]}
  name: {default: x}
steps:
  a: {value: "${{ inputs.size }} ${{ inputs.mood }} ${{ inputs.name }}"}
"""


def lines_of(*arguments: str | Path) -> list[str]:
    """The problems that `orc validate` prints, without the excerpts."""
    said = orc("validate", *arguments)
    assert said.code == 2
    return [line for line in said.err.splitlines() if "|" not in line[:8]]


def test_one_wrong_declaration_leaves_the_other_inputs_known(here: Path) -> None:
    spec = write("spec.yaml", SPEC.replace("integer", "intger"))
    assert lines_of(spec, "-i", "mood=calm", "-i", "name=y") == [
        "spec.yaml:3:16: inputs.size.type: 'intger' is not allowed here; did you mean 'integer'?"
    ]


def test_one_wrong_server_leaves_the_other_servers_known(here: Path) -> None:
    spec = write(
        "spec.yaml",
        "project: told\n"
        "servers:\n"
        "  one: {bas_url: x}\n"
        "  two: {base_url: 'http://127.0.0.1:1/v1', key: null}\n"
        "steps: {a: {prompt: Hi, provider: two, model: m}}\n",
    )
    assert lines_of(spec) == [
        "spec.yaml:3:9: servers.one.bas_url: unknown key; did you mean 'base_url'?"
    ]


def test_all_wrong_values_are_reported_at_once(here: Path) -> None:
    spec = write("spec.yaml", SPEC)
    assert lines_of(spec, "-i", "size=big", "-i", "mood=sad", "-i", "nam=y") == [
        "spec.yaml: inputs.nam: the spec has no such input; did you mean 'name'?",
        "spec.yaml: inputs.size: must be of type integer; got 'big'",
        "spec.yaml: inputs.mood: must be one of 'calm', 'wild'; got 'sad'",
    ]
    write("inputs.yaml", "size: big\nmood: sad\nnam: y\n")
    assert lines_of(spec, "--inputs", "inputs.yaml") == [
        "inputs.yaml:1:7: inputs.size: must be of type integer; got 'big'",
        "inputs.yaml:2:7: inputs.mood: must be one of 'calm', 'wild'; got 'sad'",
        "inputs.yaml:3:1: the spec has no input 'nam'; did you mean 'name'?",
    ]
    said = orc("run", spec, "-i", "size", "-i", "=x", "-i", "name=ok")
    assert said.code == 2
    assert "got 'size', '=x'" in said.err


@pytest.mark.parametrize(
    "text",
    ["services:\n  web: {image: x}\nversion: 3\nvolumes: {}\n", '{"a": 1}', "on: push\njobs: {}\n"],
)
def test_a_file_that_is_no_spec_has_one_problem(text: str, here: Path) -> None:
    (line,) = lines_of(write("other.yaml", text))
    assert line.startswith("other.yaml:1:1: this is not a spec of orc: it has none of the keys")
