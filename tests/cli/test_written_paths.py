"""`~` is the home folder in every path that a person writes, and a variable in one is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import orc as api
from orc.cli import lazy_group
from orc.cli.command_table import COMMANDS
from orc.cli.jobs.caller.prices import find_own_prices
from orc.cli.jobs.caller.sites import find_site_file
from orc.cli.parameters import bare_type
from orc.ledger.errors import UnclearPath
from orc.ledger.files.way import ledger_path
from orc.ledger.files.written_paths import written_path
from orc.scheduler.core.errors import SpecError
from orc.scheduler.executors.site import parse_sites
from tests.cli.command_line import Said, orc, work_in, write
from tests.cli.test_missing_folder import ARGUMENTS

VARIABLES = ("$HOME/x", "${HOME}/x", "/data/$USER/x", "$X")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; the home folder is `home` in it."""
    (tmp_path / "home").mkdir()
    work_in(tmp_path, monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def test_a_written_path_is_what_a_shell_makes_of_it(here: Path) -> None:
    home = here / "home"
    assert written_path("~") == home
    assert written_path("~/a b/$5") == home / "a b" / "$5"
    assert written_path("~root/a") == Path(os.path.expanduser("~root/a"))
    for plain in ("a", "./~x", "a/~", "a$b", "a/b$c", "/a/$", "./$$"):
        assert written_path(plain) == Path(plain)


@pytest.mark.parametrize("text", [*VARIABLES, "~nobody-of-that-name/x", "~nobody-of-that-name"])
def test_what_is_not_known_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UnclearPath, match=r"write .*the whole path"):
        written_path(text)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("files: ['$HOME/a.txt']", "'$HOME/a.txt': $HOME is not replaced in a path"),
        ("files: ['a/${USER}/*.txt']", "${USER} is not replaced in a path"),
        ("files: [{path: '$HOME/a', content: x}]", "relative to the output folder"),
        ("files: [{path: '$HOME/${{ job.id }}', content: x}]", "$HOME is not replaced in a path"),
        ("files: [{path: '~/${{ job.id }}', content: x}]", "must be relative to the output folder"),
        ("files: ['~/a.txt']", "must be relative to the output folder"),
    ],
)
def test_the_files_of_a_step_are_not_in_the_home_folder(here: Path, key: str, said: str) -> None:
    spec = write("spec.yaml", f'project: p\nsteps:\n  a:\n    run: "true"\n    {key}\n')
    assert said in orc("validate", spec).err


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("steps: {a: {run: ['~/tool', x]}}", "steps.a.run: '~/tool': ~ is not replaced in a list"),
        ("steps: {a: {run: [$HOME/tool]}}", "steps.a.run: '$HOME/tool': $HOME is not replaced"),
        ("steps: {a: {run: ['$X/${{ project }}']}}", "$X is not replaced in a list of words"),
        ("hooks: {failed: ['$ORC_SPEC_DIR/f']}\nsteps: {a: {value: 1}}", "$ORC_SPEC_DIR is not"),
        ("steps: {a: {prompt: x, tools: [{mcp: ['~/m']}]}}", "mcp: '~/m': ~ is not replaced in a"),
        (
            "steps: {a: {prompt: x, tools: [{mcp: $HOME/m.py}]}}",
            "is not the path of a file beside the spec",
        ),
    ],
)
def test_a_program_is_not_named_by_what_only_a_shell_reads(here: Path, key: str, said: str) -> None:
    assert said in orc("validate", write("spec.yaml", f"project: p\nprovider: ollama\n{key}\n")).err


