"""The built-in tool `run_command`: runs a program without a shell in the attempt's folder."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orc.ledger.digest import clean_text
from orc.ledger.scarcity import raise_shortage
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import size_text
from orc.providers import Tool
from orc.scheduler.effects.contract import KnownResult
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.log import Log
from orc.scheduler.effects.pipes import Reading
from orc.scheduler.effects.tool_files import ToolMistake

SHOWN_BYTES_MAX = 64 * 1024


def describe_command(allow: Sequence[str]) -> Tool:
    """The description of the tool for the model."""
    programs = f" Allowed programs: {', '.join(allow)}." if allow else ""
    argument: dict[str, Any] = {"type": "string"}
    first = {"type": "string", "enum": list(allow)} if allow else argument
    return {
        "name": "run_command",
        "description": "Run a program in the project's folder, without a shell. Returns its exit "
        f"code and its output.{programs} Files that the program writes are not part of your "
        "result; use write_file to write a file of the result.",
        "parameters": {
            "type": "object",
            "properties": {
                "argv": {
                    "type": "array",
                    "prefixItems": [first],
                    "items": argument,
                    "minItems": 1,
                    "description": "The program and its arguments.",
                }
            },
            "required": ["argv"],
            "additionalProperties": False,
        },
    }


async def run_tool_command(
    argv: Sequence[str],
    *,
    allow: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    log_path: Path,
    log_bytes: int,
    groups: ProcessGroups,
    mask: Mask,
) -> KnownResult:
    """The program's exit code and masked output (stdout and stderr together).

    Raises ToolMistake if the program is not allowed or cannot be started, and OSError if the
    machine lacks something. On cancellation, the program's whole process group is ended.
    """
    if allow and argv[0] not in allow:
        raise ToolMistake(f"{argv[0]!a} is not allowed; allowed programs: {', '.join(allow)}")
    if any("\0" in word for word in argv):
        raise ToolMistake("an argument contains a NUL character; remove it")
    try:
        process = await groups.spawn(
            list(argv), cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise_shortage(error)
        raise ToolMistake(f"the program could not be started: {error.strerror}") from None
    output = _ProgramOutput(log_path, log_bytes, mask)
    try:
        with Reading(process.pipes(), output.take, on_stop=process.stop_waiting) as reading:
            await process.wait()
            # A background process may hold the pipe open for ever.
            await reading.is_over()
    finally:
        output.close()
        await groups.end(process)
        process.close()
    text = clean_text(bytes(output.shown).decode("utf-8", "replace"))
    result: dict[str, Any] = {"exit_code": process.returncode, "output": text}
    if len(output.shown) == SHOWN_BYTES_MAX:
        result["note"] = f"the output was cut off at {size_text(SHOWN_BYTES_MAX)}"
    return KnownResult(result, is_error=process.returncode != 0)


class _ProgramOutput:
    """The masked output of the program: all of it in the log, the beginning in `shown`."""

    def __init__(self, log_path: Path, log_bytes: int, mask: Mask) -> None:
        self.shown = bytearray()
        self._log = Log(log_path, limit=log_bytes)
        self._masked = mask.byte_stream()

    def take(self, chunk: bytes) -> None:
        self._keep(self._masked.feed(chunk))

    def close(self) -> None:
        self._keep(self._masked.close())
        self._log.close()

    def _keep(self, chunk: bytes) -> None:
        self.shown += chunk[: SHOWN_BYTES_MAX - len(self.shown)]
        self._log.write(chunk)
