"""Nothing starts before the coordinator allowed exactly that copy, and nothing starts twice."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from orc.worker import agent
from orc.worker.wire import PROTOCOL
from tests.worker.engine import WAIT_S, FakeEngine, payload, text, wait_until


def test_a_command_starts_only_when_it_is_allowed(engine: FakeEngine, tmp_path: Path) -> None:
    mark = tmp_path / "started"
    copy = engine.submit(["touch", str(mark)])
    asked = copy.wait_asked()
    assert asked == {
        "event": "asked",
        "ticket": "job_a/step/1",
        "run": copy.run,
        "worker": "w1",
        "host": "h1",
        "protocol": PROTOCOL,
        "missing": [],
    }
    assert engine.spools() == []
    assert not mark.exists()
    assert copy.allow()["state"] == "running"
    assert copy.outcome()["exit_code"] == 0
    assert mark.exists()


def test_a_copy_asks_again_until_it_is_answered(engine: FakeEngine) -> None:
    copy = engine.submit(lease_s=0.6)
    wait_until(lambda: len(copy.said("asked")) >= 3)
    assert copy.result()["exit_code"] == 0


def test_a_refused_copy_ends_without_starting(engine: FakeEngine, tmp_path: Path) -> None:
    copy = engine.submit(["touch", str(tmp_path / "started")])
    copy.wait_asked()
    assert copy.control("refuse")["state"] == "refused"
    copy.wait()
    assert copy.control("refuse")["ok"]
    assert copy.allow()["error"] == "refused"
    assert copy.control("outcome")["error"] == "refused"
    assert copy.said("ended") == []
    assert not (tmp_path / "started").exists()


def test_a_running_copy_cannot_be_refused(engine: FakeEngine) -> None:
    copy = engine.submit(["sleep", "60"])
    copy.allow()
    assert copy.control("refuse")["error"] == "running"
    copy.control("cancel", grace_s=0)
    copy.wait()
    assert copy.control("refuse")["error"] == "ended"


def test_the_same_copy_never_starts_twice(engine: FakeEngine, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    copy = engine.shell(f"echo started >> {starts}; sleep 0.3")
    copy.wait_asked()
    beside = engine.again(copy)
    copy.allow()
    copy.wait()
    beside.wait()
    after = engine.again(copy)
    after.wait()
    assert copy.allow()["state"] == "ended"
    assert copy.control("forget")["known"]
    forgotten = engine.again(copy)
    forgotten.wait()
    assert forgotten.events == []
    # The engine is told the same end again, since it may have lost the first one.
    assert [len(one.said("ended")) for one in (copy, beside, after)] == [1, 1, 1]
    assert starts.read_text() == "started\n"


def test_repeated_permissions_start_it_once(engine: FakeEngine, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    copy = engine.shell(f"echo started >> {starts}; sleep 0.2")
    assert [copy.allow()["state"] for _ in range(3)] == ["running"] * 3
    assert copy.outcome()["exit_code"] == 0
    assert starts.read_text() == "started\n"


def test_a_coordinator_that_was_superseded_can_do_nothing(engine: FakeEngine) -> None:
    first = engine.submit(["sleep", "60"], ticket="job_a/one/1")
    second = engine.submit(["sleep", "60"], ticket="job_a/two/1")
    other = engine.submit(ticket="job_b/one/1")
    first.allow(epoch=7)
    second.wait_asked()
    for op in ("allow", "refuse", "forget"):
        answer = second.control(op, epoch=6, secrets={})
        assert (answer["error"], answer["epoch"]) == ("superseded", 7), op
    assert first.control("cancel", epoch=6)["error"] == "superseded"
    assert engine.control("heartbeat", job_id="job_a", epoch=6)["error"] == "superseded"
    assert {copy["state"] for copy in engine.control("census", job_id="job_a")["copies"]} == {
        "asking",
        "running",
    }
    # Epochs of other jobs have nothing to do with it, and a later owner may go on.
    assert other.result(epoch=1)["exit_code"] == 0
    assert second.allow(epoch=8)["ok"]
    for copy in (first, second):
        assert copy.control("cancel", epoch=8, grace_s=0)["ok"]
        assert copy.outcome()["cancelled"]


def test_a_copy_that_is_not_known_gets_a_clear_answer(engine: FakeEngine) -> None:
    names = {"ticket": "job_x/step/1", "run": "00000000"}
    for op in ("allow", "refuse", "cancel", "outcome", "read"):
        answer = engine.control(op, **names, epoch=1)
        assert (answer["ok"], answer["error"]) == (False, "unknown"), op
    assert engine.control("forget", **names) == {"ok": True, "protocol": PROTOCOL, "known": False}


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"op": "explode"},
        {"op": "allow"},
        {"op": "allow", "ticket": "job_a/step/1", "run": "../../x"},
        {"op": "put", "sha256": "../../../etc/passwd", "offset": 0, "size": 1, "data": b"x"},
        {"op": "put", "sha256": "0" * 64, "offset": -1, "size": 1, "data": b"x"},
        {"op": "put", "sha256": "0" * 64, "offset": 0, "size": 1, "data": "not base64"},
        {"op": "put", "sha256": "0" * 64, "offset": 0, "size": 1, "data": 3},
    ],
    ids=str,
)
def test_a_malformed_request_is_answered_with_a_sentence(
    engine: FakeEngine, request_: dict[str, Any]
) -> None:
    answer = engine.agent.control(request_)
    assert answer["error"] == "request"
    assert " " in answer["message"]


def test_fields_of_requests_for_a_copy_are_checked(engine: FakeEngine) -> None:
    copy = engine.submit()
    copy.wait_asked()
    for op, fields in (
        ("allow", {}),
        ("allow", {"epoch": "x"}),
        ("allow", {"epoch": True}),
        ("allow", {"epoch": 1, "secrets": ["x"]}),
        ("cancel", {"grace_s": float("nan")}),
        ("cancel", {"grace_s": "x"}),
    ):
        assert copy.control(op, **fields)["error"] == "request", (op, fields)
    assert copy.result()["exit_code"] == 0


def test_another_protocol_is_refused_with_a_sentence(engine: FakeEngine) -> None:
    assert engine.control("census", job_id="job_a", protocol=PROTOCOL + 1)["error"] == "protocol"
    other = payload(run="0000000a") | {"protocol": PROTOCOL + 1}
    events: list[dict[str, Any]] = []
    engine.agent.perform(json.dumps(other).encode(), emit=events.append, worker="w1", host="h1")
    assert [event["event"] for event in events] == ["asked"]
    assert events[0]["protocol"] == PROTOCOL
    assert "install the same version" in events[0]["problem"]
    assert engine.control("allow", ticket=other["ticket"], run="0000000a", epoch=1)["error"] == (
        "unknown"
    )


@pytest.mark.parametrize(
    "work",
    [
        {"kind": "prompt"},
        {"argv": []},
        {"argv": ["a\0b"]},
        {"argv": "true"},
        {"env": {"A=B": "x"}},
        {"env": {"A": 1}},
        {"places": {"X": "/etc"}},
        {"inputs": [{"path": "a", "sha256": "../../x", "size_bytes": 1}]},
        {"inputs": [{"path": "a", "sha256": "0" * 64, "size_bytes": 1, "mode": "4755"}]},
        {"limits": {"file_bytes": -1}},
        {"timeout_s": float("nan")},
        {"resources": {"cpu": "many"}},
        {"kind": "function", "function": "no_colon"},
    ],
    ids=str,
)
def test_work_that_is_not_valid_does_not_wait(engine: FakeEngine, work: dict[str, Any]) -> None:
    copy = engine.submit(**work)
    copy.wait()
    (asked,) = copy.events
    assert "is missing or not valid" in asked["problem"]
    assert engine.control("census", job_id="")["copies"] == []


def test_a_payload_without_names_raises(engine: FakeEngine) -> None:
    for content in (b"", b"[]", b"{}", b"\xff", b'{"ticket": "a", "run": "../x"}'):
        with pytest.raises(ValueError, match="is missing or not valid"):
            engine.agent.perform(content, emit=print, worker="w1", host="h1")


def test_a_census_tells_all_copies_of_a_job(engine: FakeEngine) -> None:
    asking = engine.submit(ticket="job_a/asking/1")
    running = engine.submit(["sleep", "60"], ticket="job_a/running/1")
    ended = engine.submit(ticket="job_a/ended/2")
    refused = engine.submit(ticket="job_a/refused/1")
    engine.submit(ticket="job_b/asking/1").wait_asked()
    running.allow(epoch=5)
    ended.result(epoch=5)
    refused.wait_asked()
    refused.control("refuse")
    asking.wait_asked()
    started = time.perf_counter()
    census = engine.control("census", job_id="job_a")
    assert time.perf_counter() - started < 0.1
    assert {copy["ticket"]: (copy["state"], copy["epoch"]) for copy in census["copies"]} == {
        "job_a/asking/1": ("asking", None),
        "job_a/running/1": ("running", 5),
        "job_a/ended/2": ("ended", 5),
        "job_a/refused/1": ("refused", None),
    }
    assert {copy["run"] for copy in census["copies"]} == {
        one.run for one in (asking, running, ended, refused)
    }
    assert census["boot"] == engine.agent.boot
    running.control("cancel", grace_s=0)
    running.wait()


def test_an_outcome_that_nobody_fetches_is_dropped(engine: FakeEngine) -> None:
    copy = engine.submit(keep_s=0.4)
    copy.allow()
    copy.wait()
    wait_until(lambda: engine.control("census", job_id="job_a")["copies"] == [])
    wait_until(lambda: engine.spools() == [])
    again = engine.again(copy)
    again.wait()
    assert again.events == []


def test_a_heartbeat_of_the_coordinator_keeps_outcomes(engine: FakeEngine) -> None:
    copy = engine.submit(keep_s=0.8)
    copy.allow()
    copy.wait()
    ends = time.monotonic() + 1.6
    while time.monotonic() < ends:
        assert engine.control("heartbeat", job_id="job_a", epoch=1)["ok"]
        time.sleep(0.05)
    assert copy.control("outcome")["ok"]


def test_a_command_whose_coordinator_is_gone_for_too_long_is_ended(engine: FakeEngine) -> None:
    kept = engine.submit(["sleep", "60"], ticket="job_b/step/1", keep_s=0.8)
    left = engine.submit(["sleep", "60"], keep_s=0.8)
    quiet = engine.submit(["sleep", "60"], ticket="job_c/step/1", keep_s=0.8)
    for copy in (kept, left, quiet):
        copy.allow()
    for job_id in ("job_a", "job_b"):
        assert engine.control("heartbeat", job_id=job_id, epoch=1)["ok"]
    while not left.has_returned:
        # Any other operation is a sign of the coordinator as well.
        assert engine.control("census", job_id="job_b")["copies"]
        time.sleep(0.05)
    ended = left.said("ended")[0]["outcome"]
    assert "no coordinator asked" in ended["lost"]
    assert ended["signal"] is None
    assert ended["duration_s"] > 0.7
    # A coordinator that never sent one has promised nothing.
    for copy in (kept, quiet):
        assert not copy.has_returned
        copy.control("cancel", grace_s=0)
        assert copy.outcome()["cancelled"]


def test_a_copy_that_nobody_answers_gives_up(engine: FakeEngine) -> None:
    copy = engine.submit(keep_s=0.4, lease_s=0.4)
    copy.wait()
    assert copy.said("ended") == []
    assert copy.control("outcome").get("error") in ("refused", "unknown")


def test_a_copy_whose_coordinator_is_silent_frees_its_slot(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "SILENCE_S", 0.6)
    started = time.monotonic()
    left = engine.submit(lease_s=0.6)
    kept = engine.submit(ticket="job_b/step/1", lease_s=0.6)
    while not left.has_returned:
        assert time.monotonic() - started < WAIT_S
        # A census is a word of the coordinator of that job.
        assert engine.control("census", job_id="job_b")["copies"]
        time.sleep(0.02)
    assert time.monotonic() - started >= 1.8
    assert left.allow()["error"] == "refused"
    # It is still known as refused, so that its coordinator submits the attempt again.
    (seen,) = engine.control("census", job_id="job_a")["copies"]
    assert (seen["run"], seen["state"]) == (left.run, "refused")
    assert not kept.has_returned
    assert kept.result()["exit_code"] == 0


def test_forget_removes_the_spool(engine: FakeEngine) -> None:
    copy = engine.shell("echo x > a.txt; mkdir -m 0 locked", globs=["*.txt"])
    copy.result()
    assert len(engine.spools()) == 1
    assert copy.control("forget")["known"]
    wait_until(lambda: engine.spools() == [])
    assert not copy.control("forget")["known"]


def test_a_running_copy_is_not_forgotten(engine: FakeEngine) -> None:
    copy = engine.shell("echo $$; exec sleep 60")
    copy.allow()
    wait_until(lambda: copy.said("printed"))
    assert copy.control("forget")["error"] == "running"
    copy.control("cancel", grace_s=0)
    assert text(copy.outcome()).strip().isdigit()


def test_a_large_outcome_is_asked_for(engine: FakeEngine) -> None:
    copy = engine.shell("head -c 60000 /dev/zero | tr '\\0' x")
    outcome = copy.result()
    assert len(text(outcome)) == 60000
    assert copy.said("ended")[0]["outcome"] is None
    copy_ = engine.agent._table.find(copy.ticket, copy.run)
    assert copy_.outcome is not None
    assert copy_.outcome.stdout == b""
    again = engine.again(copy)
    again.wait()
    assert again.said("ended")[0]["outcome"] is None
    small = engine.shell("echo x")
    assert small.result() == small.said("ended")[0]["outcome"]
