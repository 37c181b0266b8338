"""`orc.submit` and `orc.work`: the queue from Python."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import orc
from tests.cli.command_line import FAILING, PASSING, write
from tests.processes import wait_for


def test_a_worker_counts_how_the_jobs_ended(here: Path) -> None:
    jobs = [orc.submit(write(f"{n}.yaml", spec)) for n, spec in enumerate((PASSING, FAILING))]
    assert [job.status for job in jobs] == ["queued", "queued"]
    assert {job.job_id for job in orc.jobs(statuses="queued")} == {job.job_id for job in jobs}
    assert orc.work(stop_when_empty=True, jobs=2).ended == {"succeeded": 1, "failed": 1}
    assert orc.work(stop_when_empty=True).ended == {}


def test_jobs_that_cannot_run_here_are_named_with_the_reason(here: Path) -> None:
    spec = "project: p\nsteps: {a: {run: 'true', secrets: [QUEUE_TOKEN]}}\n"
    job = orc.submit(write("spec.yaml", spec))
    worked = orc.work(stop_when_empty=True)
    assert list(worked.left) == [job.job_id]
    assert "QUEUE_TOKEN" in worked.left[job.job_id]
    with pytest.raises(orc.EnvironmentProblem, match="QUEUE_TOKEN"):
        orc.submit("spec.yaml", strict=True)


def test_submit_takes_the_steps_to_run(here: Path) -> None:
    job = orc.submit(write("spec.yaml", PASSING), until="first")
    assert orc.work(stop_when_empty=True).ended == {"interrupted": 1}
    assert [step.status for step in orc.job(job.job_id).steps] == ["succeeded", "pending"]


@pytest.mark.parametrize("options", [{"jobs": 0}, {"jobs": 1000}, {"for_s": 0.0}, {"for_s": -1.0}])
def test_a_wrong_option_is_refused(here: Path, options: dict[str, float]) -> None:
    orc.submit(write("spec.yaml", PASSING))
    with pytest.raises(orc.UsageProblem):
        orc.work(**options)  # type: ignore[arg-type]  # by name, from a table


async def test_a_worker_runs_under_trio_beside_other_tasks(here: Path) -> None:
    spec = write("spec.yaml", PASSING)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            first = await orc.submit_async(spec)
            nursery.start_soon(lambda: orc.work_async(for_s=3600.0))
            second = await orc.submit_async(spec)
            await wait_for(lambda: orc.job(second.job_id).status == "succeeded")
            nursery.cancel_scope.cancel()
    assert orc.job(first.job_id).status == "succeeded"
