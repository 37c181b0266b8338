"""A user's program that mypy checks: each name of `orc` has its types, and a wrong use is an error.

It is not run. With `--strict`, a comment that ignores no error is an error itself.
"""

import datetime as dt

import orc


def main() -> None:
    job: orc.Job = orc.run("spec.yaml", inputs={"name": "Ada"}, until=["first"])
    status: str = job.status
    cost: float | None = job.cost_usd
    names: list[str] = [step.step for step in job.steps]
    summaries: tuple[orc.JobSummary, ...] = orc.jobs(since=dt.datetime.now(), limit=3)
    plan: orc.Plan = orc.plan("spec.yaml")
    problems: tuple[orc.Problem, ...] = orc.validate("spec.yaml")
    intact: bool = orc.verify().is_intact
    same: bool = orc.replay(job.job_id).is_same
    try:
        orc.approve(job.job_id, "gate")
    except (orc.UsageProblem, orc.NoSuchJob) as error:
        print(error, status, cost, names, summaries, plan.worst_cost_usd, problems, intact, same)


async def asynchronous() -> orc.Job:
    forked = await orc.fork_async("latest", changes={"steps.a.value": 1})
    return await orc.resume_async(forked.job_id)


def wrong() -> None:
    orc.run(3)  # type: ignore[arg-type]
    orc.run("spec.yaml", nonsense=True)  # type: ignore[call-arg]
    status: int = orc.job().status  # type: ignore[assignment]
    print(status, orc.nonsense)  # type: ignore[attr-defined]
