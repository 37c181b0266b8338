"""Secrets in logs, values and messages are masked, however a step ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from orc.ledger.secrets.masking import NO_MASK, Mask
from orc.scheduler.effects.contract import CommandRequest
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.effects.tool_command import run_tool_command
from tests.processes import wait_for
from tests.scheduler.effects.conftest import Command, Function
from tests.scheduler.effects.performing import perform_run

TOKEN = "token-Canary/0123456789abcdef"
MASK = Mask({"TOKEN": TOKEN})
MARK = "[secret TOKEN]"
IN_PIECES = 'printf "a ${TOKEN%def}"; sleep 0.05; printf "def b\\n"; '


@pytest.mark.parametrize("stream", ["1", "2"], ids=["stdout", "stderr"])
async def test_a_live_log_never_has_a_secret_that_comes_in_pieces(
    stream: str, command: Command, groups: ProcessGroups
) -> None:
    request = command(
        f"{{ {IN_PIECES} }} >&{stream}; seq 200; touch half; exec sleep 60", env={"TOKEN": TOKEN}
    )
    seen = b""
    with trio.fail_after(20), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, request, groups)
            await wait_for(lambda: Path(request.cwd, "half").exists())
            await wait_for(lambda: b"150" in read(Path(request.log_path)))
            seen = read(Path(request.log_path))
            scope.cancel()
    # A stream writes the mask when more output follows, or when it ends.
    assert f"{MARK} b" in Path(request.log_path).read_text()
    for content in (seen, read(Path(request.log_path))):
        assert b"Canary" not in content


async def run(request: CommandRequest, groups: ProcessGroups) -> None:
    await perform_run(request, groups=groups, mask=MASK)


def read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


async def test_a_failure_message_is_masked_before_it_is_cut(
    command: Command, groups: ProcessGroups
) -> None:
    # The message keeps the last 300 characters, which would cut off the secret's beginning.
    request = command(f'printf "$TOKEN{"." * 290}" >&2; exit 3', env={"TOKEN": TOKEN})
    with trio.fail_after(20):
        result = await perform_run(request, groups=groups, mask=MASK)
    assert result.failed is not None
    assert "cdef" not in result.failed.message


async def test_json_in_which_a_number_is_a_secret_is_still_json(
    command: Command, groups: ProcessGroups
) -> None:
    request = command("echo '{\"pin\": 12345678}'")
    with trio.fail_after(20):
        result = await perform_run(
            request, groups=groups, mask=Mask({"PIN": "12345678"}), wants_json=True
        )
    assert result.value == {"pin": "[secret PIN]"}


async def test_what_a_function_prints_returns_and_raises_is_masked(
    function: Function, groups: ProcessGroups
) -> None:
    request = function("given:give", env={"TOKEN": TOKEN})
    (Path(request.import_dir) / "given.py").write_text(
        "import os, time\n"
        "def give():\n"
        "    os.write(1, os.environ['TOKEN'][:20].encode())\n"
        "    time.sleep(0.05)\n"
        "    os.write(2, os.environ['TOKEN'][20:].encode())\n"
        "    return os.environ['TOKEN']\n"
        "def fail(): raise ValueError('x' * 980 + os.environ['TOKEN'])\n"
        "def hang():\n"
        "    os.write(1, os.environ['TOKEN'].encode() + b'!')\n"
        "    open('begun', 'w').close()\n"
        "    time.sleep(60)\n"
    )
    pool = WorkerPool(groups, mask=MASK)
    with trio.fail_after(20):
        given = await pool.call(request)
        failed = await pool.call(replace(request, function="given:fail"))
        log = f"{request.log_path}.hung"
        with trio.move_on_after(20) as scope:
            async with trio.open_nursery() as nursery:
                hung = replace(request, function="given:hang", log_path=log)
                nursery.start_soon(pool.call, hung)
                await wait_for(lambda: Path(request.cwd, "begun").exists())
                scope.cancel()
        await pool.aclose()
    assert given.value == MARK
    assert Path(request.log_path).read_text().startswith(MARK)
    assert "Canary" not in Path(request.log_path).read_text()
    assert failed.failed is not None
    assert "Cana" not in failed.failed.message
    assert Path(log).read_text() == f"{MARK}!"


async def test_what_a_models_command_prints_is_masked(
    tmp_path: Path, groups: ProcessGroups
) -> None:
    with trio.fail_after(20):
        known = await run_tool_command(
            ["/bin/sh", "-c", f"{IN_PIECES} true"],
            allow=(),
            env={"TOKEN": TOKEN},
            cwd=tmp_path,
            log_path=tmp_path / "step.log",
            log_bytes=1000,
            groups=groups,
            mask=MASK,
        )
    assert known.result["output"] == f"a {MARK} b\n"
    assert (tmp_path / "step.log").read_text() == f"a {MARK} b\n"


async def test_a_log_that_cannot_be_written_gives_a_warning_and_does_not_fail_the_step(
    function: Function, groups: ProcessGroups, tmp_path: Path
) -> None:
    request = replace(function("given:speak"), log_path=f"{tmp_path}/gone/step.log")
    (Path(request.import_dir) / "given.py").write_text("def speak(): print('x'); return 1\n")
    pool = WorkerPool(groups, mask=NO_MASK)
    with trio.fail_after(20):
        result = await pool.call(request)
        await pool.aclose()
    assert (result.value, result.failed) == (1, None)
    assert "the log could not be written" in (result.warning or "")
