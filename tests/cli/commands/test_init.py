"""`orc init`, and specs that take their steps from a template."""

from __future__ import annotations

from pathlib import Path

import pytest

from orc.cli.jobs.caller.templates import ABOUT
from tests.cli.command_line import orc, write

OPTIONS = {"review-diff": ("-i", "ask=false")}


@pytest.mark.parametrize("name", ABOUT)
def test_every_template_runs_offline_as_it_is_written(here: Path, name: str) -> None:
    for note in ("a.md", "b.txt"):
        write(note, "Some text.")
    said = orc("init", name)
    assert said.code == 0, said.err
    assert f"next: orc run {name}.yaml -p replay" in said.err
    assert orc("validate", f"{name}.yaml").code == 0
    options = OPTIONS.get(name, ())
    said = orc("run", f"{name}.yaml", "-p", "replay", "--no-input", *options)
    assert said.code == 0, said.err


def test_an_unknown_template_is_refused_with_the_nearest_name(here: Path) -> None:
    assert orc("init", "--list", "--json").json().keys() == ABOUT.keys()
    said = orc("init", "translat")
    assert (said.code, "did you mean 'translate'?" in said.err) == (2, True)


def test_nothing_is_overwritten_without_force(here: Path) -> None:
    write("eval.replay.yaml", "mine")
    assert orc("init", "eval").code == 2
    assert not Path("eval.yaml").exists()
    assert orc("init", "eval", "--force").code == 0
    assert Path("eval.replay.yaml").read_text() != "mine"


def test_a_killed_init_is_completed_by_the_same_command(here: Path) -> None:
    assert orc("init", "eval").code == 0
    whole = Path("eval.yaml").read_bytes()
    Path("eval.yaml").unlink()
    Path(".eval.yaml.7-7.orc-tmp").write_bytes(b"half")
    assert orc("init", "eval").code == 0
    assert Path("eval.yaml").read_bytes() == whole
    assert not list(here.glob("*.orc-tmp"))


def test_a_file_or_a_folder_says_where_to(here: Path) -> None:
    assert orc("init", "eval", "--to", "one/two.yaml").code == 0
    assert orc("init", "eval", "--to", "three").code == 0
    assert Path("one/two.replay.yaml").exists()
    assert Path("three/eval.yaml").exists()


BASE = """\
project: base
inputs: {who: {default: world}, mood: {default: calm}}
env: {GREETING: hello}
steps: {greet: {run: 'echo "$GREETING ${{ inputs.who }}, ${{ inputs.mood }}"'}}
"""


def test_a_spec_says_only_what_is_different_from_its_template(here: Path) -> None:
    write("base.yaml", BASE)
    text = "project: mine\ntemplate: base.yaml\ninputs: {mood: {default: merry}}\n"
    assert orc("run", write("spec.yaml", text), "-i", "who=Ada").code == 0
    (line,) = orc("tail", "latest", "--type", "step.succeeded", "--json").lines()
    assert line["output"]["value"] == "hello Ada, merry"
    assert orc("list", "--json").json()["project"] == "mine"


@pytest.mark.parametrize(
    ("template", "more", "words"),
    [
        ("gone.yaml", "", "spec.yaml:2:11: template: cannot read"),
        ("translat", "", "there is no template 'translat'; did you mean 'translate'?"),
        ("bad.yaml", "", "template: bad.yaml:2:13: steps.a.promt: unknown key"),
        ("base.yaml", "steps: {a: {value: 1}}\n", "cannot have both `steps` and `template`"),
        ("nested.yaml", "", "a template cannot use another template"),
        ("7", "", "template: must be"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_by_its_place(
    here: Path, template: str, more: str, words: str
) -> None:
    write("base.yaml", BASE)
    write("bad.yaml", "project: x\nsteps: {a: {promt: hi}}\n")
    write("nested.yaml", "project: x\ntemplate: base.yaml\n")
    said = orc("validate", write("spec.yaml", f"project: p\ntemplate: {template}\n{more}"))
    assert said.code == 2
    assert words in said.err
