"""Work and outcomes as JSON, as they travel between a coordinator and a worker.

The fields are those of `Work` and `WorkOutcome` in `scheduler/executors/contract.py`; bytes are
base64. A payload may come from a coordinator of another version, so that each field is checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orc.worker.capture_rules import path_problem
from orc.worker.declared import Declared
from orc.worker.file_modes import is_mode
from orc.worker.problems import RequestProblem

PROTOCOL = 2
"""The number of the contract; a coordinator with another number is refused."""

DIGEST = re.compile(r"[0-9a-f]{64}")
_RUN = re.compile(r"[0-9a-f]{8}")

_PLACES = ("work", "spec", "artifacts", "inputs")
_NAME = re.compile(r"[^=\0]+")


@dataclass(frozen=True, slots=True)
class FileItem:
    """A file by its path in a place, its content and its permission bits."""

    path: str
    sha256: str
    size_bytes: int
    mode: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "mode": self.mode,
        }


@dataclass(frozen=True, slots=True)
class Assignment:
    """One copy of an attempt: its names, what it does, and the contents that came with it."""

    ticket: str
    run: str
    kind: str
    argv: tuple[str, ...]
    function: str
    args: Mapping[str, Any]
    env: Mapping[str, str]
    places: Mapping[str, str]
    folder: str
    cwd: str
    inherited: tuple[str, ...]
    secrets: tuple[str, ...]
    inputs: tuple[FileItem, ...]
    shipped: tuple[FileItem, ...]
    globs: tuple[Declared, ...]
    folders: tuple[str, ...]
    file_bytes: int
    output_bytes: int
    log_bytes: int
    timeout_s: float | None
    grace_s: float
    resources: Mapping[str, float]
    contents: Mapping[str, bytes]
    keep_s: float
    lease_s: float
    shared: str | None = None

    @property
    def job_id(self) -> str:
        """The job to which the ticket belongs."""
        return self.ticket.partition("/")[0]


@dataclass(slots=True)
class Outcome:
    """How a copy ended.

    Besides the fields of `WorkOutcome`: `lost` says why there is no result (the lease was over), and
    `cancelled` that the coordinator ended the command. `log` is the whole log, if it is short.
    """

    exit_code: int | None = None
    signal: str | None = None
    broken: dict[str, str] | None = None
    stdout: bytes = b""
    stderr_tail: bytes = b""
    answer: bytes | None = None
    warning: str | None = None
    files: list[FileItem] = field(default_factory=list)
    artifacts: list[FileItem] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    log_bytes: int = 0
    log: bytes | None = None
    duration_s: float = 0.0
    queued_s: float = 0.0
    lost: str | None = None
    cancelled: bool = False

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {
            "exit_code": self.exit_code,
            "signal": self.signal,
            "broken": self.broken,
            "stdout": encode(self.stdout),
            "stderr_tail": encode(self.stderr_tail),
            "answer": None if self.answer is None else encode(self.answer),
            "warning": self.warning,
            "files": [file.to_json() for file in self.files],
            "artifacts": [file.to_json() for file in self.artifacts],
            "folders": self.folders,
            "log_bytes": self.log_bytes,
            "log": None if self.log is None else encode(self.log),
            "duration_s": self.duration_s,
            "queued_s": self.queued_s,
            "lost": self.lost,
            "cancelled": self.cancelled,
        }


def encode(content: bytes) -> str:
    """The bytes as base64."""
    return base64.b64encode(content).decode("ascii")


def decode(value: object) -> bytes:
    """Bytes, or base64 of them. Raises RequestProblem."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, str):
        raise _malformed("data")
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise _malformed("data") from None


def check_protocol(number: object) -> None:
    """Raises RequestProblem if the coordinator speaks another version of the contract."""
    if number != PROTOCOL:
        raise RequestProblem(
            "protocol",
            f"this worker speaks protocol {PROTOCOL} and the coordinator {number!r:.20}; install "
            "the same version of orc-ledger on both",
        )


def read_names(request: Mapping[str, Any]) -> tuple[str, str]:
    """The ticket and the run of a request. Raises RequestProblem."""
    ticket, run = request.get("ticket"), request.get("run")
    if not isinstance(ticket, str) or not ticket or len(ticket) > 1000:
        raise _malformed("ticket")
    if not isinstance(run, str) or not _RUN.fullmatch(run):
        raise _malformed("run")
    return ticket, run


def read_count(request: Mapping[str, Any], name: str) -> int:
    """A field of a request that is a whole number from 0. Raises RequestProblem."""
    value = request.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise RequestProblem("request", f"the field {name} of the request is not a count")
    return value


