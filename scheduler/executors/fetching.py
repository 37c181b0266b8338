"""Puts what an ended copy left into the folders of its attempt, where a local one would have left it."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from orc.ledger import failpoints
from orc.ledger.files.modes import restored_bits
from orc.ledger.scarcity import describe_system_error
from orc.scheduler.executors.contract import Attempt, Broken, Engine, Placement, WorkOutcome

if TYPE_CHECKING:
    from orc.scheduler.executors.kept_outcomes import KeptOutcomes


_PIECE_BYTES = 1 << 20


async def fetch_result(
    engine: Engine,
    kept: KeptOutcomes | None,
    attempt: Attempt,
    placed: Placement,
    reported: WorkOutcome | None = None,
) -> WorkOutcome:
    """Fetch the files and the log of an ended copy, by `kept` if they are there.

    `reported` is the outcome, if its worker has sent it: most have nothing that must be fetched. Raises
    Lost, EngineProblem.
    """
    if reported is not None and reported.is_whole:
        return _take_whole(attempt, reported)

    async def fetch(folder: Path) -> WorkOutcome:
        return await engine.fetch(attempt.ticket, placed.run, placed.worker, folder)

    if kept is not None:
        outcome = await fetch_kept(kept, attempt, placed)
        if outcome is not None:
            return outcome
    fetched = await _place(attempt, fetch)
    assert fetched is not None
    return fetched


async def fetch_kept(kept: KeptOutcomes, attempt: Attempt, placed: Placement) -> WorkOutcome | None:
    """The same for a copy whose worker may be gone; None if nothing of it is kept."""

    async def fetch(folder: Path) -> WorkOutcome | None:
        return await kept.take(attempt.ticket, placed, folder)

    return await _place(attempt, fetch)


def _take_whole(attempt: Attempt, outcome: WorkOutcome) -> WorkOutcome:
    failpoints.hit("fetch.midway")
    try:
        attempt.take_log([outcome.log or b""])
    except OSError as error:
        return _not_stored(error)
    return outcome


async def _place(
    attempt: Attempt, fetch: Callable[[Path], Awaitable[WorkOutcome | None]]
) -> WorkOutcome | None:
    """Put what `fetch` writes into a folder where it belongs."""
    work, artifacts = Path(attempt.places["work"]), Path(attempt.places["artifacts"])
    folder = work.with_name(f"{work.name}.fetched")
    try:
        await trio.to_thread.run_sync(_make_empty, folder)
        outcome = await fetch(folder)
        if outcome is None:
            return None
        failpoints.hit("fetch.midway")
        await trio.to_thread.run_sync(_move, folder, work, artifacts, outcome)
        await trio.to_thread.run_sync(_take_log, attempt, outcome, folder / "log")
    except OSError as error:
        return _not_stored(error)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
    return outcome


def _take_log(attempt: Attempt, outcome: WorkOutcome, file: Path) -> None:
    if outcome.log is not None:
        attempt.take_log([outcome.log])
    elif file.is_file():
        with open(file, "rb", buffering=0) as log:
            attempt.take_log(iter(partial(log.read, _PIECE_BYTES), b""))


def _not_stored(error: OSError) -> WorkOutcome:
    message = f"the result could not be stored here: {describe_system_error(error)}"
    return WorkOutcome(broken=Broken("environment", message))


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _move(folder: Path, work: Path, artifacts: Path, outcome: WorkOutcome) -> None:
    """Put the fetched files where those of a local attempt lie, with their modes."""
    for name, files, place in (
        ("work", outcome.files, work),
        ("artifacts", outcome.artifacts, artifacts),
    ):
        for file in files:
            (folder / name / file.path).chmod(restored_bits(file.mode))
        if (folder / name).is_dir():
            shutil.rmtree(place, ignore_errors=True)
            (folder / name).rename(place)
