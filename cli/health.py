"""What `orc doctor` looks at: versions, the linked SQLite, the ledger, the providers."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

_PACKAGES = (
    "pydantic", "sqlite-utils", "trio", "httpx", "tenacity", "typer", "datasette",
    "openai", "anthropic", "mlx-lm",
)  # fmt: skip
_WAL_WARN_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "note", "bad"]
    name: str
    message: str

    def as_json(self) -> dict[str, str]:
        """As a JSON value."""
        return {"level": self.level, "name": self.name, "message": self.message}


def examine(database: Path, environment: Mapping[str, str]) -> list[Finding]:
    """Everything, in the order in which it is shown; nothing is changed."""
    return [
        Finding("ok", "python", f"{sys.version.split()[0]} on {sys.platform}"),
        _sqlite(),
        *_packages(),
        *_ledger(database),
        *_providers(environment),
    ]


def has_wal_reset_bug(found: tuple[int, ...]) -> bool:
    """Whether that SQLite can lose a commit beside a checkpoint (3.7.0 to 3.51.2, but for backports)."""
    if found >= (3, 51, 3) or found < (3, 7, 0):
        return False
    return not ((3, 50, 7) <= found < (3, 51, 0) or (3, 44, 6) <= found < (3, 45, 0))


def _sqlite() -> Finding:
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < (3, 37, 0):
        return Finding("bad", "sqlite", f"{found}: too old, STRICT tables need 3.37")
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        return Finding(
            "ok", "sqlite", f"{found}: has the WAL-reset bug, which orc's write lock guards against"
        )
    return Finding("ok", "sqlite", found)


def _packages() -> list[Finding]:
    findings = []
    for name in _PACKAGES:
        try:
            findings.append(Finding("ok", name, version(name)))
        except PackageNotFoundError:
            level: Literal["note", "bad"] = "note" if name == "mlx-lm" else "bad"
            hint = "not installed (pip install 'orc[mlx]')" if name == "mlx-lm" else "missing"
            findings.append(Finding(level, name, hint))
    return findings


def _ledger(database: Path) -> list[Finding]:
    from ledger import LedgerError, connect_reader

    if not database.exists():
        return [Finding("note", "ledger", f"none at {database} yet")]
    try:
        connection = connect_reader(database)
    except LedgerError as error:
        return [Finding("bad", "ledger", str(error))]
    try:
        jobs = connection.execute("SELECT count(*) FROM events WHERE version = 1").fetchone()[0]
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    finally:
        connection.close()
    findings = [Finding("ok", "ledger", f"{database}: {jobs} jobs, journal mode {mode}")]
    if os.stat(database).st_mode & 0o077:
        findings.append(Finding("note", "ledger", "others may read it: chmod 600"))
    wal = database.with_name(database.name + "-wal")
    if wal.exists() and wal.stat().st_size > _WAL_WARN_BYTES:
        findings.append(Finding("note", "ledger", "a long reader keeps its -wal file growing"))
    return findings


def _providers(environment: Mapping[str, str]) -> list[Finding]:
    from providers import REGISTRY

    findings = []
    for entry in REGISTRY.values():
        if entry.module is None:
            findings.append(Finding("note", entry.name, "not supported yet"))
        elif entry.name == "ollama":
            findings.append(_ollama(environment))
        else:
            findings.append(Finding("ok", entry.name, "ready"))
    return findings


def _ollama(environment: Mapping[str, str]) -> Finding:
    import httpx

    base = environment.get("OLLAMA_BASE_URL") or "http://localhost:11434"
    try:
        answer = httpx.get(f"{base.rstrip('/')}/api/tags", timeout=2.0)
        models = [str(model["name"]) for model in answer.json()["models"]]
    except Exception:
        return Finding("note", "ollama", "does not answer; start it with `ollama serve`")
    return Finding("ok", "ollama", f"answers; models: {', '.join(models[:20]) or 'none'}")
