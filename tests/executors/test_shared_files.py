"""Results in a folder that the workers share with the coordinator: they outlive the workers."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from orc.scheduler.executors import lease_wait
from orc.scheduler.executors.contract import (
    Census,
    Dropped,
    EngineEvent,
    EngineLost,
    Gone,
    Lost,
    Ticket,
    WorkOutcome,
)
from orc.scheduler.executors.kept_outcomes import KeptOutcomes
from orc.scheduler.executors.remote import RemoteExecutor
from orc.worker.problems import RequestProblem
from orc.worker.shared_files import SharedFiles
from tests.executors.conformance import SECRET, Case, Given
from tests.executors.loopback_engine import LoopbackEngine

LEASE_S = 1.0
LARGE = os.urandom(200_000)


@pytest.fixture(autouse=True)
def short_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers here really are gone: nothing is to be waited for after the lease."""
    monkeypatch.setattr(lease_wait, "MARGIN_S", 0.1)


class DyingEngine(LoopbackEngine):
    """Its worker dies when a copy has ended: nobody hears of the end."""

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "ended":
            self._send.send_nowait(Gone("w1"))
        else:
            super()._take(event)

    async def count(self, job_id: str) -> Census | None:
        return None

    async def fetch(self, ticket: Ticket, run: str, worker: str, folder: Path) -> WorkOutcome:
        raise Lost("the worker is gone")


@asynccontextmanager
async def stand(
    folder: Path, *, shared: bool = True, engine_type: type[DyingEngine] | None = None
) -> AsyncIterator[tuple[RemoteExecutor, LoopbackEngine]]:
    """An executor on such an engine."""
    kept = KeptOutcomes(SharedFiles.open(folder / "shared")) if shared else None
    engine = (engine_type or DyingEngine)(folder / "worker", lease_s=LEASE_S, kept=kept)
    executor = RemoteExecutor("there", engine, kept=kept, census_s=60.0)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(executor.run)
            yield executor, engine
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await engine.close()


async def perform(executor: RemoteExecutor, folder: Path, case: Case) -> tuple[Given, WorkOutcome]:
    given, work = case.given(folder / "attempt", "step")
    for path in given.places.values():
        Path(path).mkdir(parents=True)
    with trio.fail_after(30):
        return given, await executor.perform(given, work)  # type: ignore[arg-type]


CASE = Case(
    "results",
    'cmp large large; printf made > out.txt; mkdir -p d; cp large "$ORC_ARTIFACTS/art"; '
    'printf "%s in a file" "$KEY" > key.txt; chmod 755 key.txt; echo printed "$KEY"',
    files={"large": LARGE},
    work={"globs": ("*.txt", "d/")},
    secrets={"KEY": SECRET},
)


async def test_a_worker_that_dies_before_the_fetch_loses_no_result(tmp_path: Path) -> None:
    async with stand(tmp_path) as (executor, engine):
        given, outcome = await perform(executor, tmp_path, CASE)
        assert outcome.exit_code == 0
        work = Path(given.places["work"])
        assert (work / "out.txt").read_bytes() == b"made"
        assert (work / "d").is_dir()
        assert {file.path: file.mode for file in outcome.files} == {
            "key.txt": "755",
            "out.txt": None,
        }
        assert (Path(given.places["artifacts"]) / "art").read_bytes() == LARGE
        assert b"printed" in Path(given.log_path).read_bytes()
        # The large input was there for the worker: nothing was sent over the network.
        assert engine._agent._cache.missing([CASE.given(tmp_path, "s")[1].inputs[0].sha256])

        files = [path for path in (tmp_path / "shared").rglob("*") if path.is_file()]
        assert files
        for path in files:
            assert SECRET.encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o777 == 0o600
        for path in (tmp_path / "shared").rglob("*"):
            assert not path.stat().st_mode & 0o077

        (tmp_path / "shared/jobs/other").mkdir()
        await executor.forget(given.ticket)
        assert not list((tmp_path / "shared").glob("jobs/job-1/outcomes/*"))
        await executor.end_job("job-1")
        assert os.listdir(tmp_path / "shared/jobs") == ["other"]


async def test_without_a_shared_folder_that_result_is_lost(tmp_path: Path) -> None:
    async with stand(tmp_path, shared=False) as (executor, _):
        with pytest.raises(Lost):
            await perform(executor, tmp_path, Case("x", "true"))


@pytest.mark.parametrize(
    "said",
    [
        lambda event: EngineLost("it has not answered for too long", final=True),
        lambda event: Dropped(event["ticket"], event["run"], "w1", "its process was new"),
    ],
    ids=["the engine is gone for good", "the worker was started again"],
)
async def test_whatever_the_end_of_the_worker_is_called_the_result_counts(
    tmp_path: Path, said: Callable[[dict[str, Any]], EngineEvent]
) -> None:
    class Another(DyingEngine):
        def _take(self, event: dict[str, Any]) -> None:
            if event["event"] == "ended":
                self._send.send_nowait(said(event))
            else:
                super()._take(event)

    async with stand(tmp_path, engine_type=Another) as (executor, _):
        _, outcome = await perform(executor, tmp_path, Case("x", "true"))
    assert outcome.exit_code == 0


