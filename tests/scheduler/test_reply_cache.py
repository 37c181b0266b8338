"""The reply cache: hits between jobs of one ledger, who paid, and why a request was no hit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from orc.ledger import JobId
from orc.ledger.definition import CircuitDef, JobDef, RetryDef, StepDef
from orc.ledger.events import CacheHit, CallRef, LlmRequested, LlmResponded, StepFailed
from orc.projections.caches.replies import find_changes
from orc.providers import PermanentError, Reply, Request, TransientError
from tests.builders import job, step
from tests.scheduler.harness import Crash, Stand
from tests.scheduler.talks import TOOLS, Bag, Script, Talker, calls, events, says, talking, turn_of


def answering(request: Request) -> Reply:
    return says('"yes"', request_id="r-1")


def asks(step_id: str = "a", prompt: str = "Is it?", **fields: Any) -> StepDef:
    fields = {"cache": "ledger", "format": "json", **fields}
    return step(step_id, prompt=prompt, **fields)


def plain(*steps: StepDef) -> JobDef:
    return job(*steps, circuit=CircuitDef(threshold=0))


@dataclass
class Shelf:
    """One ledger with several jobs, and the model that all of them call."""

    first: Stand
    talker: Talker
    jobs: list[Stand] = field(default_factory=list)

    def add(self, *steps: StepDef) -> Stand:
        """Submit another job, one second after the end of the last one."""
        job_id = JobId(f"job_{len(self.jobs) + 1:012}")
        wall_s = self.jobs[-1].wall_s + 1.0 if self.jobs else self.first.wall_s
        stand = replace(self.first, definition=plain(*steps), job_id=job_id, wall_s=wall_s)
        stand.submit()
        self.jobs.append(stand)
        return stand

    def run(self, *steps: StepDef, ends: str = "succeeded") -> Stand:
        """Submit another job, and run it to its end."""
        stand = self.add(*steps)
        assert stand.run().status == ends
        return stand


@contextmanager
def shelf(script: Script = answering, bag: Bag | None = None) -> Iterator[Shelf]:
    with talking(script, plain(), bag) as (stand, talker):
        yield Shelf(stand, talker)


def changed(stand: Stand) -> list[Any]:
    return [event.changed for event in events(stand, LlmRequested)]


class TestScopes:
    def test_off_asks_every_time_and_compares_nothing(self) -> None:
        with shelf() as found:
            for _ in range(2):
                stand = found.run(asks(cache="off"), asks("b", cache="off"))
                assert changed(stand) == [None, None]
            assert len(found.talker.asked) == 4

    def test_job_answers_from_the_same_job_alone(self) -> None:
        with shelf() as found:
            for _ in range(2):
                stand = found.run(asks(cache="job"), asks("b", needs="a", cache="job"))
                assert [hit.step for hit in events(stand, CacheHit)] == ["b"]
                assert changed(stand) == [None]
            assert len(found.talker.asked) == 2

    def test_ledger_answers_from_every_job(self) -> None:
        with shelf() as found:
            found.run(asks())
            stand = found.run(asks("x"))
            assert events(stand, LlmRequested) == []
            assert stand.output("x") == "yes"
            assert len(found.talker.asked) == 1

    def test_a_reply_of_a_step_without_a_cache_serves_those_that_have_one(self) -> None:
        with shelf() as found:
            found.run(asks(cache="off"))
            found.run(asks())
            assert len(found.talker.asked) == 1


class TestHits:
    def test_a_hit_names_the_job_that_paid_and_contains_the_reply(self) -> None:
        with shelf() as found:
            paid = found.run(asks("first"))
            (answer,) = events(paid, LlmResponded)
            (hit,) = events(found.run(asks("x")), CacheHit)
        assert hit.paid_by == CallRef(job_id=paid.job_id, step="first", attempt=1, call=1)
        assert hit.call == 1
        for name in ("provider", "model", "reply", "finish_reason", "usage", "request_sha256"):
            assert getattr(hit, name) == getattr(answer, name)

    def test_a_reply_that_the_server_did_not_count_is_a_hit_too(self) -> None:
        with shelf(lambda request: says('"yes"', is_counted=False)) as found:
            found.run(asks())
            stand = found.run(asks("x"))
            (hit,) = events(stand, CacheHit)
            with stand.open() as ledger:
                rows = ledger.connection.execute(
                    "SELECT calls, calls_unpriced FROM jobs"
                ).fetchall()
        assert hit.usage is None
        assert [tuple(row) for row in rows] == [(1, 1), (0, 0)]

    def test_a_hit_on_a_hit_names_the_job_that_paid(self) -> None:
        with shelf() as found:
            paid = found.run(asks("first"))
            found.run(asks("x"))
            (hit,) = events(found.run(asks("y")), CacheHit)
        assert (hit.paid_by.job_id, hit.paid_by.step) == (paid.job_id, "first")

    def test_a_hit_costs_no_tokens(self) -> None:
        with shelf() as found:
            found.run(asks())
            stand = found.run(asks())
            with stand.open() as ledger:
                rows = ledger.connection.execute("SELECT calls, input_tokens FROM jobs").fetchall()
        assert [tuple(row) for row in rows] == [(1, 3), (0, 0)]

    def test_a_conversation_is_answered_turn_by_turn_and_calls_its_own_tools(self) -> None:
        def searching(request: Request) -> Reply:
            if turn_of(request) == 1:
                return says("", calls("search", q=1))
            return says('"found"')

        bag = Bag()
        with shelf(searching, bag) as found:
            found.run(asks(tools=TOOLS))
            stand = found.run(asks("b", tools=TOOLS))
            assert [hit.call for hit in events(stand, CacheHit)] == [1, 2]
            assert stand.output("b") == "found"
            assert len(found.talker.asked) == 2
        assert sum(bag.called.values()) == 2

    @pytest.mark.parametrize("commits", [2, 3])
    def test_a_crash_after_a_hit_goes_on_from_it_as_from_a_reply(self, commits: int) -> None:
        with shelf() as found:
            found.run(asks())
            stand = found.add(asks())
            with pytest.raises(Crash):
                stand.run(commits=commits, dies="after" if commits == 2 else "before")
            assert stand.run().status == "succeeded"
            hits = events(stand, CacheHit)
            assert [(hit.call, hit.paid_by is None) for hit in hits] == [(1, False), (1, True)]
            assert len(found.talker.asked) == 1

    def test_a_call_after_a_hit_has_the_next_number_over_a_crash(self) -> None:
        broken = [True]

        def searching(request: Request) -> Reply | Exception:
            if turn_of(request) == 1:
                return says("", calls("search", q=1))
            return PermanentError("auth", "no") if broken[0] else says('"found"')

        with shelf(searching) as found:
            found.run(asks(tools=TOOLS), ends="failed")
            broken[0] = False
            stand = found.add(asks(tools=TOOLS))
            with pytest.raises(Crash):
                stand.run(commits=2)
            assert stand.run().status == "succeeded"
            assert [hit.call for hit in events(stand, CacheHit)] == [1, 1]
            assert [sent.call for sent in events(stand, LlmRequested)] == [2]


class TestContent:
    def test_a_reply_that_failed_its_step_is_never_a_hit(self) -> None:
        said = iter(["no JSON", '"yes"'])
        with shelf(lambda request: says(next(said))) as found:
            found.run(asks(), ends="failed")
            stand = found.run(asks())
            ((why,),) = changed(stand)
            assert "the step rejected its reply" in why
            assert len(found.talker.asked) == 2

    def test_a_retry_after_a_failure_on_content_asks_whatever_the_cache_has(self) -> None:
        def script(request: Request) -> Reply:
            return says("no JSON" if request.step == "a" and request.ordinal == 1 else '"yes"')

        with shelf(script) as found:
            stand = found.run(
                asks(retry=RetryDef(max_attempts=2, initial_s=9.0)), asks("b"), asks("c")
            )
            assert [failed.kind for failed in events(stand, StepFailed)] == ["schema"]
            assert events(stand, CacheHit) == []
            assert [e.attempt for e in events(stand, LlmRequested) if e.step == "a"] == [1, 2]

    def test_a_resume_after_a_failure_on_content_asks_whatever_the_cache_has(self) -> None:
        def script(request: Request) -> Reply:
            return says("no JSON" if request.step == "a" and request.ordinal == 1 else '"yes"')

        with shelf(script) as found:
            stand = found.run(asks(), asks("b"), ends="failed")
            assert stand.run().status == "succeeded"
            assert events(stand, CacheHit) == []
            assert len(found.talker.asked) == 3


class TestMisses:
    def test_the_first_request_of_a_step_has_nothing_to_be_compared_to(self) -> None:
        with shelf() as found:
            assert changed(found.run(asks())) == [None]

    @pytest.mark.parametrize(
        ("fields", "parts"),
        [
            ({"prompt": "Is it not?"}, ("messages[0]",)),
            ({"system": "Be brief."}, ("system",)),
            ({"model": "n"}, ("model",)),
            ({"params": {"temperature": 0.5}}, ("params.temperature",)),
            ({"format": "text"}, ("json_output",)),
            ({"output_schema": {"type": "string"}}, ("output_schema",)),
            ({"system": "Be brief.", "model": "n"}, ("model", "system")),
        ],
        ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
    )
    def test_the_parts_that_changed_are_named(
        self, fields: dict[str, Any], parts: tuple[str, ...]
    ) -> None:
        with shelf() as found:
            found.run(asks())
            assert changed(found.run(asks(**fields))) == [parts]
            assert len(found.talker.asked) == 2

    def test_another_model_of_the_same_name_is_no_hit(self) -> None:
        with shelf() as found:
            for identity in ("sha256:1", "sha256:1", "sha256:2"):
                found.talker.identity = identity
                stand = found.run(asks())
            assert changed(stand) == [("model's identity",)]
            assert [event.identity for event in events(stand, LlmRequested)] == ["sha256:2"]
            assert len(found.talker.asked) == 2

    def test_another_server_is_no_hit(self) -> None:
        with shelf() as found:
            found.run(asks())
            found.talker.endpoint = "http://there/v1"
            assert changed(found.run(asks())) == [("endpoint",)]
            assert events(found.run(asks()), LlmRequested) == []

    def test_a_request_that_was_never_answered_says_so(self) -> None:
        failing = [True]

        def script(request: Request) -> Reply | Exception:
            return TransientError("timeout", "too late") if failing[0] else answering(request)

        with shelf(script) as found:
            found.run(asks(), ends="failed")
            failing[0] = False
            ((why,),) = changed(found.run(asks()))
            assert "failed" in why


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1.5}, ["a"]),
        ({"a": None}, {}, []),
        ({}, {"b": 1}, ["b"]),
        ({"params": {"x": 1, "y": 2}}, {"params": {"x": 1, "z": 2}}, ["params.y", "params.z"]),
        ({"m": [1, 2]}, {"m": [1, 3, 4]}, ["m[1]", "m[2]"]),
        ({"m": [1]}, {"m": {"0": 1}}, ["m"]),
    ],
)
def test_changes_are_named_by_where_they_are(
    before: dict[str, Any], after: dict[str, Any], parts: list[str]
) -> None:
    assert list(find_changes(before, after)) == parts
