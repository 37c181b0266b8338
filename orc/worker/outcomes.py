"""Outcomes that nobody has fetched yet: a large one waits on the disk, not in memory.

With a folder that the coordinator shares with its workers, an outcome is kept there, too.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orc.worker.confined import create_file, open_file
from orc.worker.masking import SecretMask
from orc.worker.problems import RequestProblem
from orc.worker.shared_files import SharedFiles, keep_all
from orc.worker.table import Copy
from orc.worker.wire import Outcome

OUTCOME_BYTES_MAX = 64 * 1024
"""A larger outcome is not part of the event `ended`; the coordinator asks for it."""
_NAME = "outcome"


def store_outcome(copy: Copy, spool: Path, outcome: Outcome) -> Outcome:
    """Put a large outcome into the spool; what of it stays in memory."""
    content = json.dumps(outcome.to_json()).encode()
    if len(content) <= OUTCOME_BYTES_MAX:
        return outcome
    try:
        with os.fdopen(create_file(spool, _NAME), "wb") as file:
            file.write(content)
    except OSError:
        # A disk without space does not lose the result.
        return outcome
    copy.is_stored = True
    return replace(outcome, stdout=b"", stderr_tail=b"", answer=None, log=None)


def whole_outcome(copy: Copy) -> dict[str, Any]:
    """The outcome of an ended copy, as JSON. Raises RequestProblem."""
    if copy.outcome is None:
        raise RequestProblem(copy.state, "the copy has no outcome")
    if not copy.is_stored or copy.spool is None:
        return copy.outcome.to_json()
    fd = open_file(copy.spool, _NAME)
    if fd is None:
        raise RequestProblem("path", "the outcome is not there any more")
    with os.fdopen(fd, "rb") as file:
        found: dict[str, Any] = json.load(file)
    return found


def say_ended(copy: Copy, ended: Copy) -> None:
    """Emit the event `ended` of a copy, which may be known under another submission of it."""
    if ended.outcome is None:
        return
    outcome = ended.outcome.to_json()
    is_large = ended.is_stored or len(json.dumps(outcome)) > OUTCOME_BYTES_MAX
    copy.say("ended", outcome=None if is_large else outcome)


def open_shared(copy: Copy) -> None:
    """Open the folder that the coordinator shares with this worker, if there is one."""
    if copy.work.shared is None:
        return
    try:
        copy.shared = SharedFiles.open(Path(copy.work.shared))
        copy.shared.check_job(copy.work.job_id)
    except RequestProblem as problem:
        copy.shared, copy.shared_problem = None, str(problem)


def keep_outcome(copy: Copy, spool: Path, outcome: Outcome) -> None:
    """Keep a result where it outlives this worker. What cannot be kept there is fetched from here."""
    if copy.shared is None or outcome.lost is not None or outcome.cancelled:
        return
    names = {"ticket": copy.work.ticket, "run": copy.work.run, "worker": copy.worker}
    with suppress(OSError):
        keep_all(copy.shared, names, outcome, spool, SecretMask(copy.secrets))