@pytest.mark.parametrize(
    ("folder", "said"),
    [("x" * 256, "has more than 255 bytes"), ("/a" + "/b" * 2000, "has more than 3,072 bytes")],
)
def test_an_output_dir_that_no_system_can_have_is_refused(
    here: Path, folder: str, said: str
) -> None:
    spec = write("spec.yaml", f"project: p\noutput_dir: {folder}\nsteps: {{a: {{value: 1}}}}\n")
    assert "spec.yaml:2:13: output_dir: the " in orc("validate", spec).err
    assert said in orc("run", spec).err
    assert (
        orc(
            "run",
            write("other.yaml", "project: p\nsteps: {a: {value: 1}}\n"),
            "--output-dir",
            folder,
        ).code
        == 2
    )
    assert not (here / "runs.db").exists()


@pytest.mark.parametrize("pattern", ["~/p.txt", "$HOME/p.txt", "/p.txt", "../p.txt"])
def test_files_to_ship_are_in_the_folder_of_the_spec(here: Path, pattern: str) -> None:
    spec = write("spec.yaml", f"project: p\nship: ['{pattern}']\nsteps: {{a: {{value: 1}}}}\n")
    assert "the folder of the spec" in orc("validate", spec).err


@pytest.mark.parametrize("plain", ["a$b.txt", "a/b$c", "$5.txt", "${{ job.id }}.txt"])
def test_other_dollar_signs_stay_in_the_names_of_files(here: Path, plain: str) -> None:
    text = f"project: p\nsteps: {{a: {{value: 1, files: [{{path: '{plain}', content: x}}]}}}}\n"
    assert orc("validate", write("spec.yaml", text)).code == 0


def path_options() -> Iterator[tuple[str, str]]:
    """Every option with a path, with its command."""
    for command in COMMANDS:
        for param in lazy_group._build_command(command).params:
            kind = bare_type(param.type_descriptor.annotation)
            if param.opts[0].startswith("-") and kind in (Path, list[Path]):
                yield command, next(name for name in param.opts if name.startswith("--"))


@pytest.mark.parametrize(("command", "option"), [*path_options()])
def test_an_option_with_a_variable_in_its_path_is_refused(
    command: str, option: str, here: Path
) -> None:
    said = orc(command, *ARGUMENTS.get(command, ()), f"{option}=$HOME/x")
    refused(said, option)
    assert [path.name for path in here.iterdir()] == ["home"]


def refused(said: Said, name: str) -> None:
    assert said.code == 2, said
    assert name in said.err
    assert "$HOME is not replaced in a path; write ~" in said.err


def test_every_option_with_a_path_is_among_them() -> None:
    found = {option for _, option in path_options()}
    assert found >= {
        "--db",
        "--runs-dir",
        "--inputs",
        "--replies",
        "--spec",
        "--output-dir",
        "--to",
    }
    assert found >= {"--record", "--uds", "--output"}


