"""How a file was made as a JSON value, for `orc blame --json`."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins

from orc.ledger import LedgerReader
from orc.ledger.definition import dump_step
from orc.projections.history.exchange import read_exchange
from orc.projections.history.lineage import Lineage


def blame_value(reader: LedgerReader, found: Lineage) -> dict[str, Any]:
    """How the file was made, as a JSON value with texts in full."""
    call, attempt = found.reply, found.attempt
    exchange = None if call is None else read_exchange(reader, call)
    is_here = found.making != "reused"
    step = {} if found.definition is None else dump_step(found.definition)
    return {
        "file": found.file._asdict(),
        "current": found.is_current,
        "lost": found.lost,
        "made": {
            "by": found.making,
            "origin": found.origin,
            "job_id": found.job.job_id if is_here else found.reused[-1].from_job,
            "project": found.job.name if is_here else None,
            "step": found.step.name if is_here else found.reused[-1].from_step,
            "kind": found.step.kind,
            "attempt": None if attempt is None else attempt.attempt,
            "event": found.version if is_here else found.reused[-1].from_version,
            "exit_code": exit_code_of(found),
            "run": step.get("run"),
            "function": step.get("function"),
        },
        "reused": [to_builtins(hop) for hop in found.reused],
        "call": None if call is None else call._asdict(),
        "exchange": None if exchange is None else to_builtins(exchange),
        "tool": None if found.tool is None else found.tool._asdict(),
        "attempt": None if attempt is None else attempt._asdict(),
        "spec": {
            "name": found.spec.source_name,
            "sha256": found.spec.source_sha256,
            "event": found.spec.version,
            "step": step,
            "lost": found.spec.lost,
        },
        "inputs": [to_builtins(source) for source in found.sources],
        "upstream": [
            {
                "step": source.step.name,
                "distance": source.distance,
                "files": [file._asdict() for file in source.files],
            }
            for source in found.upstream
        ],
        "upstream_total": found.upstream_total,
        "writings": [to_builtins(writing) for writing in found.writings],
        "same": [other._asdict() for other in found.same],
        "same_total": found.same_total,
    }


def exit_code_of(found: Lineage) -> int | None:
    """The exit code of the command that made the file; None if none did, or if it did not end."""
    if found.making != "command" or found.attempt is None:
        return None
    # The exit code of a successful command is not recorded: it is 0.
    return 0 if found.attempt.status == "succeeded" else found.attempt.exit_code
