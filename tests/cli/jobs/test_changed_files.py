"""A model's command that changes the file of another step does not change it for other steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import orc, write
from tests.model_server import Asked, ModelServer, Says

SPEC = """\
project: demo
provider: ollama/model-a
steps:
  write: {run: echo kept > kept.txt, files: [kept.txt]}
  look: {run: cat kept.txt, needs: write}
  ask: {prompt: Look, needs: look, tools: [{builtin: run_command, allow: [sh]}]}
  read: {run: cat kept.txt > seen.txt, files: [seen.txt], needs: ask}
"""
FORGE = "touch -r kept.txt ref; printf 'fake\\n' > kept.txt; touch -r ref kept.txt; cat kept.txt"


def test_what_a_models_command_changes_is_seen_by_its_next_one_and_by_no_other_step(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def answer(asked: Asked) -> Says:
        told.append(asked.last)
        scripts = ["true", FORGE, "cat kept.txt"]
        if len(told) > len(scripts):
            return Says("done")
        return Says(
            "", ((f"t{len(told)}", "run_command", {"argv": ["sh", "-c", scripts[len(told) - 1]]}),)
        )

    write("spec.yaml", SPEC)
    with ModelServer() as server:
        server.answer = answer
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        said = orc("run", "spec.yaml")
    assert said.code == 0, said.err
    assert ["fake" in each for each in told[1:]] == [False, True, True]
    (folder,) = Path("runs").glob("*/outputs/demo")
    assert (folder / "kept.txt").read_text() == (folder / "seen.txt").read_text() == "kept\n"
    assert orc("verify").code == 0