@pytest.mark.parametrize(
    "arguments",
    [["run", "$HOME/s.yaml"], ["validate", "$HOME/s.yaml"], ["graph", "$HOME/s.yaml"],
     ["blame", "$HOME/a.txt"], ["backup", "$HOME/b.db"], ["import", "$HOME/j.bundle"],
     ["cluster", "certs", "$HOME/certs"], ["bundle", "latest", "$HOME/j.bundle"]],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_an_argument_with_a_variable_in_its_path_is_refused(
    arguments: list[str], here: Path
) -> None:
    api.run(write("s.yaml", "project: p\nsteps: {a: {value: 1}}\n"))
    refused(orc(*arguments), "$HOME")


def test_a_home_folder_is_found_behind_every_kind_of_option_and_key(here: Path) -> None:
    home = here / "home"
    for name, text in {
        "s.yaml": "project: p\noutput_dir: ~/out\ninputs: {n: {}}\nsteps:\n"
        "  a: {value: '${{ inputs.n }}', files: [{path: a.txt}]}\n"
        "  b: {if: 1 == 2, prompt: {file: ~/p.md}, system: {file: ~/p.md}}\n"
        "  c: {if: 1 == 2, messages: [{role: user, content: [{image: ~/i.gif}]}]}\n"
        "  d: {workflow: ~/lib/w.yaml}\n",
        "t.yaml": "project: t\ntemplate: ~/lib/w.yaml\n",
        "home/p.md": "hi",
        "home/i.gif": "GIF89a",
        "home/in.yaml": "n: given",
        "home/lib/w.yaml": "project: w\nsteps: {e: {if: 1 == 2, prompt: {file: ~/p.md}}}\n",
    }.items():
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(text)
    said = orc("run", "s.yaml", "-p", "ollama", "--db=~/r.db", "--inputs=~/in.yaml")
    assert said.code == 0, said.err
    assert (home / "out" / "a.txt").read_text() == "given"
    assert orc("validate", "t.yaml").code == 0
    assert orc("list", "--db=~/r.db").code == 0
    assert orc("export", "latest", "--db=~/r.db", "--to=~/exported").code == 0
    assert (home / "exported").is_dir()
    assert not list(here.glob("**/~*"))
    assert api.job(db="~/r.db").status == "succeeded"
    for key in ("output_dir: $HOME/out", "steps: {a: {prompt: {file: $HOME/p.md}}}",
                "steps: {a: {workflow: '${HOME}/w.yaml'}}", "template: $HOME/t.yaml"):  # fmt: skip
        steps = "" if key.startswith(("steps", "template")) else "\nsteps: {a: {value: 1}}"
        write("v.yaml", f"project: p\n{key}{steps}\n")
        said = orc("validate", "v.yaml")
        assert said.code == 2
        assert "is not replaced in a path; write ~" in said.err
        assert "v.yaml:2:" in said.err


def test_variables_with_paths_follow_the_same_rule(here: Path) -> None:
    home = here / "home"
    assert ledger_path(None, {"ORC_DB": "~/r.db"}) == home / "r.db"
    assert find_own_prices(here, {"ORC_PRICES": "~/p.yaml"}) == home / "p.yaml"
    assert find_site_file(here, {"ORC_EXECUTORS": "~/e.yaml"}) == home / "e.yaml"
    with pytest.raises(UnclearPath, match="ORC_DB"):
        ledger_path(None, {"ORC_DB": "$HOME/x"})
    with pytest.raises(UnclearPath, match="ORC_PRICES"):
        find_own_prices(here, {"ORC_PRICES": "$HOME/x"})
    with pytest.raises(UnclearPath, match="ORC_EXECUTORS"):
        find_site_file(here, {"ORC_EXECUTORS": "$HOME/x"})


def test_paths_in_a_site_file_follow_the_same_rule(here: Path) -> None:
    entry = {
        "engine": "dask",
        "address": "tls://head:1",
        "tls": {"ca": "~/ca", "cert": "cert", "key": "/key"},
    }
    sites = parse_sites(json.dumps({"executors": {"c": entry}}), path=here / "executors.yaml")
    tls = sites.executors["c"].tls
    assert tls is not None
    assert (tls.ca, tls.cert, tls.key) == (here / "home" / "ca", here / "cert", Path("/key"))
    for wrong in (
        {**entry, "tls": {"ca": "$HOME/ca", "cert": "c", "key": "k"}},
        {"engine": "dask", "scheduler_file": "${HOME}/s.json"},
    ):
        with pytest.raises(SpecError, match="is not replaced in a path"):
            parse_sites(json.dumps({"executors": {"c": wrong}}), path=here / "executors.yaml")


def test_secrets_are_found_in_files_that_are_named_by_a_home_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "home" / "inner.yaml").write_text("project: p\nsecrets: [HOME_TOKEN]\nsteps: {}\n")
    write("spec.yaml", "project: p\nsteps: {a: {workflow: ~/inner.yaml}}\n")
    monkeypatch.setenv("HOME_TOKEN", "sesame-open-sesame")
    for spec in ("~/inner.yaml", "spec.yaml"):
        said = orc("run", spec, "--sesame-open-sesame")
        assert said.code == 2
        assert "open-sesame" not in said.err
