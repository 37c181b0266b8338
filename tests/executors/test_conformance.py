"""Every case of the contract on every executor: here, on agents in this process, and on a cluster."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from orc.ledger.digest import Digest
from orc.ledger.files.modes import mode_of
from orc.ledger.secrets.masking import Mask
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.executors.contract import Engine, Work, WorkFile, WorkOutcome
from orc.scheduler.executors.driver import open_engine
from orc.scheduler.executors.kept_outcomes import KeptOutcomes
from orc.scheduler.executors.local import LocalExecutor
from orc.scheduler.executors.remote import RemoteExecutor
from orc.scheduler.folders.globs import Globs
from orc.scheduler.folders.work_folder import WorkFolder
from orc.worker.shared_files import SharedFiles
from tests.executors.clusters import LEASE_S, needs_dask
from tests.executors.conformance import (
    CASES,
    FAULTS,
    GRACE_S,
    MODULE,
    SECRET,
    Case,
    Given,
    Seen,
    check_case,
)
from tests.executors.loopback_engine import open_loopback
from tests.processes import needs_proc, new_marker, processes_with, wait_for

LIMIT_S = 60.0
AT_ONCE = 4
STANDS = ["local", "loopback", "shared", pytest.param("dask", marks=needs_dask)]


@pytest.fixture(autouse=True)
def _a_stray_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_STRAY", "stray")


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Any:
    """The shared cluster for a stand on it; else nothing."""
    is_needed = request.node.callspec.params.get("stand") == "dask"
    return request.getfixturevalue("shared_cluster") if is_needed else None


@asynccontextmanager
async def executing(stand: str, folder: Path, cluster: Any) -> AsyncIterator[Any]:
    """The executor of a stand."""
    if stand == "local":
        mask = Mask({"KEY": SECRET})
        groups = ProcessGroups(grace_s=GRACE_S)
        workers = WorkerPool(groups, mask=mask)
        try:
            yield LocalExecutor(
                groups=groups, workers=workers, environment=dict(os.environ), mask=mask
            )
        finally:
            with trio.CancelScope(shield=True):
                await workers.aclose()
            groups.close()
        return
    opened: Any
    kept = None
    if stand == "shared":
        kept = KeptOutcomes(SharedFiles.open(folder / "shared"))
    if stand == "dask":
        opened = open_engine("dask", cluster.site(), lease_s=LEASE_S)
    else:
        opened = open_loopback(folder / "worker", kept=kept)
    async with opened as engine, trio.open_nursery() as nursery:
        remote: Engine = engine
        executor = RemoteExecutor("there", remote, kept=kept)
        await nursery.start(executor.run)
        yield executor
        nursery.cancel_scope.cancel()


async def perform(executor: Any, given: Given, work: Work) -> Seen:
    """Perform an attempt as the scheduler does: with its folders, and with its files at the end."""
    given.folder.mkdir()
    is_local = isinstance(executor, LocalExecutor)
    work_folder = WorkFolder(given.places["work"], given.places["artifacts"])
    work_folder.create()
    spec, made_in, root = (Path(given.places[name]) for name in ("spec", "work", "artifacts"))
    spec.mkdir()
    if is_local:
        (spec / "steps.py").write_text(MODULE)
        for file in work.inputs:
            content = given.contents[file.sha256]
            work_folder.place(file.path, file.sha256, [content], file.mode)
    work_folder.begin()
    with trio.fail_after(LIMIT_S):
        outcome: WorkOutcome = await executor.perform(given, work)
    if is_local and outcome.exit_code == 0:
        outcome = _captured(outcome, work_folder, work)
    made = {file.path: (made_in / file.path).read_bytes() for file in outcome.files}
    artifacts = {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    log_path = Path(given.log_path)
    log = log_path.read_bytes() if log_path.exists() else b""
    if not is_local:
        await executor.forget(given.ticket)
    return Seen(outcome, made, artifacts, log)


def _captured(outcome: WorkOutcome, folder: WorkFolder, work: Work) -> WorkOutcome:
    """Locally, the scheduler captures the files, and not the executor."""
    files = [
        WorkFile(path, Digest(""), 0, mode_of((folder.path / path).stat()))
        for path in folder.made(Globs([entry.glob for entry in work.globs]))
    ]
    return replace(outcome, files=tuple(files))


@pytest.mark.parametrize("stand", STANDS)
async def test_work_ends_the_same_wherever_it_is_performed(
    stand: str, cluster: Any, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """Some cases at a time, as in a job: many of them wait, and starting an executor takes long."""
    seen: dict[str, tuple[Given, Seen]] = {}
    slots = trio.CapacityLimiter(AT_ONCE)

    async def see(number: int, case: Case) -> None:
        async with slots:
            given, work = case.given(tmp_path / f"attempt-{number}", f"step{number}")
            seen[case.name] = given, await perform(executor, given, work)

    async with executing(stand, tmp_path, cluster) as executor, trio.open_nursery() as nursery:
        for number, case in enumerate(CASES):
            nursery.start_soon(see, number, case)
    for case in CASES:
        with subtests.test(case.name):
            given, found = seen[case.name]
            if (stand, case.name) in FAULTS:
                with pytest.raises(AssertionError):
                    check_case(case, found, stand=stand)
                continue
            check_case(case, found, stand=stand)
            if stand != "local":
                assert given.commits == ["placed"]
                assert bytes(given.shown) == found.log[: len(given.shown)]


@needs_proc
@pytest.mark.parametrize(
    "script", ["sleep 300 & wait", "trap '' TERM; sleep 300 & wait; sleep 300"]
)
@pytest.mark.parametrize("stand", STANDS)
async def test_a_cancelled_command_is_dead_when_perform_returns(
    stand: str, script: str, cluster: Any, tmp_path: Path
) -> None:
    marker = new_marker()
    case = Case("cancelled", script, work={"env": {"MARKER": marker}})
    given, work = case.given(tmp_path / "attempt", f"cancelled{len(script)}")
    async with executing(stand, tmp_path, cluster) as executor:
        with trio.fail_after(LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(perform, executor, given, work)
                await wait_for(lambda: processes_with(marker))
                nursery.cancel_scope.cancel()
        # A process that was killed may need a moment.
        await wait_for(lambda: not processes_with(marker), within_s=2.0)
