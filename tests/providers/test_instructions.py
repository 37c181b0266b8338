"""The instruction to answer in JSON, and when each provider adds it."""

from __future__ import annotations

from typing import Any

import pytest

from orc.providers import Message, Request
from orc.providers.instructions import instruct, speaks_of_json
from orc.providers.ollama_body import build_body
from orc.providers.openai_body import build_system

SCHEMA = {"type": "object", "properties": {"km": {"type": "integer"}}}
TOOL: Any = {"name": "t", "description": "", "parameters": {"type": "object"}}


def ask(text: str = "How long is the Rhine?", **more: Any) -> Request:
    message: Message = {"role": "user", "content": text}
    return Request(model="m", messages=(message,), **more)


def test_a_plain_request_gets_no_instruction() -> None:
    assert instruct(None, ask()) is None
    assert instruct("Be brief.", ask()) == "Be brief."


def test_the_instruction_follows_the_system_text_and_has_the_schema() -> None:
    said = instruct("Be brief.", ask(json_output=True, output_schema=SCHEMA))
    assert said is not None
    assert said.startswith("Be brief.\n\n")
    assert '"km": {"type": "integer"}' in said
    assert "Schema" not in (instruct(None, ask(json_output=True)) or "")


@pytest.mark.parametrize(
    ("request_", "speaks"),
    [
        (ask("Answer in JSON."), True),
        (ask(system="Use json only."), True),
        (ask(), False),
        (ask(system="Be brief."), False),
    ],
)
def test_openai_gets_the_instruction_only_if_no_text_mentions_json(
    request_: Request, speaks: bool
) -> None:
    assert speaks_of_json(request_) == speaks
    asked = Request(model="m", messages=request_.messages, system=request_.system, json_output=True)
    assert (build_system(asked) == request_.system) == speaks


def test_a_part_of_a_message_may_mention_json() -> None:
    parts: Message = {"role": "user", "content": [{"type": "text", "text": "as JSON"}]}
    assert speaks_of_json(Request(model="m", messages=(parts,)))


def test_openai_gets_no_instruction_with_a_schema() -> None:
    asked = ask(json_output=True, output_schema=SCHEMA)
    assert build_system(asked) is None


def test_ollama_gets_the_instruction_if_the_request_has_tools() -> None:
    with_tools = ask(json_output=True, output_schema=SCHEMA, tools=(TOOL,))
    assert b"JSON Schema" in build_body(with_tools)
    assert b'"format"' not in build_body(with_tools)
    alone = ask(json_output=True, output_schema=SCHEMA)
    assert b"JSON Schema" not in build_body(alone)
