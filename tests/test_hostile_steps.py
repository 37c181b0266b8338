"""Steps that do, by accident or on purpose, what no step should: the job and the disk survive."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

import orc
from orc.cli.jobs.caller.prices import read_prices
from orc.ledger import LedgerReader
from orc.projections import Publisher
from tests.cli import command_line


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(text: str, **options: Any) -> orc.Job:
    Path("spec.yaml").write_text(text)
    return orc.run("spec.yaml", **options)


def test_a_link_in_the_place_of_the_artifacts_is_not_emptied_behind() -> None:
    victim = Path("victim")
    victim.mkdir()
    (victim / "kept").write_text("kept")
    job = run(
        "project: x\nsteps:\n  a:\n    retry: {max_attempts: 2, initial: 0.01s}\n"
        f'    run: rmdir "$ORC_ARTIFACTS"; ln -s {victim.absolute()} "$ORC_ARTIFACTS"; '
        'test "$ORC_ATTEMPT" = 2\n'
    )
    assert (victim / "kept").read_text() == "kept"
    assert job.status == "succeeded"
    assert job.artifacts == {}


@pytest.mark.parametrize("place", ["a.1", "../work"])
def test_nothing_is_captured_behind_a_link_in_the_place_of_the_working_folder(place: str) -> None:
    victim = Path("victim").absolute()
    (victim / "a.1").mkdir(parents=True)
    (victim / "kept").write_text("kept")
    (victim / "a.1/kept").write_text("kept")
    job = run(
        "project: x\nsteps:\n"
        f"  a: {{run: 'cd ..; mv {place} ../moved; ln -s {victim} {place}', files: ['*']}}\n"
    )
    assert job.files == {}
    assert (victim / "kept").read_text() == (victim / "a.1/kept").read_text() == "kept"


def test_a_link_in_the_place_of_a_log_is_not_written_through() -> None:
    Path("tools.py").write_text("def say():\n    print('printed')\n")
    victim = Path("victim.txt").absolute()
    victim.write_text("kept")
    job = run(
        "project: x\nsteps:\n"
        f"  a: {{run: ln -s {victim} ../../logs/b.1.log}}\n"
        "  b: {python: 'tools:say', needs: a}\n"
    )
    assert job.status == "succeeded"
    assert victim.read_text() == "kept"
    assert (job.folder / "logs/b.1.log").read_text() == "printed\n"


def test_a_path_below_the_file_of_another_step_fails_the_later_step() -> None:
    job = run(
        "project: x\ninputs: {p: {}}\nsteps:\n"
        "  a: {value: one, files: [{path: main.py}]}\n"
        "  b: {value: two, needs: a, files: [{path: '${{ inputs.p }}'}]}\n",
        inputs={"p": "main.py/evil.txt"},
    )
    assert [(failure.step, failure.kind) for failure in job.failures] == [("b", "path")]
    assert (job.folder / "outputs/x/main.py").read_text() == "one"
    assert (job.folder / "manifest.json").exists()


@pytest.mark.parametrize(
    "expression",
    ["steps.m.output[steps.k.output]", "'abc'[:1e999]", "steps.m.output.n * 10", "'1e999' | float"],
)
def test_an_expression_that_python_refuses_fails_its_step_alone(expression: str) -> None:
    job = run(
        "project: x\nsteps:\n"
        '  m: {run: \'echo "{\\"n\\": 1e308}"\', output: {format: json}}\n'
        "  k: {run: 'echo \"[1]\"', output: {format: json}}\n"
        f'  a: {{value: "${{{{ {expression} }}}}"}}\n'
        "  b: {value: fine}\n"
    )
    assert [(failure.step, failure.kind) for failure in job.failures] == [("a", "template")]
    assert job.outputs["b"] == "fine"


def test_a_value_that_nests_deeper_at_each_step_fails_before_it_cannot_be_read() -> None:
    steps = ["  s0: {value: []}"]
    steps += [f'  s{i}: {{value: ["${{{{ steps.s{i - 1}.output }}}}"]}}' for i in range(1, 250)]
    job = run("project: x\nsteps:\n" + "\n".join(steps))
    assert [failure.kind for failure in job.failures] == ["schema"]


def test_an_artifact_whose_name_is_not_text_fails_its_step() -> None:
    job = run('project: x\nsteps:\n  a: {run: \'touch "$ORC_ARTIFACTS/$(printf "\\\\377")"\'}\n')
    assert [(failure.step, failure.kind) for failure in job.failures] == [("a", "path")]


def test_folders_nested_without_end_do_not_end_the_runner() -> None:
    Path("dig.py").write_text(
        "import os\n\ndef dig():\n    for _ in range(1300):\n"
        "        os.mkdir('d')\n        os.chdir('d')\n"
    )
    try:
        job = run(
            "project: x\nsteps:\n  a: {python: 'dig:dig', files: ['**/*.txt']}\n  b: {value: 1}\n"
        )
    finally:
        # Deeper than Python's own rmtree goes, which pytest clears its folders with.
        subprocess.run(["rm", "-rf", "runs"], check=True)
    assert job.status == "succeeded"


def test_the_jobs_timeout_ends_a_chain_that_never_waits() -> None:
    steps = ["  s0: {value: 0}"]
    steps += [f"  s{i}: {{value: {i}, needs: s{i - 1}}}" for i in range(1, 3000)]
    job = run("project: x\ntimeout: 0.05s\nsteps:\n" + "\n".join(steps))
    assert job.status == "failed"
    assert job.failures[0].kind == "timeout"


def test_a_second_attempt_finds_nothing_that_the_first_left_for_capture() -> None:
    job = run(
        "project: x\nsteps:\n  a:\n    retry: {max_attempts: 2, initial: 0.01s}\n"
        '    run: echo line >> out.txt; test "$ORC_ATTEMPT" = 2\n    files: [out.txt]\n'
    )
    assert (job.folder / "outputs/x/out.txt").read_text() == "line\n"


def test_two_steps_with_one_question_leave_a_cache_that_shows_it() -> None:
    Path("spec.replay.yaml").write_text("replies:\n  a: [{text: hello}]\n  b: [{text: hello}]\n")
    job = run("project: x\nprovider: replay\nsteps:\n  a: {prompt: hi}\n  b: {prompt: hi}\n")
    (cached,) = (job.folder / ".cache").iterdir()
    assert '"content": "hi"' in cached.read_text()


def test_a_failure_of_a_real_provider_uses_up_no_recorded_reply() -> None:
    Path("spec.replay.yaml").write_text("replies:\n  a: [{text: hello}]\n")
    text = "project: x\nprovider: ollama\ndefaults: {retry: 1}\nsteps:\n  a: {prompt: hi}\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9")
        failed = run(text)
    assert [failure.kind for failure in failed.failures] == ["connection"]
    assert command_line.orc("resume", "latest", "--provider", "replay").code == 0


def test_a_call_that_took_too_long_has_its_end_in_the_ledger() -> None:
    Path("spec.replay.yaml").write_text("replies:\n  a: [{text: late, latency_s: 5}]\n")
    job = run("project: x\nprovider: replay\nsteps:\n  a: {prompt: hi, timeout: 0.1s, retry: 1}\n")
    assert [failure.kind for failure in job.failures] == ["timeout"]
    connection = sqlite3.connect("runs.db")
    calls = connection.execute("SELECT status, failure_kind FROM llm_calls").fetchall()
    connection.close()
    assert calls == [("failed", "timeout")]


def test_a_refresh_that_the_disk_refused_is_made_up_for_by_the_next() -> None:
    Path("spec.replay.yaml").write_text("replies:\n  a: [{text: hello}]\n")
    job = run("project: x\nprovider: replay\nsteps:\n  a: {prompt: hi}\n")
    copy = Path("copy").absolute()
    copy.mkdir()
    with LedgerReader.open(Path("runs.db")) as ledger:
        publisher = Publisher(ledger, job.job_id, copy, prices=read_prices(None))
        (copy / "outputs").mkdir()
        (copy / "manifest.json").mkdir()
        (copy / "manifest.json" / "in the way").touch()
        with pytest.raises(OSError):
            publisher.publish()
        (copy / "manifest.json" / "in the way").unlink()
        for path in (copy / ".cache").iterdir():
            path.unlink()
        publisher.publish()
    assert len(list((copy / ".cache").iterdir())) == 1
    assert (copy / "manifest.json").read_bytes() == (job.folder / "manifest.json").read_bytes()
