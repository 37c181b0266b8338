"""Documents in messages: how each API gets them, and that no part is dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orc.ledger.digest import digest_json
from orc.providers import Message, PermanentError, Provider, Request
from orc.providers.anthropic_body import build_asked
from orc.providers.contract import DocumentPart
from orc.providers.instructions import join_texts
from orc.providers.mlx import _no_text
from orc.providers.openai import _build_body as build_chat
from orc.providers.openai_responses import _build_body as build_responses
from orc.providers.request_key import attached_bytes, prompt_values, request_values
from tests.fault_server import FaultServer
from tests.providers.acts import ask, ignore
from tests.providers.stands import WIRED
from tests.providers.test_contract_requests import ANSWER, send

PDF = DocumentPart(
    type="document",
    media_type="application/pdf",
    name="paper.pdf",
    sha256="ab" * 32,
    size_bytes=8,
    data="JVBERi0xLjc=",
)
NOTES = DocumentPart(type="document", media_type="text/plain", name="notes.txt", text="The Rhine.")
URL = "data:application/pdf;base64,JVBERi0xLjc="
INLINE = 'Document "notes.txt":\n\nThe Rhine.'


def asking(*parts: Any) -> Request:
    question: Any = {"type": "text", "text": "Which river?"}
    message: Message = {"role": "user", "content": [*parts, question]}
    return ask(messages=(message,))


def test_anthropic_gets_document_blocks() -> None:
    [message] = build_asked(asking(PDF, NOTES)).body["messages"]

    assert message["content"][:2] == [
        {
            "type": "document",
            "source": {
                "type": "base64",
                "media_type": "application/pdf",
                "data": "JVBERi0xLjc=",
            },
            "title": "paper.pdf",
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "The Rhine."},
            "title": "notes.txt",
        },
    ]


def test_openai_gets_files_and_texts() -> None:
    [chat] = build_chat(asking(PDF, NOTES))["messages"]
    [response] = build_responses(asking(PDF, NOTES))["input"]

    assert chat["content"][:2] == [
        {"type": "file", "file": {"filename": "paper.pdf", "file_data": URL}},
        {"type": "text", "text": INLINE},
    ]
    assert response["content"][:2] == [
        {"type": "input_file", "filename": "paper.pdf", "file_data": URL},
        {"type": "input_text", "text": INLINE},
    ]


@pytest.mark.parametrize("name", WIRED)
async def test_a_text_document_reaches_every_server_with_its_name(
    name: str, stand: Callable[..., Provider], server: FaultServer
) -> None:
    _, sent = await send(stand, server, asking(NOTES))

    assert "notes.txt" in sent
    assert "The Rhine." in sent
    assert sent.index("The Rhine.") < sent.index("Which river?")


@pytest.mark.parametrize("name", WIRED)
async def test_a_pdf_document_reaches_the_server_or_is_refused(
    name: str, stand: Callable[..., Provider], server: FaultServer
) -> None:
    if name == "ollama":
        with pytest.raises(PermanentError, match="reads no PDF documents") as caught:
            await stand(ANSWER).send(asking(PDF), on_delta=ignore)
        assert caught.value.kind == "bad_request"
        assert server.requests == []
    else:
        _, sent = await send(stand, server, asking(PDF))
        assert "JVBERi0xLjc=" in sent
        assert "paper.pdf" in sent


def test_mlx_reads_texts_only() -> None:
    assert join_texts([NOTES], _no_text) == INLINE
    with pytest.raises(PermanentError, match="a PDF document"):
        join_texts([PDF], _no_text)


@pytest.mark.parametrize("build", [build_asked, build_chat])
def test_a_system_message_has_texts_only(build: Callable[[Request], Any]) -> None:
    system: Message = {"role": "system", "content": [NOTES]}
    pictured: Message = {"role": "system", "content": [PDF]}
    user: Message = {"role": "user", "content": "Why?"}

    built = build(ask(messages=(system, user)))
    assert "The Rhine." in json.dumps(built if isinstance(built, dict) else built.body)
    with pytest.raises(PermanentError):
        build(ask(messages=(pictured, user)))


def test_a_document_is_recorded_by_its_digest_and_other_bytes_are_another_request() -> None:
    request = asking(PDF)
    other = asking({**PDF, "sha256": "cd" * 32})
    recorded = json.dumps(request_values(request, "anthropic"))

    assert PDF["sha256"] in recorded
    assert PDF["data"] not in recorded
    assert PDF["data"] not in json.dumps(prompt_values(request))
    assert request.messages[0]["content"][0]["data"] == PDF["data"]  # type: ignore[index,typeddict-item]
    assert attached_bytes(request) == len(PDF["data"])
    digests = [digest_json(request_values(one, "anthropic")) for one in (request, other)]
    assert digests[0] != digests[1]
