"""The Python API of orc.

    import orc

    job = orc.run("examples/tiny_spec.yaml", provider="replay")
    print(job.status, job.outputs["qa"]["score"], job.files)

`docs/python.md` has an example for every function. Functions that run or wait have an asynchronous
version for trio: `run_async`, `resume_async`, and so on. Each name is imported at its first use.
"""

from __future__ import annotations

# Type checkers treat this name as true. The module `typing` is not imported, since it loads slowly.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from orc.api import approve as approve
    from orc.api import cancel as cancel
    from orc.api import diff as diff
    from orc.api import fork as fork
    from orc.api import job as job
    from orc.api import jobs as jobs
    from orc.api import load_spec as load_spec
    from orc.api import open_ledger as open_ledger
    from orc.api import plan as plan
    from orc.api import reject as reject
    from orc.api import replay as replay
    from orc.api import rerun as rerun
    from orc.api import resume as resume
    from orc.api import run as run
    from orc.api import validate as validate
    from orc.api import verify as verify
    from orc.asynchronous import Replay as Replay
    from orc.asynchronous import approve_async as approve_async
    from orc.asynchronous import cancel_async as cancel_async
    from orc.asynchronous import fork_async as fork_async
    from orc.asynchronous import reject_async as reject_async
    from orc.asynchronous import replay_async as replay_async
    from orc.asynchronous import rerun_async as rerun_async
    from orc.asynchronous import resume_async as resume_async
    from orc.asynchronous import run_async as run_async
    from orc.asynchronous import work_async as work_async
    from orc.cli.errors import EnvironmentProblem as EnvironmentProblem
    from orc.cli.errors import UsageProblem as UsageProblem
    from orc.cli.jobs.decide import Decision as Decision
    from orc.cli.jobs.listing import JobSummary as JobSummary
    from orc.cli.jobs.plan import Plan as Plan
    from orc.cli.jobs.plan import PlannedStep as PlannedStep
    from orc.cli.jobs.queue.worker import Worked as Worked
    from orc.cli.jobs.read import Job as Job
    from orc.cli.jobs.read import Step as Step
    from orc.cli.jobs.verify import Verification as Verification
    from orc.in_threads import diff_async as diff_async
    from orc.in_threads import job_async as job_async
    from orc.in_threads import jobs_async as jobs_async
    from orc.in_threads import plan_async as plan_async
    from orc.in_threads import submit_async as submit_async
    from orc.in_threads import validate_async as validate_async
    from orc.in_threads import verify_async as verify_async
    from orc.ledger.errors import CorruptLedger as CorruptLedger
    from orc.ledger.errors import LedgerBusy as LedgerBusy
    from orc.ledger.errors import LedgerError as LedgerError
    from orc.ledger.errors import LedgerTooNew as LedgerTooNew
    from orc.ledger.errors import NoLedger as NoLedger
    from orc.ledger.errors import NoSuchJob as NoSuchJob
    from orc.ledger.errors import NotALedger as NotALedger
    from orc.ledger.errors import OwnedElsewhere as OwnedElsewhere
    from orc.ledger.errors import RemovedBlob as RemovedBlob
    from orc.ledger.errors import StorageError as StorageError
    from orc.ledger.errors import VersionConflict as VersionConflict
    from orc.ledger.events import Failure as Failure
    from orc.ledger.store import Ledger as Ledger
    from orc.projections.history.job_diff import JobDiff as JobDiff
    from orc.projections.history.recording import ReplayDifference as ReplayDifference
    from orc.queue import submit as submit
    from orc.queue import work as work
    from orc.scheduler.core.errors import Problem as Problem
    from orc.scheduler.core.errors import SpecError as SpecError
    from orc.scheduler.core.spec.model import JobSpec as JobSpec

_NAMES = {
    "api": (
        "approve cancel diff fork job jobs load_spec open_ledger plan reject replay "
        "rerun resume run validate verify"
    ),
    "asynchronous": (
        "Replay approve_async cancel_async fork_async reject_async replay_async rerun_async "
        "resume_async run_async work_async"
    ),
    "cli.errors": "EnvironmentProblem UsageProblem",
    "cli.jobs.decide": "Decision",
    "cli.jobs.listing": "JobSummary",
    "cli.jobs.plan": "Plan PlannedStep",
    "cli.jobs.queue.worker": "Worked",
    "cli.jobs.read": "Job Step",
    "cli.jobs.verify": "Verification",
    "in_threads": (
        "diff_async job_async jobs_async plan_async submit_async validate_async verify_async"
    ),
    "ledger.errors": (
        "CorruptLedger LedgerBusy LedgerError LedgerTooNew NoLedger NoSuchJob NotALedger "
        "OwnedElsewhere RemovedBlob StorageError VersionConflict"
    ),
    "ledger.events": "Failure",
    "ledger.store": "Ledger",
    "projections.history.job_diff": "JobDiff",
    "projections.history.recording": "ReplayDifference",
    "queue": "submit work",
    "scheduler.core.errors": "Problem SpecError",
    "scheduler.core.spec.model": "JobSpec",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_HOMES)  # noqa: PLE0605

if not TYPE_CHECKING:
    # Hidden from type checkers, which would otherwise accept any name.
    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
