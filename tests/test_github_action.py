"""The action for GitHub: its steps, and what its script writes for a run."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.cli.command_line import FAILING, TINY_SPEC, orc, work_in
from tests.docs.conftest import PAGES, blocks_of, read_page

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
script = SimpleNamespace(**runpy.run_path(str(ROOT / ".github/action.py")))
SCORED = """\
project: scored
inputs: {answer: {}}
steps: {a: {value: "${{ inputs.answer }}", score: {right: "${{ output == 'yes' }}"}}}
"""


def call(words: list[str]) -> tuple[int, str]:
    said = orc(*words)
    return said.code, said.err + said.out


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


def act(folder: Path, spec: str | Path, **inputs: str) -> tuple[int, str, dict[str, str]]:
    """Run the script; the exit code, the summary and the outputs."""
    environment = {
        "ACTION_SPEC": str(spec),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_OUTPUT": str(folder / "output.txt"),
        **{f"ACTION_{name.upper()}": value for name, value in inputs.items()},
    }
    code = script.main(environment, call)
    lines = (folder / "output.txt").read_text().splitlines()
    outputs = dict(line.split("=", 1) for line in lines)
    return code, (folder / "summary.md").read_text(), outputs


def test_a_run_has_a_summary_with_steps_and_cost_and_two_reports(folder: Path) -> None:
    code, summary, outputs = act(folder, TINY_SPEC, provider="replay", keep_ledger="true")
    assert code == 0
    assert summary.startswith("## ` tiny_notes_api `: succeeded\n")
    assert "4 steps" in summary
    assert re.search(
        r"^\| qa \| succeeded \| .+ \| 1,908 \| \$0\.000\d+ \|$", summary, re.MULTILINE
    )
    assert "Scores" not in summary
    assert outputs["status"] == "succeeded"
    assert outputs["exit-code"] == "0"
    assert 0 < float(outputs["cost-usd"]) < 0.01
    reports = folder / "orc-reports"
    assert {path.name for path in reports.iterdir()} == {"job.html", "junit.xml", "runs.db"}
    assert outputs["job-id"] in (reports / "junit.xml").read_text() + (
        reports / "job.html"
    ).read_text("utf-8")


def test_a_score_under_its_limit_fails_the_action_although_the_job_succeeded(folder: Path) -> None:
    (folder / "s.yaml").write_text(SCORED)
    code, summary, _ = act(folder, "s.yaml", inputs="answer=yes\n", fail_under="right=0.5")
    assert code == 0
    assert "| right |" in summary
    code, summary, outputs = act(folder, "s.yaml", inputs="answer=no", fail_under="right=0.5")
    assert (code, outputs["status"], outputs["exit-code"]) == (1, "succeeded", "1")
    assert "the mean 0 is under 0.5" in summary


def test_a_failed_job_has_its_exit_code_and_what_it_printed_is_no_markdown(folder: Path) -> None:
    hostile = "echo '::error::x ![i](http://e.example) `` | <b>' >&2; exit 3"
    (folder / "f.yaml").write_text(FAILING.replace("echo reason >&2; exit 3", hostile))
    code, summary, outputs = act(folder, "f.yaml")
    assert (code, outputs["status"]) == (1, "failed")
    [line] = [line for line in summary.splitlines() if line.startswith("- ")]
    ticks = line.split(" ")[1]
    assert set(ticks) == {"`"}
    assert line.endswith(f" {ticks}")
    assert ticks not in line.removeprefix(f"- {ticks}").removesuffix(ticks)


def test_a_refused_spec_has_no_job_and_the_code_of_the_refusal(folder: Path) -> None:
    (folder / "bad.yaml").write_text("project: p\n")
    code, summary, outputs = act(folder, "bad.yaml")
    assert code == 2
    assert "no job" in summary
    assert (outputs["job-id"], outputs["exit-code"]) == ("", "2")


def test_no_line_of_the_log_is_a_command_for_the_runner(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "orc"
    program.write_text("#!/bin/sh\necho '::set-output name=a::b'\nexit 4\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert script.call_orc(["run"]) == (4, "::set-output name=a::b\n")
    assert capsys.readouterr().out == "  ::set-output name=a::b\n"


def test_no_command_of_the_action_contains_an_input() -> None:
    steps: list[dict[str, Any]] = ACTION["runs"]["steps"]
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []
    assert all(re.search(r"@v\d+$", step["uses"]) for step in steps if "uses" in step)
    [run] = [step for step in steps if step.get("id") == "run"]
    given = set(run["env"])
    read = set(re.findall(r"ACTION_[A-Z_]+", (ROOT / ".github/action.py").read_text()))
    assert given - read == {"ACTION_PROVIDER", "ACTION_MODEL"}
    named = re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text())
    assert set(named) == set(ACTION["inputs"])
    assert [
        path for path in re.findall(r"\.github/[\w.]+", str(steps)) if not (ROOT / path).exists()
    ] == []


def test_the_workflows_of_the_pages_give_inputs_that_the_action_has() -> None:
    blocks = [block for block in blocks_of(*PAGES, language="yaml") if "OWNER/orc@" in block.text]
    assert len(blocks) == 2
    for block in blocks:
        [job] = yaml.safe_load(block.text)["jobs"].values()
        [step] = [step for step in job["steps"] if "orc@" in step.get("uses", "")]
        assert set(step["with"]) <= set(ACTION["inputs"])
        assert "spec" in step["with"]
        named = re.findall(r"steps\.orc\.outputs\.([\w-]+)", block.text)
        assert set(named) <= set(ACTION["outputs"])
        assert not any("${{" in step.get("run", "") for step in job["steps"])
    page = read_page("docs/how-to/github-action.md")
    assert [
        name for name in [*ACTION["inputs"], *ACTION["outputs"]] if f"`{name}`" not in page
    ] == []
