"""Any file at all is a spec that is refused, or a job that plans; nothing else comes of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.command_line import control_characters, orc, work_in, write
from tests.fuzz.corpus import BROKEN, as_bytes
from tests.fuzz.examined import examine
from tests.fuzz.mutations import RICH, mutated_spec
from tests.fuzz.watched import DidSomething, watched
from tests.processes import ORC, WAIT_S, orc_environment, run_orc
from tests.scheduler.profiles import bounded

SEEDS = st.integers(0, 2**32)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a property puts each of its specs."""
    return tmp_path_factory.mktemp("fuzz") / "spec.yaml"


def test_there_are_broken_specs_of_many_kinds() -> None:
    assert len(BROKEN) >= 90


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_spec_is_refused_and_nothing_is_done(name: str, here: Path) -> None:
    spec = here / "spec.yaml"
    spec.write_bytes(as_bytes(BROKEN[name]))

    assert examine(spec)
    said = orc("run", spec)

    assert said.code == 2
    assert "Traceback" not in said.err
    assert control_characters(said.err) == set()
    assert said.out == ""
    assert [path.name for path in here.iterdir()] == ["spec.yaml"]


def test_a_process_refuses_all_broken_specs_one_after_the_other(here: Path) -> None:
    names = []
    for number, text in enumerate(BROKEN.values()):
        names.append(f"{number}.yaml")
        (here / names[-1]).write_bytes(as_bytes(text))

    ended = run_orc("validate", *names, cwd=here)

    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert all(
        any(line.startswith(f"{name}:") for line in ended.stderr.splitlines()) for name in names
    )
    assert sorted(path.name for path in here.iterdir()) == sorted(names)


@bounded(200)
@given(SEEDS)
def test_a_good_spec_that_was_changed_is_refused_or_plans(spec: Path, seed: int) -> None:
    spec.write_bytes(mutated_spec(seed))
    examine(spec)


@pytest.mark.torture
@bounded(20_000)
@given(SEEDS)
def test_a_good_spec_that_was_changed_is_refused_or_plans_for_long(spec: Path, seed: int) -> None:
    spec.write_bytes(mutated_spec(seed))
    examine(spec)


@bounded(100)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_refused_or_plan(spec: Path, content: bytes) -> None:
    spec.write_bytes(content)
    examine(spec)


def test_a_spec_that_was_cut_off_is_refused_or_plans(spec: Path) -> None:
    for text in RICH:
        for length in range(0, len(text), 29):
            spec.write_bytes(text.encode()[:length])
            examine(spec)


@pytest.mark.torture
def test_a_spec_that_was_cut_off_anywhere_is_refused_or_plans(spec: Path) -> None:
    for text in RICH:
        for length in range(len(text)):
            spec.write_bytes(text.encode()[:length])
            examine(spec)


def test_the_rich_specs_are_good_ones(spec: Path) -> None:
    for text in RICH:
        spec.write_text(text)
        assert examine(spec) is None


def test_a_file_that_a_spec_names_is_not_waited_for(here: Path) -> None:
    os.mkfifo("pipe")
    write("pipe.yaml", "project: x\nsteps: {a: {prompt: {file: pipe}}}\n")
    write("system.yaml", "project: x\nsteps: {a: {prompt: x, system: {file: /dev/tty}}}\n")
    write("template.yaml", "project: x\ntemplate: device.yaml\n")
    write("workflow.yaml", "project: x\nsteps: {a: {workflow: device.yaml}}\n")
    (here / "device.yaml").symlink_to("/dev/zero")

    for name in ("pipe", "system", "template", "workflow"):
        lines = examine(Path(f"{name}.yaml"))
        assert lines
        assert "regular file" in lines[0] or "cannot read" in lines[0]


def test_a_spec_in_a_pipe_is_read_once(here: Path) -> None:
    said = subprocess.run(
        [ORC, "validate", "/dev/stdin"],
        input="project: [\n",
        env=orc_environment(),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert said.returncode == 2
    assert "not valid YAML" in said.stderr


@pytest.mark.parametrize(
    "value",
    [
        "[" * 100_000,
        "9" * 5_000,
        "NaN",
        '{"a": 1, "a": 2}',
        '"\\ud800"',
        "1e999",
        "-Infinity",
        "\ud800",
    ],
    ids=lambda value: value[:8].encode("ascii", "backslashreplace").decode(),
)
def test_an_input_that_is_no_json_is_refused_or_a_text(value: str) -> None:
    inputs = "{any: {type: %s, required: true}}"
    for kind in ("list", "object", "number", "integer", "string"):
        spec = write(
            "spec.yaml", f"project: x\ninputs: {inputs % kind}\nsteps: {{a: {{value: 1}}}}\n"
        )
        said = orc("validate", spec, "-i", f"any={value}")
        assert said.code == (0 if kind == "string" else 2)
        assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 100_000, "&a [*a]", "\0", "a: .nan", "- a"]
)
def test_files_beside_a_spec_are_as_strict_as_a_spec(text: str) -> None:
    spec = write("spec.yaml", "project: x\nprovider: replay\nsteps: {a: {prompt: hi}}\n")
    broken = write("broken.yaml", text)

    for options in (("--inputs", broken), ("--replies", broken)):
        said = orc("run", spec, *options)
        assert said.code == 2, said
        assert "Traceback" not in said.err
        assert len(said.err) < 2_000
    assert not Path("runs.db").exists()


@pytest.mark.parametrize(
    "act",
    [
        lambda: os.system("true"),
        lambda: subprocess.run(["true"], check=True),
        lambda: socket.socket().close(),
        lambda: Path("written").write_text("x"),
        lambda: os.mkdir("made"),
        lambda: eval("1"),
        lambda: compile("x", "x", "eval"),
        lambda: __import__("this"),
    ],
)
def test_the_watch_sees_what_a_spec_may_not_do(act: object) -> None:
    assert callable(act)
    sys.modules.pop("this", None)
    with pytest.raises(DidSomething), watched():
        act()
