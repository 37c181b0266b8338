"""Hooks: commands that run when a run of the job has ended, as a user sees them."""

from __future__ import annotations

import errno
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from orc.scheduler.hooks import performing
from tests.cli.command_line import Said, orc, write
from tests.processes import run_orc

SPEC = """\
project: told
inputs: {{who: {{type: string, default: "a; touch planted"}}}}
hooks:
  {hooks}
steps:
  work: {step}
"""


def run(hooks: str, step: str = '{run: "true"}', *options: str) -> Said:
    """Run a spec with these hooks."""
    write("spec.yaml", SPEC.format(hooks=hooks.replace("\n", "\n  "), step=step))
    return orc("run", "spec.yaml", *options)


def events() -> list[dict[str, Any]]:
    """The events of the latest job's hooks."""
    every = orc("show", "latest", "--events", "--json").lines()
    return [event for event in every if event["type"].startswith("hook.")]


def test_a_hook_gets_the_facts_as_json_and_as_variables() -> None:
    said = run("failed: cat > facts.json; env > variables", "{run: 'echo reason >&2; exit 3'}")
    assert said.code == 1
    facts = json.loads(Path("facts.json").read_text())
    job_id = facts["job_id"]
    assert (facts["status"], facts["project"], facts["failures_total"]) == ("failed", "told", 1)
    [failure] = facts["failures"]
    assert (failure["step"], failure["kind"]) == ("work", "exit_code")
    assert "reason" in failure["message"]
    assert facts["commands"]["resume"] == f"orc resume {job_id}"
    variables = dict(
        line.split("=", 1) for line in Path("variables").read_text().splitlines() if "=" in line
    )
    assert variables["ORC_JOB_ID"] == job_id
    assert variables["ORC_STATUS"] == "failed"
    assert variables["ORC_MESSAGE"].startswith("told failed: work: ")
    assert Path(variables["ORC_DB"]) == Path("runs.db").absolute()
    assert Path(variables["ORC_RUN_DIR"], "manifest.json").exists()
    started, ended = events()
    assert started["occasion"] == ended["occasion"]
    assert (ended["outcome"], ended["exit_code"]) == ("exited", 0)
    assert orc("verify").code == 0


@pytest.mark.parametrize(
    ("hook", "outcome", "said"),
    [
        ("echo $((1 + 1)) of it; exit 4", "exited", "exit code 4"),
        ("kill -9 $$", "exited", "ended by SIGKILL"),
        ("[no-such-command-of-ours]", "not_started", "was not found on PATH"),
        ("{run: sleep 30, timeout: 0.2s}", "timeout", "longer than its timeout of 200 ms"),
    ],
)
def test_a_hook_that_does_not_end_well_changes_no_result(
    hook: str, outcome: str, said: str
) -> None:
    ended = run(f"succeeded: {hook}")
    assert ended.code == 0
    assert said in ended.err
    assert "The job's result stays as it is" in ended.err
    assert events()[-1]["outcome"] == outcome
    assert orc("show", "latest", "--json").json()["status"] == "succeeded"
    manifest = json.loads(next(Path("runs").glob("*/manifest.json")).read_text())
    assert manifest["ledger_head"]["hash"] == events()[-1]["hash"]


def test_a_missing_secret_of_a_hook_is_found_before_anything_runs() -> None:
    refused = run("succeeded: {run: 'true', secrets: [NO_SUCH_TOKEN]}", "{run: touch ran}")
    assert refused.code == 7
    assert "a hook needs the secret NO_SUCH_TOKEN" in refused.err


def test_what_a_hook_prints_is_recorded_with_secrets_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "https://hooks.example/secret-token")
    run("succeeded: {run: 'echo to $WEBHOOK_URL; echo oops >&2', secrets: [WEBHOOK_URL]}")
    log = events()[-1]["log"]["value"]
    assert "to [secret WEBHOOK_URL]" in log
    assert "oops" in log
    assert b"secret-token" not in Path("runs.db").read_bytes()
    (path,) = Path("runs").glob("*/logs/hooks/succeeded.*.log")
    assert path.name == f"succeeded.{events()[-1]['occasion']}.log"
    assert path.read_text() == log
    assert orc("verify").code == 0


def test_a_value_in_a_hook_never_becomes_shell_text() -> None:
    run('succeeded: echo "to ${{ inputs.who }} of ${{ project }}, ${{ job.id }}"')
    assert "to a; touch planted of told, job_" in events()[-1]["log"]["value"]
    assert not Path("planted").exists()
    refused = run("succeeded: \"echo '${{ inputs.who }}'\"")
    assert refused.code == 2
    assert "hooks.succeeded" in refused.err


