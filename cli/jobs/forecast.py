"""What a run of a spec would do with each step, as far as it follows from the ledger and the rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import trio
from msgspec.structs import replace

from orc.about import version
from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.jobs.caller.providers import build_providers
from orc.cli.jobs.caller.secrets import read_mask
from orc.cli.jobs.owned_job import owner_here
from orc.ledger import LedgerReader, open_ledger
from orc.ledger.definition import JobDef
from orc.ledger.digest import Digest
from orc.ledger.events import JobId, JobSubmitted, Payload
from orc.ledger.files.file_store import FileStore
from orc.ledger.files.private_folder import PLAN, PrivateFolder
from orc.ledger.secrets.masking import Mask
from orc.projections.caches.replies import ReplyCache
from orc.projections.caches.results import ResultCache
from orc.projections.tables.projector import ReadModel
from orc.providers import Provider
from orc.scheduler.attempt_context import AttemptContext
from orc.scheduler.core.commands import StartJob, SubmitJob
from orc.scheduler.core.fold.evolve import initial_state
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.effects.groups import ProcessGroups
from orc.scheduler.effects.python import WorkerPool
from orc.scheduler.folders.workspace import Workspace
from orc.scheduler.forecast import Forecast, ReaderWithBlobs, StepForecast, UnsentJournal
from orc.scheduler.placing import PlacingJournal
from orc.scheduler.rendering import Renderer

_JOB = JobId("job_000000000000")
_NO_LIMIT = 1_000_000_000


def forecast_run(
    definition: JobDef,
    ledger: LedgerReader | None,
    *,
    environment: Mapping[str, str],
    spec_dir: Path,
    blobs: Mapping[Digest, bytes],
    read: Callable[[str], bytes | None],
) -> dict[str, StepForecast]:
    """What a new job with this definition would do, by the ids of the spec's steps.

    `blobs` are the files that the definition names, by digest; `read` gives the contents of inputs.
    `ledger` is None if there is none.
    The servers of steps with `cache: ledger` may be asked for the identity of their models. Raises
    LedgerError.
    """
    with PrivateFolder(PLAN) as folder:
        path = folder / "runs.db"
        # A secret that is missing hides nothing; the run would be refused.
        mask = read_mask(definition, environment, steps=())
        if ledger is None:
            open_ledger(path, projector=ReadModel(), mask=mask).close()
            with LedgerReader.open(path) as empty:
                return _forecast(definition, empty, path, environment, spec_dir, blobs, read, mask)
        return _forecast(definition, ledger, path, environment, spec_dir, blobs, read, mask)


def _forecast(
    definition: JobDef,
    ledger: LedgerReader,
    path: Path,
    environment: Mapping[str, str],
    spec_dir: Path,
    blobs: Mapping[Digest, bytes],
    read: Callable[[str], bytes | None],
    mask: Mask,
) -> dict[str, StepForecast]:
    # The limits say when a step runs, and not whether.
    definition = replace(definition, concurrency={"total": _NO_LIMIT})
    state = initial_state(definition, build_graph(definition.steps))
    made: dict[str, bytes] = {str(digest): blob for digest, blob in blobs.items()}
    reader = ReaderWithBlobs(ledger, made, read)
    workspace = Workspace(path.parent / "run", project=state.project, ledger=reader, mask=mask)
    groups = ProcessGroups()

    async def follow() -> dict[str, StepForecast]:
        send, _ = trio.open_memory_channel[Any](0)
        providers = _providers_of(definition, environment)
        context = AttemptContext(
            state=state,
            renderer=Renderer(
                state,
                ledger=reader,
                workspace=workspace,
                environment=environment,
                job_id=_JOB,
                mask=mask,
            ),
            workspace=workspace,
            providers=providers,
            groups=groups,
            workers=WorkerPool(groups, mask=mask),
            executors={},
            placing=PlacingJournal(state, send),
            database=ledger.path,
            journal=UnsentJournal(),
            on_delta=lambda step, text: None,
            mask=mask,
            store=FileStore(path),
            cache=ReplyCache(ledger, _JOB),
        )
        forecast = Forecast(_JOB, context, results=ResultCache(ledger, _JOB), blobs=made)
        try:
            await forecast.follow(
                SubmitJob(_submitted(definition, spec_dir)), StartJob(owner_here())
            )
        finally:
            for provider in providers.values():
                await provider.aclose()
        return {
            step.id: StepForecast(forecast.verdict(step.id), forecast.items(step.id))
            for step in definition.steps
        }

    return _in_trio(follow)


def _in_trio(follow: Callable[[], Awaitable[dict[str, StepForecast]]]) -> dict[str, StepForecast]:
    """The result of a coroutine function, also for a caller inside a trio run."""
    if not trio.lowlevel.in_trio_run():
        return trio.run(follow)
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(trio.run, follow).result()


def _submitted(definition: JobDef, spec_dir: Path) -> JobSubmitted:
    nothing = Payload()
    return JobSubmitted(
        project=definition.project,
        spec=nothing,
        source=nothing,
        source_name="",
        spec_dir=str(spec_dir),
        submit_dir="",
        runs_dir="",
        inputs=nothing,
        orc_version=version(),
    )


def _providers_of(definition: JobDef, environment: Mapping[str, str]) -> dict[str, Provider]:
    """The providers of the job; none if one cannot be used: a run would be refused then."""
    try:
        return build_providers(definition, environment, replies=None)
    except (EnvironmentProblem, UsageProblem):
        return {}
