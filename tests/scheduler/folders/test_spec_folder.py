"""A step that misses a file beside its spec says so, with what to write instead."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import orc
from tests.cli.command_line import work_in

FOUND = 'write "$ORC_SPEC_DIR"/up.sh, or ./up.sh with `cwd: spec`'
START = "write ./up.sh, with `cwd: spec`"
STEPS = {
    "path": ("run: ./up.sh", FOUND),
    "word": ("run: up.sh", FOUND),
    "sourced": ("run: . ./up.sh", FOUND),
    "argument": ("run: sh up.sh", FOUND),
    "data": ("run: cat data.csv", '"$ORC_SPEC_DIR"/data.csv'),
    "list": ("run: [./up.sh]", START),
    "list_word": ("run: [up.sh]", START),
    "program": ("run: python3 up.sh", FOUND),
    "function": ("python: 'helpers:read'", "write ./data.csv, with `cwd: spec`"),
    "started_there": ("run: up.sh\n    cwd: spec", "beside the spec: write ./up.sh"),
    "folder": ("run: cd src && ls", '"$ORC_SPEC_DIR"/src, or ./src with `cwd: spec`'),
    "folder_below": ("run: cd ./src/deep", '"$ORC_SPEC_DIR"/src/deep'),
    "listed": ("run: ls src", '"$ORC_SPEC_DIR"/src'),
    "plain_name": ("run: cat Makefile", '"$ORC_SPEC_DIR"/Makefile'),
    "bash_folder": ("run: [bash, -c, cd src]", "write ./src, with `cwd: spec`"),
    "quiet": ("run: ./up.sh 2>/dev/null", FOUND),
    "quiet_program": ("run: grep -q 1 data.csv 2>/dev/null", '"$ORC_SPEC_DIR"/data.csv'),
    "quiet_folder": ("run: cd src/deep 2>/dev/null", '"$ORC_SPEC_DIR"/src/deep'),
    "quiet_list": ("run: [sh, -c, 'exec ./up.sh 2>&-']", START),
    "nowhere": ("run: '\"$ORC_SPEC_DIR\"/no.sh'", "--spec-dir"),
    "no_module": ("python: 'absent:f'", "--spec-dir"),
}
SILENT = {
    "own": "run: echo up.sh is fine >&2; exit 3",
    "absent": "run: ./absent.sh",
    "not_executable": "run: ./data.csv\n    cwd: spec",
    "own_code": "run: exit 2",
    "other_code": "run: 'test 1 = 2 || exit 3 # data.csv'",
    "makes_it": "run: 'echo x > data.csv; exit 2'",
    "knows_it": "run: 'cd \"$ORC_SPEC_DIR\" && cat data.csv && exit 2'",
    "lies_there": "run: 'exit 127 # data.csv'\n    cwd: spec",
    "raises": "python: 'helpers:fail'",
}


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Why each step of one job failed."""
    folder = tmp_path_factory.mktemp("spec")
    with pytest.MonkeyPatch.context() as patch:
        work_in(folder, patch)
        (folder / "up.sh").write_text("#!/bin/sh\nexit 0\n")
        (folder / "up.sh").chmod(0o755)
        (folder / "src/deep").mkdir(parents=True)
        (folder / "Makefile").write_text("all:\n")
        (folder / "data.csv").write_text("1\n")
        code = "def read(): return open('data.csv').read()\ndef fail(): raise ValueError('up.sh')\n"
        (folder / "helpers.py").write_text(code)
        steps = {name: step for name, (step, _) in STEPS.items()} | SILENT
        text = "".join(f"  {name}:\n    {step}\n" for name, step in steps.items())
        (folder / "spec.yaml").write_text(f"project: p\nsteps:\n{text}")
        job = orc.run(folder / "spec.yaml")
    return {str(failure.step): failure.message for failure in job.failures}


@pytest.mark.parametrize("name", STEPS)
def test_the_message_says_what_to_write(messages: dict[str, str], name: str) -> None:
    assert STEPS[name][1] in messages[name]


@pytest.mark.parametrize("name", SILENT)
def test_another_failure_has_no_hint(messages: dict[str, str], name: str) -> None:
    assert "beside the spec" not in messages[name]
    assert "--spec-dir" not in messages[name]


def test_a_folder_of_the_spec_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_in(tmp_path, monkeypatch)
    (tmp_path / "lib").mkdir()
    steps = "steps: {ask: {approval: go}, e: {needs: ask, cwd: spec, run: cat data.csv}}\n"
    (tmp_path / "lib/inner.yaml").write_text(f"project: inner\n{steps}")
    (tmp_path / "spec.yaml").write_text("project: p\nsteps: {w: {workflow: lib/inner.yaml}}\n")
    job = orc.run("spec.yaml")
    shutil.rmtree("lib")
    orc.approve(job.job_id, "w/ask")
    (failure,) = orc.resume(job.job_id).failures
    assert "there is no folder" in failure.message
    assert f"{tmp_path}/lib" in failure.message
    assert "--spec-dir" in failure.message
