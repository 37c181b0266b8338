"""Runs a command of orc for a tool, in a process of its own, and bounds its answer.

So a tool refuses and hides exactly what the command does, and a run that was started goes on if the
server ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import trio
from msgspec import Struct, field

from orc.ledger.command_lines import WITHOUT_LEDGER
from orc.ledger.wording import count_text, duration_text

ANSWER_S = 120.0
"""How long a command may take that does not run a job."""
LAUNCH_S = 60.0
"""How long the launch of a run may take."""
READ_BYTES_MAX = 16 * 1024 * 1024
TALK_BYTES_MAX = 16 * 1024
LIMIT = 20_000
LIMIT_MAX = 200_000
AT_ONCE = 4
_POLL_S = 0.05


class CallRefused(Exception):
    """The command refused; the message is what it said."""


class OrcCalls(Struct):
    """Runs commands for the ledger `database`, in the folder `folder` or that of a spec."""

    database: Path
    folder: Path
    _slots: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(AT_ONCE))
    _running: list[trio.Process] = field(default_factory=list)

    async def answer(
        self,
        command: str,
        *words: str,
        options: tuple[str, ...] = (),
        folder: Path | None = None,
        offset: int,
        limit: int,
    ) -> dict[str, Any]:
        """What the command prints with --json, bounded. Raises CallRefused."""
        async with self._slots:
            with trio.move_on_after(ANSWER_S) as scope:
                code, out, talk = await self._run(self._argv(command, words, options), folder)
        if scope.cancelled_caught:
            raise CallRefused(
                f"orc {command} took longer than {duration_text(ANSWER_S)}, and was ended"
            )
        if not out.strip() and code != 0:
            raise CallRefused(talk.strip() or f"orc {command} ended with exit code {code}")
        said = {"exit_code": code} if code else {}
        return {**said, **bounded(out, offset=offset, limit=limit)}

    async def launch(
        self,
        command: str,
        *words: str,
        options: tuple[str, ...] = (),
        folder: Path | None = None,
        wait_s: float,
    ) -> dict[str, Any]:
        """Start a run that goes on without this process; its job, and its end if that comes in time.

        Raises CallRefused if it ended before it had a job.
        """
        self._running = [one for one in self._running if one.poll() is None]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as talk:
            process = await trio.lowlevel.open_process(
                self._argv(command, words, ("--no-input", "--quiet", *options)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=talk,
                cwd=folder or self.folder,
                start_new_session=True,
            )
            self._running.append(process)
            found: dict[str, Any] = {}
            launched = ended = False
            deadline = trio.current_time() + LAUNCH_S
            while not ended and trio.current_time() < deadline:
                await trio.sleep(_POLL_S)
                ended = process.poll() is not None
                found = _lines(out)
                if found and not launched:
                    launched, deadline = True, trio.current_time() + wait_s
            if ended:
                found["exit_code"] = process.returncode
            if "job_id" not in found:
                raise CallRefused(_text(talk).strip() or "the run has not begun")
            state = "it ended" if ended else "it runs; show_job shows its state"
            return {**found, "note": state}

    def _argv(self, command: str, words: tuple[str, ...], options: tuple[str, ...]) -> list[str]:
        ledger = () if command in WITHOUT_LEDGER else ("--db", str(self.database))
        start = (sys.executable, "-P", "-m", "orc.cli.main")
        # What a model wrote comes after the two dashes: it is never an option.
        return [*start, command, *options, *ledger, "--json", "--", *words]

    async def _run(self, argv: list[str], folder: Path | None) -> tuple[int, str, str]:
        found: dict[str, bytes] = {}
        process = await trio.lowlevel.open_process(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder or self.folder,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        )
        try:
            async with trio.open_nursery() as nursery:
                for name, stream, most in (
                    ("out", process.stdout, READ_BYTES_MAX),
                    ("talk", process.stderr, TALK_BYTES_MAX),
                ):
                    nursery.start_soon(partial(_read, found, name, stream, most))
                await process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
        out, talk = (found[name].decode("utf-8", "replace") for name in ("out", "talk"))
        return process.returncode or 0, out, talk


def bounded(out: str, *, offset: int, limit: int) -> dict[str, Any]:
    """The output as JSON values; if it is longer than the limit, a part of its text and a note."""
    limit, offset = max(1, min(limit, LIMIT_MAX)), max(0, offset)
    if offset == 0 and len(out) <= limit:
        return {"data": _parsed(out)}
    part = out[offset : offset + limit]
    end = offset + len(part)
    left = len(out) - end
    note = f"characters {offset} to {end} of {count_text(len(out), 'character')} of JSON"
    if left > 0:
        note += f"; for more, call again with offset={end}, or with a limit up to {LIMIT_MAX}"
    return {"text": part, "note": note, "next_offset": end if left > 0 else None}


def _parsed(out: str) -> Any:
    lines = [line for line in out.splitlines() if line.strip()]
    try:
        values = [json.loads(line) for line in lines]
    except ValueError:
        return out
    return values[0] if len(values) == 1 else values


def _lines(file: IO[bytes]) -> dict[str, Any]:
    """The launch and the end of a run, from the lines of `orc run --json`."""
    found: dict[str, Any] = {}
    for line in _text(file).splitlines():
        try:
            value: Mapping[str, Any] = json.loads(line)
        except ValueError:
            continue
        if value.get("event") in ("launch", "done"):
            found |= {key: value[key] for key in value if key != "event"}
    return found


def _text(file: IO[bytes]) -> str:
    # The runner has the same descriptor, so that the position must not be moved.
    return os.pread(file.fileno(), TALK_BYTES_MAX, 0).decode("utf-8", "replace")


async def _read(found: dict[str, bytes], name: str, stream: Any, most: int) -> None:
    """Read all, and keep the beginning."""
    kept = bytearray()
    async with stream:
        async for chunk in stream:
            kept += chunk[: most - len(kept)]
    found[name] = bytes(kept)
