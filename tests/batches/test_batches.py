"""Whole jobs whose calls are submitted in batches, against a server of batches on loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orc.cli.jobs.state import load_state, waits_inside
from orc.cli.terminal.live_notes import counts_text
from orc.ledger import LedgerReader
from tests.batch_server import INPUT_TOKENS, OUTPUT_TOKENS, BatchServer, Error
from tests.batches.jobs import (
    MODELS,
    both_apis,
    echo,
    events,
    fan_out,
    lead_to,
    output_of,
    query,
    said,
    write_spec,
)
from tests.cli.command_line import orc


@both_apis
def test_a_fan_out_is_one_batch_at_half_the_price(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(fan_out(api))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q").code == 0
    assert output_of("all") == "A B C"
    assert server.single == []
    assert [len(batch.requests) for batch in server.batches.values()] == [3]
    ((status, answered, name),) = query("SELECT status, answered, name FROM batches")
    assert (status, answered) == ("completed", 3)
    ids = [event["custom_id"] for event in events("llm.requested")]
    assert ids == server.all_custom_ids
    assert all(one.startswith(name.rpartition("-")[0]) for one in ids)
    # A copy of the job that is sent call by call costs twice as much.
    whole = sum(cost for (cost,) in query("SELECT cost_nano_usd FROM llm_calls"))
    text = (
        fan_out(api).replace("    batch: true\n", "").replace("project: batched", "project: single")
    )
    write_spec(text)
    with BatchServer(echo) as single:
        lead_to(single, monkeypatch)
        assert orc("run", "spec.yaml", "-q").code == 0
    assert (len(single.single), single.batches) == (3, {})
    ((twice,),) = query(
        "SELECT sum(llm_calls.cost_nano_usd) FROM llm_calls JOIN jobs USING (job_id) "
        "WHERE jobs.name = 'single'"
    )
    assert (twice, whole > 0) == (2 * whole, True)
    assert orc("verify").code == 0


@both_apis
@pytest.mark.parametrize(
    ("batch", "rates"), [("", (5, 10)), (", batch: {input: 1, output: 2}", (1, 2))]
)
def test_a_named_server_has_its_own_price_of_batches_or_half_of_the_other(
    api: str, batch: str, rates: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with BatchServer(echo) as server:
        address = server.environment()[f"{api.upper()}_BASE_URL"]
        monkeypatch.setenv("MINE_KEY", "key-of-my-own-server")
        job = f"servers:\n  mine: {{api: {api}, base_url: '{address}', key: MINE_KEY, batch: true, "
        job += f"prices: {{'*': {{input: 10, output: 20{batch}}}}}}}\n"
        write_spec(fan_out(api, job=job).replace(MODELS[api], "mine/m"))
        assert orc("run", "spec.yaml", "-q").code == 0
    of_input, of_output = (1000 * rate for rate in rates)
    assert query("SELECT DISTINCT cost_nano_usd FROM llm_calls") == [
        (INPUT_TOKENS * of_input + OUTPUT_TOKENS * of_output,)
    ]
    for worst in (event["worst_case"] for event in events("llm.requested")):
        most = worst["input_tokens"] * of_input + 50 * of_output
        assert worst["cost_nano_usd"] == most
    assert orc("verify").code == 0
    assert orc("rebuild").code == 0


@both_apis
def test_results_are_taken_in_any_order_and_each_once(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(lines: list[bytes]) -> bytes:
        foreign = [line.replace(b"job_", b"abc_") for line in lines]
        doubled = [line.replace(b'"B"', b'"second"') for line in lines]
        odd = [b"", b"no json", b"[1]", b'{"custom_id": 7}', b'{"custom_id": ["x"]}', b"\xff\xfe"]
        long = [b'{"custom_id": "' + b"x" * 9_000_000 + b'"}']
        return b"\n".join([*odd, *foreign, *long, *reversed(lines), *doubled])

    write_spec(fan_out(api))
    with BatchServer(echo, lines=spoil) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q").code == 0
    assert output_of("all") == "A B C"


@both_apis
def test_a_job_is_left_while_a_server_works_and_goes_on_later(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(fan_out(api))
    with BatchServer(echo, looks=None) as server:
        lead_to(server, monkeypatch)
        left = orc("run", "spec.yaml", "--no-wait")
        assert left.code == 3
        assert "in progress, 0 of 3 answered" in left.err
        assert left.err.splitlines()[-1].startswith("  next: orc resume job_")
        done = orc("resume", "latest", "--no-wait", "--json").lines()[-1]
        assert (done["status"], done["waiting"]) == ("waiting", [])
        (open_batch,) = done["batches"]
        assert (open_batch["batch"], open_batch["requests"], open_batch["answered"]) == (1, 3, 0)
        shown = orc("show", "latest")
        assert "in batch 1: in progress, 0 of 3 answered" in shown.out
        assert "3 of 3 items" in shown.out
        value = json.loads(orc("show", "latest", "--json").out)
        assert (value["status"], value["batches"][0]["status"]) == ("waiting", "accepted")
        assert open_batch.items() <= value["batches"][0].items()
        assert "its call is in batch 1" in orc("why", "latest", "each[0]").out
        assert "waiting for a batch" in orc("list").out
        with LedgerReader.open(Path("runs.db")) as ledger:
            state = load_state(ledger, value["job_id"])
        waits = waits_inside(state)
        assert waits["each"].text() == "3 of 3 items wait for a batch"
        assert counts_text(state, waits) == "4 waiting, 1 pending"
        assert "it waits for a batch" in orc("approve", "latest", "each[0]").err
        (group,) = orc("cost", "latest", "--json").json()["groups"]
        assert (group["calls"], group["unanswered"]) == (3, 3)
        cost = orc("cost", "latest").out
        assert "3 calls have no reply yet" in cost
        assert "spent nothing so far" in cost
        assert "free" not in cost
        then = f"orc resume {value['job_id']}"
        listed = orc("list", "--status", "waiting").out.splitlines()
        assert listed[-2:] == [f"{value['job_id']} waits for a batch", f"next: {then}"]
        assert max(map(len, listed[-2:])) <= 80
        assert value["next"] == orc("list", "--json").json()["next"] == then
        server.finish()
        assert orc("resume", "latest", "--no-wait", "-q").code == 0
    assert len(server.batches) == 1
    assert [event["reason"] for event in events("job.waiting")] == ["batch", "batch"]
    assert len(events("step.started")) == 5
    assert output_of("all") == "A B C"
    assert orc("verify").code == 0


@both_apis
def test_requests_that_failed_or_expired_are_tried_again_in_another_batch(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(body: dict[str, Any]) -> str | Error:
        word = echo(body)
        if word == "B" and len(server.batches) == 1:
            kind = "server_error" if api == "openai" else "api_error"
            return Error(kind=kind)
        if word == "C" and len(server.batches) == 1:
            return Error(is_expired=True)
        asked.append(word)
        return word

    write_spec(fan_out(api))
    with BatchServer(answer) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q").code == 0
    assert [len(batch.requests) for batch in server.batches.values()] == [3, 2]
    assert len(set(server.all_custom_ids)) == 5
    failures = {
        event["step"]: (event["kind"], event.get("unsent")) for event in events("llm.failed")
    }
    assert failures == {"each[1]": ("server_error", None), "each[2]": ("timeout", True)}
    assert output_of("all") == "A B C"


@both_apis
def test_a_reply_that_is_no_json_is_corrected_in_a_batch(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(body: dict[str, Any]) -> str:
        return '{"n": 1}' if "cannot be used" in said(body) else "one"

    write_spec(
        fan_out(api, step="    output: {format: json, repair: 1}", items="[a, b]").replace(
            " | join(' ')", ""
        )
    )
    with BatchServer(answer) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q").code == 0
    assert [len(batch.requests) for batch in server.batches.values()] == [2, 2]
    assert output_of("all") == [{"n": 1}, {"n": 1}]


@both_apis
def test_a_batch_whose_acceptance_was_not_heard_is_found_at_the_server(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/v1/batches" if api == "openai" else "/v1/messages/batches"
    write_spec(fan_out(api))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        server.cuts.append(f"POST {path}")
        assert orc("run", "spec.yaml", "-q").code == 0
    assert len(server.batches) == 1
    assert [event.get("found") for event in events("batch.accepted")] == [None]
    assert output_of("all") == "A B C"


@pytest.mark.parametrize(("policy", "code"), [("retry", 0), ("ask", 3), ("fail", 7)])
def test_a_batch_that_cannot_be_found_is_submitted_again_only_by_policy(
    policy: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orc.scheduler.batches.follower.FIND_WAIT_S", 0.05)
    write_spec(fan_out("openai", step=f"    on_unknown: {policy}"))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        server.cuts.append("POST /v1/batches")
        server.is_hiding = True
        assert orc("run", "spec.yaml", "-q").code == code
    assert len(server.batches) == (2 if policy == "retry" else 1)
    ended = [event["outcome"] for event in events("batch.ended")]
    assert ended == (["lost", "completed"] if policy == "retry" else ["lost"])
    assert query("SELECT calls_in_doubt FROM jobs") == [(3,)]


@both_apis
def test_a_submission_that_always_fails_ends_with_the_words_of_the_server(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orc.scheduler.batches.follower.FIND_WAIT_S", 0.05)
    write_spec(fan_out(api, step="    on_unknown: retry"))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        server.refusals += [(500, {"error": {"message": "our disk is full"}})] * 3
        assert orc("run", "spec.yaml", "-q").code == 7
    items = [event for event in events("step.failed") if "[" in event["step"]]
    messages = [event["message"] for event in events("batch.ended") + items]
    assert len(messages) == 6
    assert all(message.endswith("our disk is full") for message in messages)


@both_apis
def test_a_batch_is_found_among_listings_of_another_shape(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/v1/batches" if api == "openai" else "/v1/messages/batches"
    write_spec(fan_out(api))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        server.cuts.append(f"POST {path}")
        server.foreign += [None, "text", {"id": 7}, {"id": "job_1", "created_at": None}]
        assert orc("run", "spec.yaml", "-q").code == 0
    assert len(server.batches) == 1
    assert output_of("all") == "A B C"


@both_apis
def test_the_state_of_a_batch_is_read_without_its_case(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(fan_out(api))
    with BatchServer(echo, spell=str.upper) as server:
        lead_to(server, monkeypatch)
        # Without the wait, a batch that seems to go on for ever leaves the job.
        assert orc("run", "spec.yaml", "-q", "--no-wait").code == 0


def test_an_error_under_a_success_status_of_a_result_is_that_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_spec(fan_out("openai"))
    words = "Your input was flagged"
    with BatchServer(lambda request: Error(status=200, message=words)) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q").code == 1
        assert len(server.batches) == 1
    failed = events("llm.failed")
    assert [event["kind"] for event in failed] == ["refused"] * 3
    assert all(event["message"].endswith(words) for event in failed)


def test_a_refused_batch_fails_its_steps_and_leaves_no_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_spec(fan_out("openai"))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        server.refusals.append((400, {"error": {"message": "no such model"}}))
        assert orc("run", "spec.yaml", "-q").code == 1
    assert (server.batches, query("SELECT calls_in_doubt FROM jobs")) == ({}, [(0,)])
    (ended,) = events("batch.ended")
    assert (ended["outcome"], "no such model" in ended["message"]) == ("refused", True)


@both_apis
def test_a_server_without_batches_is_asked_whether_it_takes_them(
    monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    write_spec(fan_out(api))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        server.refusals.append((404, {"error": {"message": "Not Found"}}))
        assert orc("run", "spec.yaml", "-q").code == 1
    (ended,) = events("batch.ended")
    assert "does the server take batches, and is " in ended["message"]


def test_a_batch_for_a_server_that_does_not_run_here_fails_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_spec(fan_out("openai"))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
    assert orc("run", "spec.yaml", "-q").code == 7
    assert [event["absent"] for event in events("batch.ended")] == [True]
    assert [event["absent"] for event in events("llm.failed")] == [True] * 3
    assert all("retry_at" not in event for event in events("step.failed"))


def test_a_server_that_accepted_a_batch_may_be_restarting(monkeypatch: pytest.MonkeyPatch) -> None:
    later = "    needs: before\n  before: {for_each: [x], prompt: Say x, batch: true}"
    write_spec(fan_out("openai", items="[a]", step=later))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        orc("run", "spec.yaml", "-q", "--until", "before")
    ((job,),) = query("SELECT job_id FROM jobs")
    assert orc("resume", job, "-q").code == 7
    outcomes = [event["outcome"] for event in events("batch.ended")]
    assert outcomes == ["completed", "refused", "refused", "refused"]


def test_a_server_with_no_room_for_a_batch_gets_it_later(monkeypatch: pytest.MonkeyPatch) -> None:
    write_spec(fan_out("anthropic"))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        server.refusals.append((429, {"error": {"message": "slow down"}}))
        assert orc("run", "spec.yaml", "-q").code == 0
    assert [event["outcome"] for event in events("batch.ended")] == ["refused", "completed"]


def test_a_result_that_is_missing_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orc.scheduler.batches.follower.POLL_FIRST_S", 0.02)
    write_spec(fan_out("openai", step="    on_unknown: retry"))

    def lose(lines: list[bytes]) -> bytes:
        return (
            b"\n".join(lines[:1]) + b"\n" + lines[-1][:20] if len(lines) == 3 else b"\n".join(lines)
        )

    with BatchServer(echo, lines=lose) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q").code == 0
    assert [len(batch.requests) for batch in server.batches.values()] == [3, 2]
    assert [event["kind"] for event in events("llm.failed")] == ["protocol", "protocol"]
    assert query("SELECT calls_in_doubt FROM jobs") == [(2,)]
    assert output_of("all") == "A B C"


def test_a_budget_reserves_the_worst_case_before_a_batch_is_submitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_spec(fan_out("openai", job="budget: {max_calls: 2}"))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q").code == 4
    assert [len(batch.requests) for batch in server.batches.values()] == [2]
    assert len(events("budget.exceeded")) == 1


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("    provider: ollama/m", "'ollama' takes no batches of requests"),
        ("    fallback: [ollama/m]", "'ollama' takes no batches of requests"),
        (
            "    tools: [read_file]",
            "a conversation with `tools` would wait for a batch in each turn",
        ),
        (
            "    provider: vllm/m",
            "'vllm' takes no batches of requests; set `batch: true` under",
        ),
        (
            "    wait_for_server: 1m",
            "a batch does not wait for a server that is not ready (`wait_for_server`); remove one",
        ),
    ],
)
def test_what_cannot_be_in_a_batch_is_refused_before_anything_is_sent(
    step: str, words: str
) -> None:
    write_spec(fan_out("openai", step=step))
    found = orc("validate", "spec.yaml")
    assert found.code == 2
    assert f"steps.each.batch: {words}" in found.err


@pytest.mark.parametrize(
    ("defaults", "step", "arguments", "words"),
    [
        (
            "batch: true",
            "provider: ollama/m, ",
            "",
            "defaults.batch: in steps.a, 'ollama' takes no batches of requests; ",
        ),
        (
            "batch: true",
            "tools: [read_file], ",
            "",
            "defaults.batch: in steps.a, a conversation with `tools` would wait",
        ),
        (
            "batch: true",
            "wait_for_server: 1m, ",
            "",
            "defaults.batch: in steps.a, a batch does not wait for a server that is not ready "
            "(`wait_for_server`); remove one of them",
        ),
        (
            "batch: true, wait_for_server: 1m",
            "",
            "",
            "defaults.batch: in steps.a, a batch does not wait for a server that is not ready "
            "(`defaults.wait_for_server`); remove one of them",
        ),
        (
            "batch: true",
            "",
            "-p ollama/m",
            "defaults.batch: in steps.a, the command line or the environment names 'ollama'; "
            "'ollama' takes no batches of requests; ",
        ),
    ],
)
def test_a_batch_of_the_defaults_is_refused_with_the_step_and_a_way_out(
    defaults: str, step: str, arguments: str, words: str
) -> None:
    write_spec(
        f"project: p\nprovider: openai/m\ndefaults: {{{defaults}}}\n"
        f"steps: {{a: {{{step}prompt: Hi}}, b: {{prompt: Hi, batch: false}}}}\n"
    )
    found = orc("validate", "spec.yaml", *arguments.split())
    assert found.code == 2
    assert words in found.err
    assert ", or set `batch: false`" in found.err
    assert "steps.b" not in found.err


def test_a_wait_of_the_server_itself_may_stay_beside_a_batch() -> None:
    address = "base_url: 'http://localhost:1/v1', key: null"
    own = f"servers:\n  lab: {{{address}, batch: true, wait_for_server: 1m}}"
    write_spec(fan_out("openai", job=own, step="    provider: lab/m"))
    assert orc("validate", "spec.yaml").code == 0


def test_a_named_server_takes_batches_if_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        own = f"servers:\n  office: {{base_url: '{server.url}/v1', key: OFFICE_KEY, batch: true}}"
        monkeypatch.setenv("OFFICE_KEY", "office-secret-1")
        write_spec(fan_out("openai", job=own, step="    provider: office/m"))
        assert orc("run", "spec.yaml", "-q").code == 0
        keys = {headers.get("authorization") for _, _, headers in server.seen}
    assert keys == {"Bearer office-secret-1"}
    assert output_of("all") == "A B C"


def test_recorded_replies_need_no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    write_spec(fan_out("openai"))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        assert orc("run", "spec.yaml", "-q", "--record", "replies.yaml").code == 0
        assert orc("run", "spec.yaml", "-q", "-p", "replay", "--replies", "replies.yaml").code == 0
    assert len(server.batches) == 1


def test_a_key_that_a_server_repeats_reaches_no_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    write_spec(fan_out("openai"))
    with BatchServer(echo) as server:
        lead_to(server, monkeypatch)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
        server.refusals.append((400, {"error": {"message": "bad key sk-canary-0123456789"}}))
        assert orc("run", "spec.yaml", "-q").code == 1
    assert query("SELECT count(*) FROM events WHERE data LIKE '%canary-01234%'") == [(0,)]
