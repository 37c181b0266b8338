"""Rules for replies that all adapters share: counts, costs, pieces of calls, kinds of failures."""

from __future__ import annotations

from typing import Any

import pytest

from orc.providers import PermanentError, TransientError, Usage
from orc.providers.http import build_judged_error
from orc.providers.replies.failures import find_meaning, find_wait
from orc.providers.replies.tool_calls import CallJoiner, give_ids, read_arguments
from orc.providers.replies.usage import read_counts
from tests.each_case import each_case


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, Usage(5, 2)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 10},
            },
            Usage(5, 12, 0, 10),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 17}, Usage(5, 12, 0, 10)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 12,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 10},
            },
            Usage(5, 12, 0, 10),
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 4},
            Usage(5, 2, 4),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 4}, Usage(5, 2, 4)),
        (
            {
                "input_tokens": 5,
                "output_tokens": 2,
                "input_tokens_details": {"cached_tokens": 4},
                "prompt_tokens_details": None,
            },
            Usage(5, 2, 4),
        ),
    ],
)
def test_counts_are_read_under_the_names_of_all_vendors(reported: Any, usage: Usage) -> None:
    counts = read_counts(reported)
    assert counts.is_known
    assert counts.usage() == usage


@pytest.mark.parametrize(
    "reported", [None, 7, [], {}, {"prompt_tokens": 0, "completion_tokens": 0}]
)
def test_what_is_not_counted_is_unknown(reported: Any) -> None:
    assert not read_counts(reported).is_known


@pytest.mark.parametrize(
    ("reported", "nano_usd"),
    [
        ({"cost": 0.0012}, 1_200_000),
        ({"cost": {"total_cost": "0.002"}}, 2_000_000),
        ({"cost_in_usd_ticks": 50}, 5),
        ({"estimated_cost": 1e-9}, 1),
        ({"cost": -1}, None),
        ({"cost": "NaN"}, None),
        ({"cost": True}, None),
        ({}, None),
    ],
)
def test_a_cost_that_the_server_reports_is_read(reported: Any, nano_usd: int | None) -> None:
    assert read_counts(reported).cost_nano_usd == nano_usd


def piece(index: int | None = None, id_: str = "", name: str = "", arguments: str = "") -> Any:
    return {"index": index, "id_": id_, "name": name, "arguments": arguments, "extra": {}}


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        # OpenAI: a head with an index, then pieces with the index.
        ([piece(0, "a", "f"), piece(0, arguments='{"x"'), piece(0, arguments=": 1}")], ["a f 1"]),
        # No index at all: a name or an id begins a call.
        (
            [piece(None, "a", "f", '{"x": 1}'), piece(None, "b", "f", '{"x": 2}')],
            ["a f 1", "b f 2"],
        ),
        ([piece(None, "a", "f", '{"x"'), piece(None, arguments=": 1}")], ["a f 1"]),
        ([piece(None, "", "f", '{"x": 1}'), piece(None, "", "f", '{"x": 2}')], [" f 1", " f 2"]),
        # The same index for whole calls.
        ([piece(0, "a", "f", '{"x": 1}'), piece(0, "b", "f", '{"x": 2}')], ["a f 1", "b f 2"]),
        ([piece(0, "", "f", '{"x": 1}'), piece(0, "", "f", '{"x": 2}')], [" f 1", " f 2"]),
        ([piece(0, "", "f", '{"x": 1}'), piece(0, "", "g", '{"x": 2}')], [" f 1", " g 2"]),
        # The id, or id and name, repeated in each piece.
        ([piece(0, "a", "f", '{"x"'), piece(0, "a", "f", ": 1}")], ["a f 1"]),
        ([piece(None, "a", "f", '{"x"'), piece(None, "a", "", ": 1}")], ["a f 1"]),
        ([piece(None, "a", "f", '{"x"'), piece(None, "a", "f", ": 1}")], ["a f 1"]),
        # The index grows with each piece of one call.
        ([piece(0, "a", "f", '{"x"'), piece(1, "a", "", ": 1}")], ["a f 1"]),
        ([piece(0, "a", "f", '{"x"'), piece(1, "", "", ": 1}")], ["a f 1"]),
        # One id for two whole calls.
        ([piece(0, "a", "f", '{"x": 1}'), piece(1, "a", "f", '{"x": 2}')], ["a f 1", "a f 2"]),
        # Interleaved pieces.
        (
            [
                piece(0, "a", "f"),
                piece(1, "b", "g"),
                piece(0, arguments='{"x": 1}'),
                piece(1, arguments='{"x": 2}'),
            ],
            ["a f 1", "b g 2"],
        ),
        # An empty object first, as some servers begin.
        ([piece(0, "a", "f", "{}"), piece(0, arguments='{"x": 1}')], ["a f 1"]),
    ],
)
def test_the_pieces_of_calls_are_joined(pieces: list[Any], calls: list[str]) -> None:
    joiner = CallJoiner()
    for one in pieces:
        joiner.add(**one)
    found = []
    for call in joiner.calls:
        arguments = read_arguments(call.arguments)
        assert isinstance(arguments, dict), arguments
        found.append(f"{call.id} {call.name} {arguments['x']}")
    assert found == calls


