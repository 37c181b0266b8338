"""Specs whose calls are submitted in batches, and what their ledgers say of them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.batch_server import BatchServer

MODELS = {"openai": "openai/gpt-4o-mini", "anthropic": "anthropic/claude-haiku-4-5"}
both_apis = pytest.mark.parametrize("api", list(MODELS))


def fan_out(api: str, *, step: str = "", job: str = "", items: str = "[a, b, c]") -> str:
    """A spec with a fan-out in batches; `step` and `job` are further lines."""
    return f"""\
project: batched
provider: {MODELS[api]}
{job}
steps:
  each:
    for_each: {items}
    prompt: "Say ${{{{ item }}}}"
    batch: true
    params: {{max_tokens: 50}}
    retry: {{max_attempts: 3, initial: 0.05s, jitter: 0}}
{step}
  all: {{value: "${{{{ steps.each.output | join(' ') }}}}"}}
"""


def said(body: dict[str, Any]) -> str:
    """The text of the last message of a request."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


def echo(body: dict[str, Any]) -> str:
    """The word that the request asks for, in capitals."""
    return said(body).split()[-1].upper()


def events(type_name: str) -> list[dict[str, Any]]:
    """The data of the events of one type, in order."""
    with closing(sqlite3.connect("runs.db")) as connection:
        rows = connection.execute(
            "SELECT data, step FROM events WHERE type = ? ORDER BY position", (type_name,)
        )
        return [{**json.loads(data), "step": step} for data, step in rows]


def query(text: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the ledger."""
    with closing(sqlite3.connect("runs.db")) as connection:
        return connection.execute(text).fetchall()


def output_of(step: str) -> Any:
    """The result of a step."""
    (found,) = [one for one in events("step.succeeded") if one["step"] == step]
    return found["output"]["value"]


def lead_to(server: BatchServer, patches: pytest.MonkeyPatch) -> None:
    """Let the providers of this process go to the server."""
    for name, value in server.environment().items():
        patches.setenv(name, value)


def write_spec(text: str, folder: Path = Path()) -> None:
    """Write `spec.yaml`."""
    (folder / "spec.yaml").write_text(text, encoding="utf-8")