def read_payload(payload: bytes) -> Assignment:
    """The copy that a payload describes. Raises RequestProblem."""
    message = _message(payload)
    ticket, run = read_names(message)
    check_protocol(message.get("protocol"))
    work = _mapping(message, "work")
    limits = _mapping(work, "limits")
    kind = work.get("kind")
    if kind not in ("command", "function"):
        raise _malformed("kind")
    argv = _texts(work, "argv")
    function = work.get("function", "")
    if kind == "command" and not argv:
        raise _malformed("argv")
    if kind == "function" and not (isinstance(function, str) and ":" in function):
        raise _malformed("function")
    places = _text_mapping(work, "places")
    if not set(places.values()) <= set(_PLACES):
        raise _malformed("places")
    folder, cwd = work.get("folder", ""), work.get("cwd", "work")
    if not isinstance(folder, str) or (folder and path_problem(folder)):
        raise _malformed("folder")
    if cwd not in ("work", "spec"):
        raise _malformed("cwd")
    return Assignment(
        ticket=ticket,
        run=run,
        kind=kind,
        argv=argv,
        function=function,
        args=_mapping(work, "args"),
        env=_text_mapping(work, "env"),
        places=places,
        folder=folder,
        cwd=cwd,
        inherited=_texts(work, "inherited"),
        secrets=_texts(work, "secrets"),
        inputs=_files(work, "inputs"),
        shipped=_files(work, "shipped"),
        globs=_declared(work, "globs"),
        folders=_texts(work, "folders"),
        file_bytes=int(_number(limits, "file_bytes", 1 << 34)),
        output_bytes=int(_number(limits, "output_bytes", 1 << 20)),
        log_bytes=int(_number(limits, "log_bytes", 1 << 26)),
        timeout_s=None if work.get("timeout_s") is None else _number(work, "timeout_s", 0.0),
        grace_s=_number(work, "grace_s", 10.0),
        resources={
            str(name): _number({"": value}, "", 0.0)
            for name, value in _mapping(work, "resources").items()
        },
        contents=_contents(message),
        keep_s=_number(message, "keep_s", 86400.0),
        lease_s=max(0.1, _number(message, "lease_s", 30.0)),
        shared=_path(message, "shared"),
    )


def names_of(payload: bytes) -> tuple[str, str]:
    """The ticket and the run of a payload that is not valid otherwise. Raises RequestProblem."""
    return read_names(_message(payload))


def _message(payload: bytes) -> dict[str, Any]:
    try:
        message = json.loads(payload)
    except ValueError:
        raise _malformed("payload") from None
    if not isinstance(message, dict):
        raise _malformed("payload")
    return message


def _contents(message: Mapping[str, Any]) -> dict[str, bytes]:
    """The contents that came with the work; one whose digest is wrong counts as missing."""
    found = {}
    for sha256, encoded in _mapping(message, "contents").items():
        content = decode(encoded)
        if hashlib.sha256(content).hexdigest() == sha256:
            found[sha256] = content
    return found


def _files(work: Mapping[str, Any], name: str) -> tuple[FileItem, ...]:
    found = []
    for item in _list(work, name):
        if not isinstance(item, dict):
            raise _malformed(name)
        path, sha256, mode = item.get("path"), item.get("sha256"), item.get("mode")
        if not isinstance(path, str) or not isinstance(sha256, str):
            raise _malformed(name)
        if not DIGEST.fullmatch(sha256):
            raise _malformed(name)
        if mode is not None and not is_mode(mode):
            raise _malformed(name)
        found.append(FileItem(path, sha256, int(_number(item, "size_bytes", 0)), mode))
    return tuple(found)


def _declared(work: Mapping[str, Any], name: str) -> tuple[Declared, ...]:
    found = []
    for item in _list(work, name):
        if not isinstance(item, dict):
            raise _malformed(name)
        glob, required = item.get("glob"), item.get("required")
        if not isinstance(glob, str) or "\0" in glob or required not in ("no", "name", "yes"):
            raise _malformed(name)
        found.append(Declared(glob, required))
    return tuple(found)


def _path(message: Mapping[str, Any], name: str) -> str | None:
    value = message.get(name)
    if value is not None and not (
        isinstance(value, str) and value[:1] == "/" and "\0" not in value
    ):
        raise _malformed(name)
    return value


def _mapping(message: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = message.get(name, {})
    if not isinstance(value, dict):
        raise _malformed(name)
    return value


def _text_mapping(message: Mapping[str, Any], name: str) -> dict[str, str]:
    found = _mapping(message, name)
    for key, value in found.items():
        if not _NAME.fullmatch(key) or not isinstance(value, str) or "\0" in value:
            raise _malformed(name)
    return found


def _list(message: Mapping[str, Any], name: str) -> list[Any]:
    value = message.get(name, [])
    if not isinstance(value, list):
        raise _malformed(name)
    return value


def _texts(message: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = _list(message, name)
    if not all(isinstance(item, str) and "\0" not in item for item in found):
        raise _malformed(name)
    return tuple(found)


def _number(message: Mapping[str, Any], name: str, default: float) -> float:
    value = message.get(name, default)
    # NaN is not in order with any number.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        raise _malformed(name)
    return value


def _malformed(name: str) -> RequestProblem:
    return RequestProblem("request", f"the field {name!a} of the request is missing or not valid")
