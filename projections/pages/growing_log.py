"""What a running attempt has printed so far: the end of its log in the run folder."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from orc.ledger.files.folder import Folder
from orc.ledger.files.run_places import noted_folder
from orc.ledger.step_names import log_name
from orc.projections.history.turns import TEXT_CHARS, AttemptTurn, ShownText


def with_growing_log(
    turns: list[AttemptTurn], database: Path, job_id: str, step: str
) -> list[AttemptTurn]:
    """The attempts, of which the one that runs has its log so far, if it has printed something."""
    return [
        replace(turn, log=log, is_growing=True)
        if turn.state == "running" and (log := _read(database, job_id, step, turn.row.attempt))
        else turn
        for turn in turns
    ]


def growing_size(database: Path, job_id: str, step: str, attempt: int) -> int:
    """The size of the log of an attempt in the run folder, in bytes; 0 if there is none."""
    try:
        found = _folder(database, job_id).stat(f"logs/{log_name(step, attempt)}")
    except OSError:
        return 0
    return 0 if found is None else found.st_size


def _read(database: Path, job_id: str, step: str, attempt: int) -> ShownText | None:
    size = growing_size(database, job_id, step, attempt)
    if not size:
        return None
    begin = max(0, size - TEXT_CHARS)
    name = f"logs/{log_name(step, attempt)}"
    try:
        content = _folder(database, job_id).read(name, size_max=TEXT_CHARS, offset=begin)
    except OSError:
        return None
    # Of a log that is cut, the first line is not whole.
    text = (content or b"").decode("utf-8", "replace")
    text = text.partition("\n")[2] or text if begin else text
    return ShownText(text, size if begin else len(text))


def _folder(database: Path, job_id: str) -> Folder:
    return Folder(noted_folder(database, job_id) or database.parent / "runs" / job_id)
