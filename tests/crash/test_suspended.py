"""A model answers while orc is suspended, for longer than a server may send nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.model_server import Asked, ModelServer, Says
from tests.processes import WAIT_S, end_process, start_orc, wait_until

_SPEC = "project: p\nsteps: {ask: {prompt: Hello, model: model-a, timeout: 2s}}\n"
_AWAY_S = 3.0


@pytest.mark.parametrize("provider", ["anthropic", "ollama"])
def test_a_reply_that_came_meanwhile_is_not_paid_for_again(provider: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(_SPEC)
    suspended: list[int] = []

    def answer(asked: Asked) -> Says:
        if not suspended:
            time.sleep(0.5)  # orc waits for the reply by now
            os.kill(process.pid, signal.SIGSTOP)
            suspended.append(process.pid)
        return Says("hello")

    with ModelServer(answer) as server:
        arguments = ("run", "spec.yaml", "-p", provider)
        process = start_orc(*arguments, cwd=tmp_path, **server.environment())
        try:
            wait_until(lambda: bool(suspended), within_s=WAIT_S)
            time.sleep(_AWAY_S)
            process.send_signal(signal.SIGCONT)
            _, said = process.communicate(timeout=WAIT_S)
        finally:
            end_process(process)
        assert process.returncode == 0, said
        assert len(server.seen) == 1
