"""A job as a report, a trace and a crate, for any history and any printed text."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orc.cli.jobs.crate import write_crate
from orc.ledger import Payload, pack
from orc.ledger.definition import RetryDef
from orc.ledger.digest import digest_bytes, digest_json
from orc.ledger.events import CacheHit, CallRef, LlmRequested, LlmResponded, TokenUsage, ToolCalled
from orc.ledger.removal import remove_blobs
from orc.projections.exports.junit import LOG_BYTES_MAX, render_junit
from orc.projections.exports.otel import build_otel, render_otel
from orc.projections.exports.source import spec_name
from orc.projections.money.prices import NO_PRICES
from orc.projections.tables.job_view import read_view
from orc.scheduler.core.commands import CancelJob, Settle
from tests.builders import JOB, OTHER, placed, reused, step, switched, tool_returned
from tests.projections.exported import (
    attributes,
    check_crate,
    check_junit,
    check_otlp,
    many,
    source_of,
)
from tests.projections.support import Story, begun, stories

POISON = "\x1b]0;owned\x07\x00\r\u202e\ufffe<!--]]>&lt;<script>alert(1)</script> \"'ü\n\tend"
_quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_quick
@given(story=stories())
def test_any_job_can_be_exported_in_any_format(story: Story) -> None:
    with source_of(story) as source, TemporaryDirectory() as name:
        suite = check_junit(render_junit(source))
        spans = check_otlp(json.loads(render_otel(source, content=True)))
        write_crate(source, Path(name) / "crate", prices=NO_PRICES)
        check_crate(Path(name) / "crate")

    assert (suite.get("failures") == "0") == (source.status == "succeeded")
    assert spans[0]["name"] == "invoke_workflow demo"


@_quick
@given(text=st.text(st.characters(codec="utf-8"), max_size=40) | st.just(POISON))
def test_any_text_is_valid_in_a_report(text: str) -> None:
    story = begun(step("a")).start("a").fail("a", message=text, log=Payload(value=text))
    with source_of(story) as source:
        suite = check_junit(render_junit(source))

    # Characters other than markup and control characters are unchanged.
    if text and text.isprintable():
        [failure] = suite.iter("failure")
        assert failure.get("message") == text


def case_of(suite: Any, name: str) -> Any:
    [found] = [case for case in suite.findall("testcase") if case.get("name") == name]
    return found


def test_a_report_has_failures_retries_and_steps_that_did_not_run() -> None:
    story = begun(
        step("flaky", retry=RetryDef(max_attempts=2)),
        step("borne", continue_on_error=True),
        step("bad"),
        step("after", needs="bad"),
    )
    story.start("flaky").fail("flaky", log=Payload(value="first\n"))
    story.start("flaky").succeed("flaky", log=Payload(value="second\n"))
    story.start("borne").fail("borne")
    log = "".join(f"line {number}\n" for number in range(50)) + POISON
    story.start("bad").fail(
        "bad", kind="timeout", message="too late\nby far", log=Payload(value=log)
    )
    story.tell(Settle())
    with source_of(story) as source:
        suite = check_junit(render_junit(source))

    cases: Any = suite.findall("testcase")
    flaky, borne, bad, after = cases
    assert [case.get("classname") for case in (flaky, bad)] == ["demo", "demo"]
    assert "attempt 1: failed (exit_code): it broke\nfirst\n" in flaky.findtext("system-out")
    assert flaky.find("failure") is None
    assert borne.find("skipped").get("type") == "tolerated"
    assert "it broke" in borne.find("skipped").get("message")
    assert bad.find("failure").attrib == {"type": "timeout", "message": "too late"}
    rendered = bad.findtext("failure")
    assert rendered.startswith("timeout: too late\nby far\nline ")
    assert "line 40\n" in rendered
    assert "line 20\n" not in rendered
    assert r"\x1b]0;owned\x07\x00\x0d\u202e\ufffe" in bad.findtext("system-out")
    assert after.find("skipped").attrib == {
        "type": "skipped",
        "message": "dependency_failed: bad",
    }
    facts = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert facts["orc.job_id"] == JOB
    assert facts["orc.ledger_head"] == source.head.hash


def test_the_report_of_a_stopped_job_fails() -> None:
    story = begun(step("a"), step("b")).start("a").succeed("a").tell(CancelJob(reason="no"))
    with source_of(story) as source:
        suite = check_junit(render_junit(source))

    assert case_of(suite, "(job)").find("failure").get("type") == "cancelled"
    assert case_of(suite, "b").find("skipped").get("type") == "cancelled"


def test_a_report_has_only_the_end_of_a_long_log() -> None:
    payload, blob = pack("x" * (LOG_BYTES_MAX + 7) + "the end\n")
    story = begun(step("a")).start("a")
    assert blob is not None
    story.blobs.append(blob)
    story.succeed("a", log=payload)
    with source_of(story) as source:
        printed = check_junit(render_junit(source)).findtext("testcase/system-out") or ""

    assert printed.startswith("[cut: 15 bytes before this]\n")
    assert printed.endswith("xthe end\n")


ASKED = {
    "messages": [
        {"role": "user", "content": "Which?"},
        {"role": "user", "content": [{"type": "image", "media_type": "image/png", "data": "AAA="}]},
        {"role": "tool", "tool_call_id": "w1", "name": "search", "content": "found"},
    ],
    "system": "Be brief.",
    "tools": [{"name": "search", "description": "Looks.", "parameters": {"type": "object"}}],
    "json_output": True,
    "params": {
        "temperature": 1, "top_p": 0.5, "max_tokens": 9, "seed": 2**70, "stop": "END", "odd": [],
    },
}  # fmt: skip
REPLY = {"text": "", "tool_calls": [{"id": "w2", "name": "search", "arguments": {"q": "é"}}]}


def talk(*, endpoint: str | None = "https://llm.example/v1") -> Story:
    """One attempt with a model call and a tool call."""
    story = begun(step("ask", prompt="?"), step("next", needs="ask")).start("ask")
    place: dict[str, Any] = {"step": "ask", "attempt": 1, "call": 1}
    digest = digest_json(ASKED)
    key = digest_json({"after": digest, "index": 0, "tool": "search", "arguments": {"q": "é"}})
    story.clock_s += 1
    story.record(
        LlmRequested(
            **place, provider="openai-responses", model="gpt", request=Payload(value=ASKED),
            request_sha256=digest, prompt_sha256=digest, endpoint=endpoint,
        )
    )  # fmt: skip
    story.clock_s += 2
    story.record(
        LlmResponded(
            **place, provider="openai-responses", model="gpt-2", reply=Payload(value=REPLY),
            request_sha256=digest, finish_reason="tool_calls", duration_s=2.0,
            usage=TokenUsage(input_tokens=7, output_tokens=5, cached_tokens=3), request_id="resp_1",
        ),
        ToolCalled(
            **place, tool="search", key=key, arguments=Payload(value={"q": "é"}),
        ),
        replace(tool_returned("ask"), key=key),
    )  # fmt: skip
    return story


def named(spans: list[dict[str, Any]], name: str) -> dict[str, Any]:
    [found] = [span for span in spans if span["name"] == name]
    return found


def test_a_call_has_the_names_of_the_genai_conventions_and_by_default_no_texts() -> None:
    with source_of(talk()) as source:
        value = build_otel(source)
    spans = check_otlp(value)

    call = named(spans, "chat gpt")
    assert call["kind"] == 3
    assert int(call["endTimeUnixNano"]) - int(call["startTimeUnixNano"]) == 2 * 10**9
    assert call["parentSpanId"] == named(spans, "attempt ask")["spanId"]
    assert {key: found for key, found in attributes(call).items() if key[:4] != "orc."} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt",
        "gen_ai.response.model": "gpt-2",
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 9,
        # No 64 bits hold it.
        "gen_ai.request.seed": str(2**70),
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.output.type": "json",
        "gen_ai.response.finish_reasons": ["tool_calls"],
        "gen_ai.response.id": "resp_1",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "server.address": "llm.example",
        "server.port": 443,
    }
    tool = attributes(named(spans, "execute_tool search"))
    assert tool["gen_ai.tool.call.id"] == "w2"
    rendered = json.dumps(value)
    assert not [
        text for text in ("Which?", "Be brief", "found", "Looks.", 'q\\"') if text in rendered
    ]


def test_a_trace_with_content_has_the_texts() -> None:
    with source_of(talk(endpoint=None)) as source:
        spans = check_otlp(build_otel(source, content=True))

    call = named(spans, "chat gpt")
    rendered = attributes(call)
    assert call["kind"] == 1
    assert "server.address" not in rendered
    system = json.loads(rendered["gen_ai.system_instructions"])
    assert system == [{"type": "text", "content": "Be brief."}]
    asked, image, result = json.loads(rendered["gen_ai.input.messages"])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "Which?"}]}
    assert image["parts"][0]["uri"].startswith("sha256:")
    assert result["parts"] == [{"type": "tool_call_response", "id": "w1", "response": "found"}]
    assert json.loads(rendered["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "w2", "name": "search", "arguments": {"q": "é"}}],
            "finish_reason": "tool_call",
        }
    ]
    tool = attributes(named(spans, "execute_tool search"))
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"q": "é"}
    assert json.loads(tool["gen_ai.tool.call.result"]) == "found"


def test_a_trace_shows_retries_fallbacks_needs_and_unfinished_steps() -> None:
    story = begun(
        step("a", prompt="?", retry=RetryDef(max_attempts=2)), step("b", needs="a"), step("c")
    )
    story.start("a").call("a", number=1, ends="failed").fail("a", kind="timeout")
    story.record(switched("a")).start("a").call("a", number=1, ends="open")
    with source_of(story) as source:
        spans = check_otlp(build_otel(source))

    root = spans[0]
    first, second = (span for span in spans if span["name"] == "attempt a")
    sent = [span for span in spans if span["name"] == "chat m"]
    assert attributes(root)["orc.unfinished"] is True
    assert first["status"] == {"message": "it broke", "code": 2}
    assert [event["name"] for event in first["events"]] == ["orc.retry"]
    assert attributes(first["events"][0]) == {"orc.delay_s": 2.0}
    assert second["status"] == {}
    assert second["endTimeUnixNano"] == root["endTimeUnixNano"]
    assert [attributes(span).get("error.type") for span in sent] == ["timeout", None]
    assert [event["name"] for event in named(spans, "step a")["events"]] == ["orc.fallback"]
    assert named(spans, "step a")["status"] == {}
    assert not [span for span in spans if span["name"] in ("step b", "step c")]


def test_a_step_is_linked_to_its_needs_and_to_the_origin_of_a_reused_result() -> None:
    story = begun(step("a"), step("b", needs="a"))
    story.record(reused("a")).start("b").succeed("b").tell(Settle())
    with source_of(story) as source:
        spans = check_otlp(build_otel(source))
        again = build_otel(source)

    a, b = named(spans, "step a"), named(spans, "step b")
    [needs] = b["links"]
    [taken] = a["links"]
    assert needs["spanId"] == a["spanId"]
    assert attributes(needs) == {"orc.link": "needs"}
    assert attributes(taken) == {"orc.link": "reused_from"}
    assert taken["traceId"] != a["traceId"]
    assert check_otlp(again) == spans


def test_a_reply_from_the_ledger_is_an_event_and_no_span() -> None:
    story = begun(step("a", prompt="?")).start("a")
    paid_by = CallRef(job_id=OTHER, step="x", attempt=1, call=1)
    story.record(
        CacheHit(
            step="a", attempt=1, call=1, request_sha256=digest_json("?"), version=3, paid_by=paid_by,
            reply=Payload(value={"text": "kept"}), usage=TokenUsage(output_tokens=5),
        )
    ).succeed("a")  # fmt: skip
    with source_of(story) as source:
        spans = check_otlp(build_otel(source))

    [hit] = named(spans, "attempt a")["events"]
    assert hit["name"] == "orc.cache_hit"
    assert attributes(hit) == {"orc.call": 1, "orc.paid_by": OTHER}
    assert not [span for span in spans if span["name"].startswith("chat")]


def test_removed_bytes_are_shown_as_removed(tmp_path: Path) -> None:
    log, blob = pack("a secret " * 200)
    story = begun(step("a")).start("a")
    assert blob is not None
    story.blobs.append(blob)
    story.succeed("a", output="a secret " * 200, files={"demo/a.txt": b"a secret"}, log=log)
    story.tell(Settle())
    with source_of(story) as source:
        ledger: Any = source.reader
        digests = {digest_bytes(content) for content in story.blobs}
        remove_blobs(ledger, {JOB: digests}, cause="redact", reason="oops", at=source.as_of)
        report = render_junit(source)
        _, lost = write_crate(source, tmp_path / "crate", prices=NO_PRICES)
        entities = check_crate(tmp_path / "crate")

    assert "were removed by orc redact on" in report
    assert "a secret" not in report
    assert set(lost) == {"logs/a.1.log", "outputs/demo/a.txt"}
    gone = entities["#removed/outputs%2Fdemo%2Fa.txt"]
    assert gone["@type"] == "CreativeWork"
    assert "removed by orc redact" in gone["description"]
    assert "oops" in entities["#output/a"]["value"]


def test_a_crate_has_actions_with_their_objects_and_results(tmp_path: Path) -> None:
    story = begun(
        step("a", kind="run"),
        step("b", needs="a", prompt="?"),
        step("c", needs="b"),
        inputs={"n": 3},
    )
    name = "demo/an odd [name] 100% ü#1.txt"
    story.start("a").succeed("a", "made", files={name: b"one"})
    story.start("b").call("b", number=1, ends="replied").fail("b", kind="schema", message="not so")
    story.tell(Settle())
    with source_of(story) as source:
        write_crate(source, tmp_path / "crate", prices=NO_PRICES)
    entities = check_crate(tmp_path / "crate")

    path = "outputs/demo/an%20odd%20%5Bname%5D%20100%25%20%C3%BC%231.txt"
    made, tried = entities["#attempt/a/1"], entities["#attempt/b/1"]
    assert {key["@id"] for key in many(made["result"])} == {path, "#output/a"}
    assert {key["@id"] for key in many(tried["object"])} == {path, "#output/a"}
    assert tried["instrument"] == {"@id": "#model/ollama/m"}
    assert tried["error"] == "schema: not so"
    assert entities["#run"]["error"]
    assert entities["#run"]["object"] == {"@id": "#input/n"}
    assert entities["#input/n"]["value"] == "3"
    assert entities["#parameter/n"]["additionalType"] == "Integer"
    assert entities[path]["alternateName"] == f"outputs/{name}"
    # A step that never ran is only in the spec.
    assert "#step/c" not in entities
    assert {key["@id"] for key in many(entities["#engine-run"]["object"])} == {
        "#control/a",
        "#control/b",
    }


@pytest.mark.parametrize("form", ["junit", "otel"])
def test_the_same_ledger_gives_the_same_bytes(form: str) -> None:
    with source_of(talk()) as source:
        render = render_junit if form == "junit" else render_otel
        assert render(source) == render(source)


def test_items_rounds_and_members_have_their_names_in_the_spec(tmp_path: Path) -> None:
    from orc.ledger.events import ChildShape, StepExpanded

    story = begun(step("x"), step("y", needs="x"))
    for parent, child in (
        ("x", "x[a b]"),
        ("x[a b]", "x[a b]/lint"),
        ("x[a b]/lint", "x[a b]/lint#2"),
    ):
        story.stream.append(
            story.stream[-1].__class__(
                JOB,
                len(story.stream) + 1,
                story.stream[-1].recorded_at,
                StepExpanded(
                    step=parent, attempt=1, children=(child,), first=1, total=1,
                    shapes=(ChildShape(kind="run"),),
                ),
            )
        )  # fmt: skip
    with source_of(story) as source:
        view = read_view(source.reader.connection, JOB)

    found = [(one.name, spec_name(view, one)) for one, _ in view.in_order()]
    assert found == [
        ("x", "x"),
        ("x[a b]", "x"),
        ("x[a b]/lint", "x/lint"),
        ("x[a b]/lint#2", "x/lint"),
        ("y", "y"),
    ]


def test_a_crate_names_the_worker_that_took_an_attempt(tmp_path: Path) -> None:
    story = begun(step("a", kind="run", executor="cluster"), step("b", kind="run")).start("a", "b")
    story.record(placed("a")).succeed("a").succeed("b").tell(Settle())
    with source_of(story) as source:
        write_crate(source, tmp_path / "crate", prices=NO_PRICES)
    entities = check_crate(tmp_path / "crate")
    place = entities[entities["#attempt/a/1"]["location"]["@id"]]
    assert (place["@type"], place["name"]) == ("Place", "node1")
    assert place["description"] == "Worker w1 of the executor cluster."
    assert "location" not in entities["#attempt/b/1"]