def test_only_the_hook_of_the_status_runs_and_each_run_has_its_own() -> None:
    hooks = "failed: echo failed >> told\nsucceeded: echo succeeded >> told"
    assert run(hooks, "{run: test -e ready}").code == 1
    assert orc("resume", "latest").code == 1
    Path(orc("show", "latest", "--json").json()["folder"]).exists()
    assert Path("told").read_text().split() == ["failed", "failed"]
    write("spec.yaml", Path("spec.yaml").read_text().replace("test -e ready", "'true'"))
    assert orc("resume", "latest", "--spec", "spec.yaml").code == 0
    assert Path("told").read_text().split() == ["failed", "failed", "succeeded"]
    assert orc("resume", "latest").code == 0
    assert Path("told").read_text().split()[-1:] == ["succeeded"]
    assert len(Path("told").read_text().split()) == 3, "the same end is no new occasion"


def test_a_job_that_waits_tells_what_for_and_the_hook_may_answer() -> None:
    step = "{approval: {message: Publish?, options: [approve, later, reject]}}"
    orc_here = f"{sys.executable} -m orc.cli.main"
    answer = f"'cat > facts.json; {orc_here} approve $ORC_JOB_ID work'"
    assert run(f"waiting: {answer}", step).code == 3
    [waiting] = json.loads(Path("facts.json").read_text())["waiting"]
    assert (waiting["step"], waiting["for"], waiting["message"]) == ("work", "approval", "Publish?")
    assert list(waiting["commands"]) == ["approve", "later", "reject"]
    assert waiting["commands"]["approve"].startswith("orc approve job_")
    assert waiting["commands"]["approve"].endswith(" work --resume")
    kinds = [event["type"] for event in orc("show", "latest", "--events", "--json").lines()]
    assert kinds.index("approval.decided") < kinds.index("hook.ended")
    assert events()[-1]["exit_code"] == 0


def test_no_hook_runs_in_a_rehearsal() -> None:
    hooks = "succeeded: echo told >> told"
    run(hooks, '{run: "true"}')
    assert Path("told").read_text().split() == ["told"]
    assert orc("replay", "latest").code == 0
    assert orc("run", "spec.yaml", "-p", "replay").code == 0
    assert orc("run", "spec.yaml", "--dry-run").code == 0
    assert orc("run", "spec.yaml", "--until", "work").code == 0
    assert Path("told").read_text().split() == ["told", "told"]


def test_a_hook_whose_process_died_is_closed_as_unknown_and_not_run_again() -> None:
    write(
        "spec.yaml",
        SPEC.format(hooks="succeeded: echo told >> told; kill -9 $PPID", step="{run: 'true'}"),
    )
    died = run_orc("run", "spec.yaml", cwd=Path.cwd())
    assert died.returncode == -signal.SIGKILL
    assert [event["type"] for event in events()] == ["hook.started"]
    resumed = orc("resume", "latest")
    assert resumed.code == 0
    assert events()[-1]["outcome"] == "unknown"
    assert "not run again" in events()[-1]["message"]
    assert Path("told").read_text().split() == ["told"]
    assert orc("verify").code == 0


def test_the_folder_of_a_hook_whose_process_died_is_named_and_removed(tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    here, temporary = Path.cwd(), str(place)
    write("spec.yaml", SPEC.format(hooks="succeeded: kill -9 $PPID", step="{run: 'true'}"))
    died = run_orc("run", "spec.yaml", cwd=here, TMPDIR=temporary)
    assert died.returncode == -signal.SIGKILL
    (left,) = place.iterdir()
    told = run_orc("doctor", cwd=here, TMPDIR=temporary).stdout
    assert f"{left}: a killed process that ran a hook of a job left it" in told
    write("next.yaml", SPEC.format(hooks="succeeded: 'true'", step="{run: 'true'}"))
    assert run_orc("run", "next.yaml", cwd=here, TMPDIR=temporary).returncode == 0
    assert list(place.iterdir()) == []


def test_a_hook_without_room_for_its_facts_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(kind: str) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(performing, "PrivateFolder", full)
    assert run("succeeded: echo told >> told").code == 0
    ended = events()[-1]
    assert (ended["type"], ended["outcome"]) == ("hook.ended", "not_started")
    assert "No space left on device" in ended["message"]
    assert not Path("told").exists()


def test_the_plan_names_the_hooks() -> None:
    write("spec.yaml", SPEC.format(hooks="failed: 'true'", step="{run: 'true'}"))
    assert "hooks: failed" in orc("plan", "spec.yaml").out
    assert orc("plan", "spec.yaml", "--json").json()["hooks"] == ["failed"]


def test_a_worker_runs_the_hook_and_publishes_its_record() -> None:
    write("spec.yaml", SPEC.format(hooks="succeeded: echo told >> told", step="{run: 'true'}"))
    assert orc("submit", "spec.yaml").code == 0
    worked = orc("work", "--stop-when-empty")
    assert worked.code == 0, worked.err
    assert Path("told").read_text() == "told\n"
    [published] = Path("runs").glob("*/events.jsonl")
    assert '"hook.ended"' in published.read_text()
