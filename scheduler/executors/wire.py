"""Work and outcomes as JSON, as they travel to a driver and to the agents of workers.

`orc/worker/wire.py` is the other end. An outcome comes from a worker, so that each field is checked.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, cast, get_args

from msgspec import to_builtins

from orc.ledger.digest import Digest, clean_text
from orc.ledger.files.modes import is_mode
from orc.ledger.kinds import FailureKind
from orc.scheduler.core.paths import path_problem
from orc.scheduler.executors.contract import (
    PROTOCOL,
    Broken,
    Ticket,
    Work,
    WorkFile,
    WorkOutcome,
)
from orc.worker.capture_rules import FILES_MAX

_TEXT_CHARS_MAX = 10_000
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_SIGNAL = re.compile(r"SIG[A-Z0-9+]{1,20}\Z|signal [0-9]{1,3}\Z")


class BadOutcome(Exception):
    """A worker's outcome does not have the form of one."""


def work_as_json(work: Work) -> dict[str, Any]:
    """The work as a JSON value."""
    found: dict[str, Any] = to_builtins(work)
    return found


def payload_of(
    ticket: Ticket,
    run: str,
    work: Work,
    contents: Mapping[str, bytes],
    *,
    lease_s: float,
    keep_s: float,
    shared: str | None = None,
) -> str:
    """One submission, as the agent of a worker reads it: ASCII, the same for the same copy.

    `shared` is the path of a folder that the worker shares with this machine.
    """
    return json.dumps(
        {
            "protocol": PROTOCOL,
            "ticket": str(ticket),
            "run": run,
            "work": work_as_json(work),
            "contents": {
                digest: base64.b64encode(content).decode() for digest, content in contents.items()
            },
            "lease_s": lease_s,
            "keep_s": keep_s,
            "shared": shared,
        },
        sort_keys=True,
        separators=(",", ":"),
    )


def outcome_of(value: Any) -> WorkOutcome:
    """The outcome that a worker reports. Raises BadOutcome."""
    if not isinstance(value, dict):
        raise BadOutcome("it is not a mapping")
    exit_code = value.get("exit_code")
    if exit_code is not None and (isinstance(exit_code, bool) or not isinstance(exit_code, int)):
        raise BadOutcome("exit_code")
    signal = value.get("signal")
    if signal is not None and not (isinstance(signal, str) and _SIGNAL.match(signal)):
        raise BadOutcome("signal")
    broken = None if value.get("broken") is None else _broken(value["broken"])
    if [exit_code, signal, broken].count(None) != 2:
        raise BadOutcome("it has not one end")
    warning = value.get("warning")
    return WorkOutcome(
        exit_code=exit_code,
        signal=signal,
        broken=broken,
        stdout=decode_bytes(value.get("stdout", "")),
        stderr_tail=decode_bytes(value.get("stderr_tail", "")),
        answer=None if value.get("answer") is None else decode_bytes(value["answer"]),
        warning=None if warning is None else _text(warning),
        files=_files(value.get("files", [])),
        artifacts=_files(value.get("artifacts", [])),
        folders=_folders(value.get("folders", [])),
        log_bytes=_count(value.get("log_bytes", 0)),
        log=None if value.get("log") is None else decode_bytes(value["log"]),
        duration_s=_seconds(value.get("duration_s", 0.0)),
        queued_s=_seconds(value.get("queued_s", 0.0)),
    )


def _broken(value: Any) -> Broken:
    if not isinstance(value, dict) or value.get("kind") not in get_args(FailureKind):
        raise BadOutcome("broken")
    return Broken(cast(FailureKind, value["kind"]), _text(value.get("message")))


def _files(value: Any) -> tuple[WorkFile, ...]:
    if not isinstance(value, list) or len(value) > FILES_MAX:
        raise BadOutcome("files")
    return tuple(map(_file, value))


def _folders(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > FILES_MAX:
        raise BadOutcome("folders")
    if not all(isinstance(path, str) and not path_problem(path) for path in value):
        raise BadOutcome("folders")
    return tuple(value)


def _file(value: Any) -> WorkFile:
    if not isinstance(value, dict):
        raise BadOutcome("files")
    path, digest, mode = value.get("path"), value.get("sha256"), value.get("mode")
    if not isinstance(path, str) or not isinstance(digest, str) or not _DIGEST.match(digest):
        raise BadOutcome("files")
    if mode is not None and not is_mode(mode):
        raise BadOutcome("files")
    return WorkFile(path, Digest(digest), _count(value.get("size_bytes")), mode)


def decode_bytes(value: Any) -> bytes:
    """Bytes from base64. Raises BadOutcome."""
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise BadOutcome("bytes") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadOutcome("text")
    return clean_text(value[:_TEXT_CHARS_MAX])


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise BadOutcome("number")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e10:
        raise BadOutcome("number")
    return float(value)