def change_a_content(shared: Path) -> None:
    for path in shared.glob("jobs/*/blobs/*/*"):
        path.write_bytes(b"forged")


def remove_a_content(shared: Path) -> None:
    for path in shared.glob("jobs/*/blobs/*/*"):
        path.unlink()


def link_a_content(shared: Path) -> None:
    for path in shared.glob("jobs/*/blobs/*/*"):
        path.unlink()
        path.symlink_to("/etc/hostname")


def change_outcome(**changes: object) -> Callable[[Path], None]:
    def change(shared: Path) -> None:
        for path in shared.glob("jobs/*/outcomes/*"):
            path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def break_outcome(shared: Path) -> None:
    for path in shared.glob("jobs/*/outcomes/*"):
        path.write_text("{")


@pytest.mark.parametrize(
    "spoil",
    [
        change_a_content,
        remove_a_content,
        link_a_content,
        break_outcome,
        change_outcome(run="00000000"),
        change_outcome(worker="w2"),
        change_outcome(ticket="job-1/step/2"),
        change_outcome(log="../../etc/passwd"),
        change_outcome(outcome={"lost": "the lease was over"}),
    ],
    ids=lambda spoil: spoil.__name__,
)
async def test_what_is_in_the_folder_is_not_trusted(
    tmp_path: Path, spoil: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not exactly the result of the placed copy is no result."""
    kept = KeptOutcomes(SharedFiles.open(tmp_path / "shared"))
    take = kept._take

    def spoil_first(*arguments: object) -> WorkOutcome | None:
        spoil(tmp_path / "shared")
        return take(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(kept, "_take", spoil_first)
    async with stand(tmp_path) as (executor, engine):
        executor.kept = engine.kept = kept

        with pytest.raises(Lost):
            await perform(executor, tmp_path, Case("x", "echo x > a", work={"globs": ("a",)}))


async def test_an_outcome_with_a_path_outside_of_the_folder_fails_the_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def escape(shared: Path) -> None:
        for path in shared.glob("jobs/*/outcomes/*"):
            found = json.loads(path.read_text())
            found["outcome"]["files"][0]["path"] = "../../escaped"
            path.write_text(json.dumps(found))

    kept = KeptOutcomes(SharedFiles.open(tmp_path / "shared"))
    take = kept._take

    def escape_first(*arguments: object) -> WorkOutcome | None:
        escape(tmp_path / "shared")
        return take(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(kept, "_take", escape_first)
    async with stand(tmp_path) as (executor, engine):
        executor.kept = engine.kept = kept
        case = Case("x", "echo x > a", work={"globs": ("a",)})
        _, outcome = await perform(executor, tmp_path, case)
    assert outcome.broken is not None
    assert outcome.broken.kind == "path"
    assert not list(tmp_path.rglob("escaped"))


async def test_a_worker_that_cannot_use_the_folder_starts_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with stand(tmp_path) as (executor, engine):
        (tmp_path / "shared").chmod(0o755)
        with pytest.raises(Lost):
            await perform(executor, tmp_path, Case("x", f"touch {mark}"))
        (copy,) = engine._agent._table.of_job("job-1")
    assert copy.outcome is not None
    assert copy.outcome.broken is not None
    assert copy.outcome.broken["kind"] == "environment"
    assert copy.outcome.broken["message"].startswith("loopback: the shared folder")
    assert not mark.exists()


def a_file(folder: Path) -> None:
    folder.write_text("")


def a_link(folder: Path) -> None:
    folder.with_name("target").mkdir(mode=0o700)
    folder.symlink_to(folder.with_name("target"))


def an_open_folder(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o770)


def no_parent(folder: Path) -> None:
    folder.parent.rmdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (a_file, "is not a folder"),
        (a_link, "is not a folder"),
        (an_open_folder, "can be used by other users; run `chmod 700"),
        (no_parent, "cannot be used: No such file or directory"),
    ],
)
def test_a_folder_that_others_could_change_is_refused_with_a_sentence(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "around/shared"
    folder.parent.mkdir()
    make(folder)
    with pytest.raises(RequestProblem, match=said):
        SharedFiles.open(folder)


def test_the_id_of_a_job_cannot_leave_the_folder(tmp_path: Path) -> None:
    shared = SharedFiles.open(tmp_path / "shared")
    for job in ("..", "a/b", "", ".", "a\0"):
        with pytest.raises(RequestProblem):
            shared.has(job, "0" * 64)
        with pytest.raises(RequestProblem):
            shared.remove_job(job)
