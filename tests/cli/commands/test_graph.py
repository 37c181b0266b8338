"""`orc graph`: its formats, its file, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.command_line import TINY_SPEC, orc, write
from tests.cli.conftest import Kept

NESTED = """\
project: nested
steps:
  list: {value: [1, 2]}
  each: {for_each: "${{ steps.list.output }}", run: "true"}
  pair:
    needs: each
    steps:
      one: {run: "true"}
      two: {needs: one, run: "true"}
"""


@pytest.mark.parametrize(
    ("chosen", "begins"),
    [
        ("text", "●   architect"),
        ("mermaid", "flowchart LR"),
        ("dot", "digraph {"),
        ("svg", "<?xml"),
    ],
)
def test_each_format_is_printed(chosen: str, begins: str) -> None:
    said = orc("graph", TINY_SPEC, "--format", chosen)

    assert said.code == 0
    assert said.out.startswith(begins)


def test_a_picture_of_a_job_has_its_steps_and_their_states(kept: Kept) -> None:
    root = ET.fromstring(orc("graph", kept.failed, "--format", "svg", "--db", kept.database).out)

    assert {
        e.attrib["data-step"]: e.attrib["data-status"]
        for e in root.iter()
        if "data-step" in e.attrib
    } == {"broken": "failed", "after": "skipped", "beside": "succeeded"}


@pytest.mark.parametrize(
    ("name", "begins"),
    [("g.svg", "<?xml"), ("g.DOT", "digraph"), ("g.mmd", "flowchart"), ("g", "●")],
)
def test_a_file_gets_the_format_of_its_name(here: Path, name: str, begins: str) -> None:
    said = orc("graph", TINY_SPEC, "--output", name)

    assert (said.code, said.out) == (0, "")
    assert (here / name).read_text("utf-8").startswith(begins)


def test_the_format_that_is_named_goes_before_the_name_of_the_file(here: Path) -> None:
    said = orc("graph", TINY_SPEC, "-o", "g.txt", "--format", "svg", "--json")

    assert said.json() == {"file": str(here / "g.txt"), "format": "svg"}
    assert ET.parse(here / "g.txt").getroot().tag.endswith("svg")


def test_an_existing_file_is_replaced_only_with_force(here: Path) -> None:
    (here / "g.svg").write_text("mine")

    assert orc("graph", TINY_SPEC, "-o", "g.svg").code == 2
    assert (here / "g.svg").read_text() == "mine"
    assert orc("graph", TINY_SPEC, "-o", "g.svg", "--force").code == 0
    assert (here / "g.svg").read_text("utf-8") != "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "svgg"], "there is no format 'svgg'; did you mean 'svg'?"),
        (["--format", "7"], "there is no format '7'; known: dot, mermaid, svg, text"),
        (["--mermaid", "--format", "svg"], "--mermaid means --format mermaid"),
        (["--output", "no/such/folder.svg"], "its folder does not exist"),
    ],
)
def test_invalid_options_are_refused(options: list[str], said: str) -> None:
    refused = orc("graph", TINY_SPEC, *options)

    assert refused.code == 2
    assert refused.out == ""
    assert said in refused.err


def test_json_has_needs_statuses_and_kinds(kept: Kept) -> None:
    spec = orc("graph", write("nested.yaml", NESTED), "--json").json()
    job = orc("graph", kept.failed, "--json", "--db", kept.database).json()

    assert spec["needs"] == {"list": [], "each": ["list"], "pair": ["each"]}
    assert spec["statuses"] is None
    assert spec["kinds"] == {
        "list": "value", "each": "for_each", "pair": "group", "pair/one": "run", "pair/two": "run",
    }  # fmt: skip
    assert job["statuses"] == {"broken": "failed", "after": "skipped", "beside": "succeeded"}


def test_an_unknown_job_has_its_own_exit_code(kept: Kept) -> None:
    assert orc("graph", "job_nowhere", "--format", "svg", "--db", kept.database).code == 6


def test_graph_draws_a_spec_and_a_job_with_the_state_of_its_steps(kept: Kept) -> None:
    spec = orc("graph", TINY_SPEC)
    job = orc("graph", kept.failed, "--db", kept.database)
    picture = orc("graph", kept.failed, "--mermaid", "--db", kept.database)

    assert spec.out.splitlines() == [
        "●   architect  prompt",
        "├─╮",
        "● │ builder  prompt",
        "│ ● docs  prompt",
        "├─╯",
        "●   qa  prompt",
    ]
    marked = [line.split()[:2] for line in job.out.splitlines() if line]
    assert marked == [["✗", "broken"], ["-", "after"], ["✓", "beside"]]
    assert picture.out.startswith('flowchart LR\n    s0["broken"]:::failed\n')
    assert "    s0 --> s1\n" in picture.out
    assert orc("graph", TINY_SPEC, "--json").json()["needs"]["qa"] == ["builder", "docs"]
