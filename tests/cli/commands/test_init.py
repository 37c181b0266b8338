"""`orc init`, and specs that take their steps from a template."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orc.cli.jobs.caller.templates import ABOUT
from tests.cli.command_line import orc, write

OPTIONS = dict.fromkeys(("review-diff", "extract-table"), ("-i", "ask=false"))
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")


@pytest.mark.parametrize("name", ABOUT)
def test_every_template_runs_offline_as_it_is_written(here: Path, name: str) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*GIT, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    said = orc("init", name)
    assert said.code == 0, said.err
    assert "with -p replay no model is called" in said.err
    assert f"next: orc run {name}.yaml -p replay" in said.err
    assert orc("validate", f"{name}.yaml").code == 0
    options = OPTIONS.get(name, ())
    said = orc("run", f"{name}.yaml", "-p", "replay", "--no-input", *options)
    assert said.code == 0, said.err
    if name != "review-diff":
        assert "tokens, cost $0.00" in said.err


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


def test_the_files_that_a_template_reads_are_written_beside_it(here: Path) -> None:
    said = orc("init", "summarise-folder", "--to", "new")
    names = [f"new/notes/{name}.md" for name in ("elbe", "po", "rhine")]
    assert f"wrote {', '.join(names)}: examples of what it reads" in said.err
    assert orc("init", "summarise-folder", "--to", "new", "--json").json()["files"] == names
    assert all(map(Path.exists, map(Path, names)))


def test_files_of_a_persons_own_are_kept_and_read(here: Path) -> None:
    write("questions.csv", "id,question,answer\none,Why?,So.\n")
    for force in ((), ("--force",)):
        said = orc("init", "eval", *force)
        assert (said.code, "kept your questions.csv, which it reads" in said.err) == (0, True)
    assert "Why?" in Path("questions.csv").read_text()
    assert orc("run", "eval.yaml", "-p", "replay").code == 0


@pytest.mark.parametrize(
    ("make", "written"),
    [
        ("mkdir notes", 3),
        ("mkdir notes; echo mine > notes/mine.md", 1),
        ("mkdir notes; echo mine > notes/po.md", 1),
        ("mkdir -p notes/deep; echo mine > notes/deep/po.md", 1),
        ("mkdir notes; ln -s /dev/null notes/po.md", 1),
        ("ln -s . notes", 3),
        ("mkdir notes; echo half > notes/.po.md.7-7.orc-tmp", 3),
    ],
)
def test_examples_are_not_put_into_a_folder_of_a_persons_own(
    here: Path, make: str, written: int
) -> None:
    subprocess.run(make, shell=True, check=True)
    before = {path: path.read_bytes() for path in here.glob("notes/**/*.md")}
    said = orc("init", "summarise-folder")
    assert said.code == 0, said.err
    assert len(list(here.glob("notes/**/*.md"))) == written
    assert all(path.read_bytes() == content for path, content in before.items())


def test_examples_of_a_killed_init_are_completed(here: Path) -> None:
    assert orc("init", "summarise-folder").code == 0
    for name in ("summarise-folder.yaml", "notes/po.md", "notes/rhine.md"):
        Path(name).unlink()
    assert orc("init", "summarise-folder").code == 0
    assert len(list(here.glob("notes/*.md"))) == 3


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
        ("base.yaml", "steps: {a: {value: 1}}\n", "a spec has either `steps` or `template`"),
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
