"""Takes what was fetched from a worker, if it is what the worker says: digests, sizes and paths."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from orc.ledger.digest import clean_text
from orc.scheduler.core.paths import path_problem
from orc.scheduler.executors.contract import Broken, Lost, WorkFile, WorkOutcome
from orc.scheduler.executors.wire import BadOutcome, outcome_of


def take_files(value: Any, parts: Path, folder: Path) -> WorkOutcome:
    """Move what was fetched to its places, if it is what the outcome says. Raises Lost."""
    reason = lost_reason(value)
    if reason is not None:
        raise Lost(reason)
    outcome = checked_outcome(value)
    if outcome.broken is not None and outcome.broken.kind == "protocol":
        return outcome
    if outcome.log is None:
        os.replace(parts / "0", folder / "log")
    places = [("work", file) for file in outcome.files]
    places += [("artifacts", file) for file in outcome.artifacts]
    for number, (place, file) in enumerate(places, 1):
        part = parts / str(number)
        wrong = _find_wrong(file, part)
        if wrong is None:
            target = folder / place / file.path
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(part, target)
            except OSError as error:
                wrong = Broken("path", f"{error.strerror}")
        if wrong is not None:
            shutil.rmtree(folder / "work", ignore_errors=True)
            shutil.rmtree(folder / "artifacts", ignore_errors=True)
            shown = clean_text(file.path)[:200]
            return WorkOutcome(
                broken=Broken(wrong.kind, f"the worker's file {shown!r}: {wrong.message}")
            )
    for path in outcome.folders:
        try:
            (folder / "work" / path).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            shown = clean_text(path)[:200]
            message = f"the worker's folder {shown!r}: {error.strerror}"
            return WorkOutcome(broken=Broken("path", message))
    return outcome


def lost_reason(value: Any) -> str | None:
    """Why an outcome is none: its command was ended when the lease was over. None if it is one."""
    reason = value.get("lost") if isinstance(value, dict) else None
    return None if reason is None else clean_text(str(reason))[:1000]


def checked_outcome(value: Any) -> WorkOutcome:
    """The outcome that a worker reports; one that is not valid is a failure of the attempt."""
    try:
        return outcome_of(value)
    except BadOutcome as error:
        return WorkOutcome(broken=Broken("protocol", f"the worker's outcome is not valid: {error}"))


def _find_wrong(file: WorkFile, part: Path) -> Broken | None:
    problem = path_problem(file.path)
    if problem:
        return Broken("path", problem)
    digest = hashlib.sha256()
    size = 0
    with open(part, "rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    if size != file.size_bytes:
        return Broken("protocol", "it does not have the size that the worker names")
    if digest.hexdigest() != file.sha256:
        return Broken("protocol", "it does not have the digest that the worker names")
    return None
