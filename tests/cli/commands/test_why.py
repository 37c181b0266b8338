"""`orc why`: the statements, and the events that they cite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import orc, submit, write
from tests.cli.sample_ledger import SampleLedger


@pytest.fixture(autouse=True)
def _in_ledger(sample: SampleLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORC_DB", str(sample.database))


def why(job: str, step: str, *options: str) -> dict[str, Any]:
    said = orc("why", job, step, "--json", *options)
    assert said.code == 0, said.err
    return said.json()


def event(job: str, version: int, *options: str) -> dict[str, Any]:
    return orc("tail", job, "--json", *options).lines()[version - 1]


def test_a_skip_is_followed_to_the_failure_that_caused_it(sample: SampleLedger) -> None:
    found = why(sample.first, "last")

    assert [link["step"] for link in found["causes"]] == ["last", "after", "broken"]
    assert found["verdict"] == (
        "last was skipped, because after was skipped, because broken failed: "
        "exit_code: the command exited with code 3"
    )
    types = [event(sample.first, version)["type"] for version in found["statements"][-1]["events"]]
    assert types == ["step.skipped", "step.skipped", "step.failed"]


def test_a_false_condition_is_shown_with_the_values_that_it_reads(sample: SampleLedger) -> None:
    told = orc("why", sample.first, "guarded").out

    assert "its condition was false: steps.flag.output.go" in told
    assert 'flag succeeded, output {"go": false}' in told


def test_a_retry_names_its_failure_its_rule_and_its_wait(sample: SampleLedger) -> None:
    found = why(sample.first, "broken")["statements"]

    assert [said["kind"] for said in found] == ["started", "retried", "started", "failed"]
    assert found[1]["facts"]["delay_s"] > 0
    assert "its retry applies to any failure, with at most 2 attempts in a row" in found[1]["text"]
    assert "this was attempt 2 of the 2 that its retry allows in a row" in found[3]["text"]
    for said in found:
        assert event(sample.first, said["events"][0])["step"] == "broken"


def test_a_start_names_the_last_step_that_it_waited_for(sample: SampleLedger) -> None:
    first = why(sample.first, "build")["statements"][0]

    assert first["text"] == "attempt 1 started after code succeeded"
    assert [event(sample.first, version)["type"] for version in first["events"]] == [
        "step.started",
        "step.succeeded",
    ]


def test_a_reply_from_the_cache_names_who_paid_and_a_miss_what_differs(
    sample: SampleLedger, here: object
) -> None:
    assert why(sample.second, "plan")["statements"][1]["kind"] == "cached"
    paid = f"step plan of {sample.first} had sent the same request and paid for it"
    assert paid in orc("why", sample.second, "plan").out
    assert (
        "the cache has no earlier request of this step in" in orc("why", sample.first, "plan").out
    )
    spec = "project: p\nprovider: replay\nsteps:\n  a: {prompt: x, cache: ledger, params: {seed: %d}}\n"
    write("spec.replay.yaml", "replies: {a: [{text: yes}]}")
    for seed in (1, 2):
        submit(spec % seed, "--db", "own.db")

    (miss,) = [one for one in why("latest", "a", "--db", "own.db")["statements"]
               if one["kind"] == "not_cached"]  # fmt: skip
    assert miss["facts"]["changed"] == ["params.seed"]


def test_a_result_from_the_cache_or_a_fork_names_its_origin(sample: SampleLedger) -> None:
    assert (
        "the cache of results had a result of the same work"
        in why(sample.second, "shell")["verdict"]
    )
    assert "the ledger had none for its key" in orc("why", sample.first, "shell").out
    forked = why(sample.fork, "plan")["verdict"]
    assert "the job was forked" in forked
    assert sample.first in forked


def test_steps_that_a_resume_or_an_amendment_reopens_say_so(here: object) -> None:
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
    assert "a slot became free when an attempt of a ended" in waited["text"]
    assert event(job, waited["events"][0], "--db", "own.db")["step"] == "a"


def test_human_review_is_named_as_the_reason_of_a_wait_and_of_its_dependents(here: object) -> None:
    spec = "project: p\nsteps:\n  ask: {approval: {message: may I}}\n  go: {needs: ask, value: 1}\n"
    job = submit(spec, "--db", "own.db")

    assert (
        "ask is waiting: a person must decide: may I"
        in why(job, "ask", "--db", "own.db")["verdict"]
    )
    verdict = why(job, "go", "--db", "own.db")["verdict"]
    assert verdict == "go has not started: it needs ask (waiting)"
    orc("approve", job, "ask", "--db", "own.db")
    assert "chose approve" in orc("why", job, "ask", "--db", "own.db").out
    orc("cancel", job, "--reason", "enough", "--db", "own.db")
    assert "cancelled by orc cancel" in why(job, "go", "--db", "own.db")["verdict"]
    assert "enough" in why(job, "go", "--db", "own.db")["verdict"]


def test_a_step_outside_of_until_says_that_it_was_left_out(here: object) -> None:
    job = submit("project: p\nsteps:\n  a: {value: 1}\n  b: {needs: a, value: 1}\n",
                 "--until", "a", "--db", "own.db")  # fmt: skip

    told = orc("why", job, "b", "--db", "own.db").out

    assert "--until limits this run to a and the steps upstream" in told
    assert f"orc resume {job}" in told


def test_the_middle_of_a_long_chain_is_counted(here: object) -> None:
    chain = "".join(f"  s{n}: {{needs: s{n - 1}, value: 1}}\n" for n in range(1, 30))
    job = submit(f'project: p\nsteps:\n  s0: {{run: "exit 1"}}\n{chain}', "--db", "own.db")

    found = why(job, "s29", "--db", "own.db")

    assert "because of 26 more steps in between, because s0 failed" in found["verdict"]
    assert len(found["causes"]) == 30
    assert len(found["statements"][-1]["events"]) < 8


def test_each_model_of_the_fallback_list_has_its_own_count_of_attempts(here: object) -> None:
    no_server = "base_url: 'http://127.0.0.1:9'"
    job = submit(
        "project: p\nprovider: ollama\nsteps:\n  a:\n    prompt: x\n    "
        f"{no_server}\n    retry: {{max_attempts: 2, initial: 0.001}}\n    retry_on: [connection]\n    "
        f"fallback: [{{provider: ollama, model: other, {no_server}}}]\n",
        "--db", "own.db",
    )  # fmt: skip

    found = why(job, "a", "--db", "own.db")["statements"]

    assert [said["kind"] for said in found if said["kind"] != "started"] == [
        "retried", "retried", "switched", "retried", "failed",
    ]  # fmt: skip
    assert "the next model of its fallback list is asked" in found[3]["text"]
    assert "connection is in its retry_on" in found[6]["text"]
    assert "attempt 2 of the 2" in found[-1]["text"]


def test_a_server_that_does_not_run_is_the_reason_for_no_retry(here: object) -> None:
    no_server = "base_url: 'http://127.0.0.1:9'"
    job = submit(
        f"project: p\nprovider: ollama\nsteps:\n  a:\n    prompt: x\n    {no_server}\n    "
        f"fallback: [{{provider: ollama, model: other, {no_server}}}]\n",
        "--db", "own.db",
    )  # fmt: skip

    found = why(job, "a", "--db", "own.db")["statements"]

    assert [said["kind"] for said in found] == [
        "started", "retried", "switched", "started", "failed",
    ]  # fmt: skip
    assert "the next model of its fallback list is asked" in found[1]["text"]
    assert "no server was running there" in found[-1]["text"]


def test_an_error_for_an_unknown_step_names_the_most_similar_step(sample: SampleLedger) -> None:
    said = orc("why", sample.first, "bild")

    assert (said.code, said.out) == (2, "")
    assert "did you mean 'build'?" in said.err
    assert orc("why", "zzz", "build").code == 6


def test_a_tolerated_failure_is_not_run_again_by_a_resume(
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


def test_settings_that_were_rendered_are_named_with_their_values(here: Path) -> None:
    Path("s.yaml").write_text(
        "project: p\nsteps:\n  n: {value: 2}\n"
        "  a: {run: 'true', timeout: '${{ steps.n.output }}m'}\n"
        "  each: {for_each: [1, 2], max_parallel: '${{ steps.n.output }}', value: 1}\n"
    )
    assert orc("run", "s.yaml").code == 0
    for step, said in (("a", "timeout_s: 120.0"), ("each", "max_parallel: 2")):
        shown = orc("why", "latest", step)
        assert f"its settings were rendered: {said}" in shown.out
    (found,) = [
        one
        for one in orc("why", "latest", "a", "--json").json()["statements"]
        if one["kind"] == "configured"
    ]
    assert found["facts"]["settings"]["timeout_s"] == 120.0
