"""A burst of 429 over the wire: a fan-out waits as long as the server asked, and not longer."""

from __future__ import annotations

import threading
import time

import pytest

from tests.cli.command_line import orc, submit
from tests.model_server import Asked, Fails, ModelServer, Says

ASKED_S = 1.5
STEPS = 50
SPEC = """\
project: burst
concurrency: {total}
servers:
  lab: {{api: {api}, base_url: "{url}", key: null}}
steps:
  each: {{for_each: {items}, provider: lab/any, prompt: "${{{{ item }}}}"}}
"""


class Limited:
    """Refuses every call until the time that it names has passed since the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: float | None = None
        self.refused = 0

    def __call__(self, asked: Asked) -> Says | Fails:
        """The answer to a request."""
        with self._lock:
            now = time.monotonic()
            self._until = self._until or now + ASKED_S
            left_s = self._until - now
            self.refused += left_s > 0
        if left_s <= 0:
            return Says("ok")
        body = '{"error": {"message": "Rate limit reached", "type": "rate_limit_error"}}'
        return Fails(429, body, {"retry-after": f"{left_s:.3f}"})


@pytest.mark.parametrize("total", [8, STEPS])
@pytest.mark.parametrize("api", ["openai", "openai-responses", "anthropic", "ollama"])
def test_a_fan_out_behind_a_burst_waits_as_long_as_the_server_asked(api: str, total: int) -> None:
    limited = Limited()
    with ModelServer(limited) as server:
        base = f"{server.url}/v1" if api.startswith("openai") else server.url
        job_id = submit(SPEC.format(api=api, url=base, total=total, items=list(range(STEPS))))
    shown = orc("show", job_id, "--json").json()
    assert shown["status"] == "succeeded"
    assert len(server.seen) == STEPS + limited.refused
    # Each step that was refused was so once: nothing was sent before the time that the server named.
    assert limited.refused <= total
    events = [line for line in orc("tail", job_id, "--json").out.splitlines() if "retry_at" in line]
    assert not any('"cooldown_s": 60' in line or '"cooldown_s":60' in line for line in events)
