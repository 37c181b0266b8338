"""The contract of every provider with a server: it says when the server only has to be waited for."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest
import trio

from orc.providers import Provider, ProviderError
from tests.fault_server import Answer, FaultServer
from tests.providers.acts import ask, ignore
from tests.providers.stands import WIRED

pytestmark = pytest.mark.parametrize("name", WIRED)

JSON = (("content-type", "application/json"),)

LOADING = [
    (503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}),
    (503, {"error": "Model org/large-7b is currently loading", "estimated_time": 20.0}),
    (500, {"error": "llm server loading model"}),
    (500, {"error": "timed out waiting for llama runner to start - progress 0.00"}),
    (404, {"error": {"message": "The model is loading, try again", "code": "model_loading"}}),
    (400, {"error": {"message": "Model 'large' is still loading"}}),
    (503, {"detail": "The server is starting"}),
    (503, {"message": "Service is not ready yet"}),
    (502, "<html>Bad Gateway</html>"),
    (503, ""),
]
"""What servers answer while they start, or load a model."""
READY = [
    (503, {"error": {"message": "The engine is currently overloaded", "type": "server_error"}}),
    (500, {"error": {"message": "Internal error"}}),
    (404, {"error": {"message": "The model 'large' does not exist", "code": "model_not_found"}}),
    (401, {"error": {"message": "Loading model"}}),
    (429, {"error": {"message": "Rate limit reached"}}),
]


async def failure(stand: Callable[..., Provider]) -> ProviderError:
    """The error of a call."""
    with trio.fail_after(60), pytest.raises(ProviderError) as caught:
        await stand().send(ask(), on_delta=ignore)
    return caught.value


def answer(status: int, body: object) -> Answer:
    """A failure with this body."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(status=status, headers=JSON, chunks=(text.encode(),))


@pytest.mark.parametrize(("status", "body"), LOADING, ids=str)
async def test_a_server_that_loads_is_not_ready_whatever_its_status(
    stand: Callable[..., Provider], server: FaultServer, status: int, body: object
) -> None:
    server.will(answer(status, body))
    error = await failure(stand)
    assert (error.kind, error.not_ready, error.unsent) == ("server_error", True, False)


@pytest.mark.parametrize(("status", "body"), READY, ids=str)
async def test_a_server_that_fails_for_another_reason_is_not_waited_for(
    stand: Callable[..., Provider], server: FaultServer, status: int, body: object
) -> None:
    server.will(answer(status, body))
    assert not (await failure(stand)).not_ready


@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_a_connection_that_is_dropped_without_an_answer_is_one_of_a_server_that_starts(
    stand: Callable[..., Provider], server: FaultServer, ending: str
) -> None:
    server.will(Answer(raw=b"", ending=ending))  # type: ignore[arg-type]
    error = await failure(stand)
    assert (error.kind, error.not_ready) == ("connection", True)


async def test_a_refused_connection_is_not_ready_and_absent(
    stand: Callable[..., Provider], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(server, "url", f"http://127.0.0.1:{free.getsockname()[1]}")
        error = await failure(stand)
    assert (error.kind, error.not_ready, error.absent, error.unsent) == (
        ("connection", True, True, True)
    )
