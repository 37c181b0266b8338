"""`orc why`: each statement, and the event that it cites."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.asked import Asked
from tests.cli.command_line import orc, submit, write


@pytest.fixture(autouse=True)
def _in_ledger(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORC_DB", str(asked.database))


def why(job: str, step: str, *options: str) -> dict[str, Any]:
    said = orc("why", job, step, "--json", *options)
    assert said.code == 0, said.err
    return said.json()


def event(job: str, version: int, *options: str) -> dict[str, Any]:
    return orc("tail", job, "--json", *options).lines()[version - 1]


def test_a_skip_is_followed_to_the_failure_that_began_it(asked: Asked) -> None:
    found = why(asked.first, "last")

    assert [link["step"] for link in found["causes"]] == ["last", "after", "broken"]
    assert found["verdict"] == (
        "last was skipped, because after was skipped, because broken failed: "
        "exit_code: the command exited with code 3"
    )
    types = [event(asked.first, version)["type"] for version in found["statements"][-1]["events"]]
    assert types == ["step.skipped", "step.skipped", "step.failed"]


def test_a_condition_that_does_not_hold_is_shown_with_what_it_is_about(asked: Asked) -> None:
    told = orc("why", asked.first, "guarded").out

    assert "its condition does not hold: steps.flag.output.go" in told
    assert 'flag succeeded, output {"go": false}' in told


def test_a_retry_names_its_failure_its_rule_and_its_wait(asked: Asked) -> None:
    found = why(asked.first, "broken")["statements"]

    assert [said["kind"] for said in found] == ["started", "retried", "started", "failed"]
    assert found[1]["facts"]["delay_s"] > 0
    assert "its retry takes any failure, 2 attempts in a row at most" in found[1]["text"]
    assert "attempt 2 of the 2 that its retry allows" in found[3]["text"]
    for said in found:
        assert event(asked.first, said["events"][0])["step"] == "broken"


def test_a_start_names_the_last_of_what_it_waited_for(asked: Asked) -> None:
    first = why(asked.first, "build")["statements"][0]

    assert first["text"] == "attempt 1 began, since code had succeeded"
    assert [event(asked.first, version)["type"] for version in first["events"]] == [
        "step.started",
        "step.succeeded",
    ]


def test_a_reply_from_the_cache_names_who_paid_and_a_miss_what_differs(
    asked: Asked, here: object
) -> None:
    assert why(asked.second, "plan")["statements"][1]["kind"] == "cached"
    assert f"step plan of {asked.first} had asked the same" in orc("why", asked.second, "plan").out
    assert "no earlier request of this step" in orc("why", asked.first, "plan").out
    spec = "project: p\nprovider: replay\nsteps:\n  a: {prompt: x, cache: ledger, params: {seed: %d}}\n"
    write("spec.replay.yaml", "replies: {a: [{text: yes}]}")
    for seed in (1, 2):
        submit(spec % seed, "--db", "own.db")

    (miss,) = [one for one in why("latest", "a", "--db", "own.db")["statements"]
               if one["kind"] == "not_cached"]  # fmt: skip
    assert miss["facts"]["changed"] == ["params.seed"]


def test_a_result_of_the_cache_and_of_a_fork_names_its_origin(asked: Asked) -> None:
    assert "the cache of results had the same work done" in why(asked.second, "shell")["verdict"]
    assert "none for its key" in orc("why", asked.first, "shell").out
    forked = why(asked.fork, "plan")["verdict"]
    assert "the job was forked" in forked
    assert asked.first in forked


def test_what_a_resume_and_an_amendment_open_again_says_so(here: object) -> None:
    spec = 'project: p\nsteps:\n  a: {run: "test -e ../../../../ok"}\n  b: {needs: a, value: %d}\n'
    job = submit(spec % 1, "--db", "own.db")
    write("ok", "")
    orc("resume", job, "--db", "own.db")
    orc("resume", job, "--spec", write("spec.yaml", spec % 2), "--db", "own.db")

    failed = why(job, "a", "--db", "own.db")["statements"]
    skipped = why(job, "b", "--db", "own.db")["statements"]

    assert [said["kind"] for said in failed] == [
        "started", "failed", "reopened", "started", "succeeded",
    ]  # fmt: skip
    assert [said["kind"] for said in skipped] == [
        "skipped", "reopened", "started", "succeeded", "reset", "started", "succeeded",
    ]  # fmt: skip


def test_a_step_that_waited_for_a_slot_names_the_one_that_ended(here: object) -> None:
    job = submit(
        'project: p\nconcurrency: 1\nsteps:\n  a: {run: "sleep 0.15"}\n  b: {run: "true"}\n',
        "--db", "own.db",
    )  # fmt: skip

    (waited,) = [one for one in why(job, "b", "--db", "own.db")["statements"]
                 if one["kind"] == "waited"]  # fmt: skip

    assert waited["facts"]["reason"] == "slot"
    assert "one came free when a ended" in waited["text"]
    assert event(job, waited["events"][0], "--db", "own.db")["step"] == "a"


def test_what_waits_for_a_person_says_for_what_and_what_follows_from_it(here: object) -> None:
    spec = "project: p\nsteps:\n  ask: {approval: {message: may I}}\n  go: {needs: ask, value: 1}\n"
    job = submit(spec, "--db", "own.db")

    assert "a person is asked: may I" in why(job, "ask", "--db", "own.db")["verdict"]
    assert why(job, "go", "--db", "own.db")["verdict"] == "go has not begun: it needs ask (waiting)"
    orc("approve", job, "ask", "--db", "own.db")
    assert "chose approve" in orc("why", job, "ask", "--db", "own.db").out
    orc("cancel", job, "--reason", "enough", "--db", "own.db")
    assert "cancelled by orc cancel" in why(job, "go", "--db", "own.db")["verdict"]
    assert "enough" in why(job, "go", "--db", "own.db")["verdict"]


def test_what_was_left_out_says_so(here: object) -> None:
    job = submit("project: p\nsteps:\n  a: {value: 1}\n  b: {needs: a, value: 1}\n",
                 "--until", "a", "--db", "own.db")  # fmt: skip

    told = orc("why", job, "b", "--db", "own.db").out

    assert "only a, and what that needs, were to run" in told
    assert f"orc resume {job}" in told


def test_a_long_chain_is_told_without_its_middle(here: object) -> None:
    chain = "".join(f"  s{n}: {{needs: s{n - 1}, value: 1}}\n" for n in range(1, 30))
    job = submit(f'project: p\nsteps:\n  s0: {{run: "exit 1"}}\n{chain}', "--db", "own.db")

    found = why(job, "s29", "--db", "own.db")

    assert "because of 26 more steps between, because s0 failed" in found["verdict"]
    assert len(found["causes"]) == 30
    assert len(found["statements"][-1]["events"]) < 8


def test_attempts_are_counted_anew_for_the_next_model_of_the_list(here: object) -> None:
    nobody = "base_url: 'http://127.0.0.1:9'"
    job = submit(
        "project: p\nprovider: ollama\nsteps:\n  a:\n    prompt: x\n    "
        f"{nobody}\n    retry: {{max_attempts: 2, initial: 0.001}}\n    "
        f"fallback: [{{provider: ollama, model: other, {nobody}}}]\n",
        "--db", "own.db",
    )  # fmt: skip

    found = why(job, "a", "--db", "own.db")["statements"]

    assert [said["kind"] for said in found if said["kind"] != "started"] == [
        "retried", "retried", "switched", "retried", "failed",
    ]  # fmt: skip
    assert "another model of its fallback list is asked" in found[3]["text"]
    assert "connection is in its retry_on" in found[6]["text"]
    assert "attempt 2 of the 2" in found[-1]["text"]


def test_an_unknown_step_is_told_the_nearest(asked: Asked) -> None:
    said = orc("why", asked.first, "bild")

    assert (said.code, said.out) == (2, "")
    assert "did you mean 'build'?" in said.err
    assert orc("why", "zzz", "build").code == 6


def test_a_failure_that_the_job_goes_on_from_is_not_run_again_by_a_resume(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORC_DB")
    spec = """\
project: x
steps:
  flaky: {run: "exit 3", continue_on_error: true}
  gate: {needs: flaky, if: always(), approval: May I?}
"""
    orc("run", write("x.yaml", spec))
    assert orc("approve", "latest", "gate").code == 0
    assert orc("resume", "latest").code == 0
    kinds = [said["kind"] for said in why("latest", "flaky")["statements"]]
    assert kinds == ["started", "failed"]
