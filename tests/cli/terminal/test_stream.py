"""`orc run --stream STEP`: the model text of one step on stdout, while it arrives."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.cli.command_line import orc, write
from tests.fault_server import Wait, start_fault_server
from tests.model_server import Asked, Fails, ModelServer, Says
from tests.processes import ORC, WAIT_S, orc_environment, run_orc, start_orc
from tests.providers.ollama_script import line, stream

SPEC = """\
project: streamed
provider: ollama/model-a
defaults: {retry: {max_attempts: 2, initial: 1ms, jitter: 0}}
steps:
  one: {prompt: One., output: {format: json, repair: 1, schema: {type: integer}}}
  two: {needs: one, prompt: Two.}
  three: {value: "3"}
"""


@pytest.fixture
def served(here: Path, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """A server for the spec in the current folder; it is not started."""

    def answer(asked: Asked) -> Says | Fails:
        if "cannot be used" in asked.last:
            return Says("1")
        return Says("no\ufeff number\x1b[2J\n") if "One." in asked.last else Says("zwölf")

    write("spec.yaml", SPEC)
    server = ModelServer(answer)
    monkeypatch.setenv("OLLAMA_BASE_URL", server.url)
    return server


def test_stdout_has_every_reply_of_the_step_and_nothing_else(served: ModelServer) -> None:
    with served:
        said = orc("run", "spec.yaml", "--stream", "one")
    assert said.code == 0, said.err
    assert said.out == "no\ufeff number\x1b[2J\n1\n"
    assert "two" in said.err


def test_as_json_the_pieces_are_between_the_events(served: ModelServer) -> None:
    with served:
        lines = orc("run", "spec.yaml", "--stream", "two", "--json").lines()
    kinds = [(line["event"], line.get("step")) for line in lines]
    pieces = [line for line in lines if line["event"] == "delta"]
    assert {piece["step"] for piece in pieces} == {"two"}
    assert "".join(piece["text"] for piece in pieces) == "zwölf"
    assert (
        kinds.index(("step.started", "two"))
        < kinds.index(("delta", "two"))
        < kinds.index(("step.succeeded", "two"))
    )


@pytest.mark.parametrize(
    ("step", "words"), [("tow", "did you mean 'two'?"), ("three", "no model writes a text")]
)
def test_a_step_that_cannot_be_streamed_is_refused_before_anything_runs(
    here: Path, step: str, words: str
) -> None:
    write("spec.yaml", SPEC)
    said = orc("run", "spec.yaml", "--stream", step)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert not Path("runs").exists()


async def test_a_piece_is_there_before_the_next_one_is_written(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        "project: p\nprovider: ollama/m\nsteps: {ask: {prompt: Why?}}\n"
    )
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            server = await start_fault_server(nursery)
            server.will(stream(line("Be"), Wait()))
            run = partial(
                trio.run_process,
                [ORC, "run", "spec.yaml", "--stream", "ask", "--quiet"],
                cwd=tmp_path,
                env=orc_environment(OLLAMA_BASE_URL=server.url),
                stdout=subprocess.PIPE,
                check=False,
            )
            process = await nursery.start(run)
            heard = b""
            while heard != b"Be":
                heard += await process.stdout.receive_some(10)
            nursery.cancel_scope.cancel()


def test_the_job_continues_after_the_reader_closes_stdout(served: ModelServer, here: Path) -> None:
    with served:
        command = ("run", "spec.yaml", "--stream", "two", "--quiet")
        process = start_orc(*command, cwd=here, OLLAMA_BASE_URL=served.url)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, talk = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert "1 tolerated failure" in talk.partition("\n")[0]
    assert orc("show", "latest", "--json").json()["status"] == "succeeded"


def test_characters_that_the_terminal_lacks_are_escaped(served: ModelServer, here: Path) -> None:
    with served:
        ended = run_orc(
            *("run", "spec.yaml", "--stream", "two", "--quiet"),
            cwd=here,
            OLLAMA_BASE_URL=served.url,
            PYTHONIOENCODING="ascii",
        )
    assert (ended.returncode, ended.stdout) == (0, "zw\\xf6lf\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has the full device")
def test_a_reply_that_cannot_be_printed_is_recorded(served: ModelServer, here: Path) -> None:
    with served, Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [ORC, "run", "spec.yaml", "--stream", "two", "--quiet"],
            cwd=here,
            env=orc_environment(OLLAMA_BASE_URL=served.url),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
    assert ended.returncode == 0
    assert ended.stderr.splitlines()[0] == (
        "orc: --stream: stdout: No space left on device; free some space; the job continues"
    )