def test_ids_of_any_shape_become_unique_short_ids() -> None:
    ids = ["a", "a", "", "x" * 300, "b\x1b", "call_2"]
    calls = [{"id": id_, "name": "f", "arguments": {}} for id_ in ids]
    given = give_ids(calls, (), lambda text: text.replace("\x1b", " "))  # type: ignore[arg-type]
    found = [call["id"] for call in given]
    assert found[0] == "a"
    assert len(set(found)) == len(found)
    assert all(0 < len(id_) <= 200 and id_.isprintable() for id_ in found)


MAXIMUM = "maximum context length"


@each_case(
    "status, words, kind",
    [
        (
            400,
            f"This model's {MAXIMUM} is 4096 tokens. However, you requested 5000",
            "context_length",
        ),
        (
            400,
            "The decoder prompt (length 9) is longer than the maximum model length of 4",
            "context_length",
        ),
        (400, "the request exceeds the available context size (4096 tokens)", "context_length"),
        (500, "Context size has been exceeded.", "context_length"),
        (
            400,
            "Trying to keep the first 9 tokens when context the overflows. However, the model is "
            "loaded with context length of only 4 tokens",
            "context_length",
        ),
        (400, "Please reduce the length of the messages or completion.", "context_length"),
        (
            400,
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "context_length",
        ),
        (400, f"This endpoint's {MAXIMUM} is 32768 tokens.", "context_length"),
        (400, "litellm.ContextWindowExceededError: too long", "context_length"),
        (400, "Your input exceeds the context window of this model.", "context_length"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", "context_length"),
        (
            400,
            "This model's maximum prompt length is 131072 but the request contains",
            "context_length",
        ),
        (
            413,
            "Request too large for model `m` on tokens per minute (TPM): Limit 6000",
            "context_length",
        ),
        (
            429,
            "Request too large for gpt on tokens per min (TPM): Limit 3, Requested 4",
            "context_length",
        ),
        (429, f"{MAXIMUM}", "rate_limit"),
        (402, "Insufficient credits", "auth"),
        (400, "Your credit balance is too low to access the API.", "auth"),
        (429, "You have used all available credits", "auth"),
        (400, "Budget has been exceeded! Current cost: 2, Max budget: 1", "auth"),
        (403, "Your input was flagged for harassment", "refused"),
        (400, "Content Exists Risk", "refused"),
        (400, "triggering Azure OpenAI's content management policy", "refused"),
        (403, "Content violates usage guidelines.", "refused"),
        (400, "The model is overloaded. Please try again later.", "server_error"),
        (503, "Loading model", "server_error"),
        (403, "Incorrect API key", "auth"),
        (401, "flagged", "auth"),
        (429, "Rate limit reached for requests", "rate_limit"),
        (429, "You exceeded your current quota, please check your plan", "rate_limit"),
        (400, "temperature is too high", "bad_request"),
    ],
)
def test_a_failure_is_judged_by_what_happened(status: int, words: str, kind: str) -> None:
    error = build_judged_error(status, words, find_meaning(code="", kind="", words=words))
    assert error.kind == kind
    assert isinstance(error, TransientError | PermanentError)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("insufficient_quota", "no_credit"),
        ("ResponsibleAIPolicyViolation", "refused"),
        ("exceed_context_size_error", "context_length"),
        ("overloaded_error", "overloaded"),
        ("invalid_api_key", None),
    ],
)
def test_a_code_says_more_than_the_words(code: str, meaning: str | None) -> None:
    assert find_meaning(code=code, kind="", words="flagged" if meaning else "") == meaning


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 7.66s.", 7.66),
        ("Please try again in 1m2.5s", 62.5),
        ("try again in 120ms", 0.12),
        ("Please retry in 34.07s.", 34.07),
        ('{"retryDelay": "34s"}', 34.0),
        ("try again later", None),
    ],
)
def test_a_wait_in_an_error_message_is_read(words: str, seconds: float | None) -> None:
    assert find_wait(words, 429) == seconds
    assert find_wait(words, 500) is None
