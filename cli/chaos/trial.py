"""Runs the trial: kills the run of a spec after each commit, and resumes it.

The job runs from recorded replies, each time in a new folder. First it runs twice without a kill:
the reference run, and a second run that shows what differs without any kill. Then, for each commit
of the reference run, one process runs the job and is killed right after that commit, and another
process resumes it. `comparison.py` compares the results; `display.py` prints them.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio
from msgspec import Struct
from msgspec.structs import replace

from orc.cli.chaos.comparison import (
    Deviation,
    End,
    find_differences,
    find_lost,
    find_repeated,
    read_end,
)
from orc.cli.errors import UsageProblem
from orc.cli.jobs.own_folder import folder_of
from orc.ledger import LedgerReader, Recorded, has_owner
from orc.ledger.definition import JobDef, walk_steps
from orc.ledger.errors import LedgerError
from orc.ledger.failpoints import VARIABLE
from orc.ledger.kinds import JOB_RUN_ENDED
from orc.ledger.wording import duration_text
from orc.projections import Verifier
from orc.projections.money.prices import PriceTable

_FAILPOINT = "ledger.after_commit"
_LIMIT_MIN_S = 60.0
_LIMIT_FACTOR = 10
TRIAL_FOLDERS = ("reference*", "commit-*")
"""Patterns for the names of the folders of single runs."""

_REMOVALS_MAX = 100
_CANCEL_S = 60.0


class Trial(Struct, frozen=True):
    """The settings of a trial; `arguments` are those of `orc run` after the spec's path.

    `sample` is the number of commits to kill after, None for all. `jobs` is the number of runs at
    the same time.
    """

    spec: Path
    arguments: tuple[str, ...]
    definition: JobDef
    environment: Mapping[str, str]
    prices: PriceTable
    folder: Path
    keep: bool = False
    sample: int | None = None
    seed: int = 0
    jobs: int = 2

    @property
    def uses_executors(self) -> bool:
        """Whether steps run on executors, where they go on when orc is killed."""
        return any(step.is_remote for step in walk_steps(self.definition.steps))


class ReferenceRun(Struct, frozen=True):
    """The run without a kill: its result, its numbers of events and commits, and its duration."""

    end: End
    events: int
    commits: int
    took_s: float


class Case(Struct, frozen=True):
    """One run that was killed after the commit with this number, and the findings after its end.

    `last` is the last event that was committed before the kill. `was_killed` is False if the run
    ended before that commit.
    """

    commit: int
    was_killed: bool
    last: Recorded | None
    findings: tuple[Deviation, ...]


class Report(Struct, frozen=True):
    """The result of a trial. `unsteady` are the differences between two runs without a kill."""

    reference: ReferenceRun
    unsteady: tuple[Deviation, ...]
    cases: tuple[Case, ...]

    @property
    def verdict(self) -> str:
        """`held`, `different` (only commands or functions can be the cause), or `broken`."""
        found = [finding for case in self.cases for finding in case.findings]
        if any(finding.is_broken for finding in found):
            return "broken"
        return "different" if found or self.unsteady else "held"


class TrialListener:
    """Callbacks during a trial; these do nothing."""

    def on_reference(self, reference: ReferenceRun, commits: Sequence[int]) -> None:
        """The two runs without a kill have ended; next, runs are killed after these commits."""

    def on_case(self, case: Case) -> None:
        """A killed run has been resumed and compared."""


async def run_trial(trial: Trial, listener: TrialListener) -> Report:
    """Run the spec without a kill, then with a kill after each commit, and compare.

    Raises UsageProblem if a run without a kill does not end.
    """
    first = await _run_reference(trial, "reference")
    again = await _run_reference(trial, "reference-again")
    commits = _choose_commits(trial, first.commits)
    listener.on_reference(first, commits)
    unsteady = find_differences(first.end, again.end, trial.definition)
    cases: list[Case] = []
    slots = trio.CapacityLimiter(trial.jobs)
    async with trio.open_nursery() as nursery:

        async def one(commit: int) -> None:
            async with slots:
                case = await _try_commit(trial, commit, first)
            cases.append(case)
            listener.on_case(case)

        for commit in commits:
            nursery.start_soon(one, commit)
    cases.sort(key=lambda case: case.commit)
    return Report(first, tuple(unsteady), tuple(cases))


def remove_folder(folder: Path) -> None:
    """Remove a folder, with retries: commands that are ending may still write to it."""
    for _ in range(_REMOVALS_MAX):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)


def _choose_commits(trial: Trial, commits: int) -> list[int]:
    every = range(1, commits + 1)
    if trial.sample is None or trial.sample >= commits:
        return list(every)
    return sorted(random.Random(trial.seed).sample(every, trial.sample))  # noqa: S311


async def _run_reference(trial: Trial, name: str) -> ReferenceRun:
    folder = trial.folder / name
    folder.mkdir(mode=0o700)
    hits = folder / "hits"
    began = time.monotonic()
    await _orc(trial, folder, *_run_arguments(trial, folder), failpoints=f"trace:{hits}")
    took_s = time.monotonic() - began
    try:
        with LedgerReader.open(folder / "runs.db") as ledger:
            job_id = ledger.find_job("latest")
            events = list(ledger.read_stream(job_id))
            end = read_end(
                ledger,
                job_id,
                folder=folder_of(ledger, job_id, use="read"),
                delivered=folder / "delivered",
            )
    except (LedgerError, OSError, ValueError) as error:
        raise UsageProblem(
            f"the run without a kill did not end; correct the spec: {_last_line(folder)}"
        ) from error
    if end.status not in JOB_RUN_ENDED:
        raise UsageProblem(
            f"the run without a kill ended as {end.status}, which cannot be compared: "
            f"{_last_line(folder)}"
        )
    commits = sum(line.startswith(f"{_FAILPOINT}@") for line in hits.read_text().splitlines())
    return ReferenceRun(end, len(events), commits, took_s)


async def _try_commit(trial: Trial, commit: int, reference: ReferenceRun) -> Case:
    folder = trial.folder / f"commit-{commit:04}"
    folder.mkdir(mode=0o700)
    limit_s = max(_LIMIT_MIN_S, _LIMIT_FACTOR * reference.took_s)
    case = Case(commit, False, None, ())
    before: list[Recorded] = []
    try:
        with trio.fail_after(2 * limit_s):
            armed = f"{_FAILPOINT}@{commit}=kill"
            code = await _orc(trial, folder, *_run_arguments(trial, folder), failpoints=armed)
            before = _read_events(folder)
            case = replace(case, was_killed=code < 0, last=before[-1] if before else None)
            if case.was_killed:
                await _orc(trial, folder, *_next_arguments(trial, folder, before))
        findings = await trio.to_thread.run_sync(_examine, trial, folder, before, reference.end)
    except trio.TooSlowError:
        what = f"the run had not ended after {duration_text(2 * limit_s)}: {_last_line(folder)}"
        findings = [Deviation("resumable", what)]
    if not trial.keep:
        await trio.to_thread.run_sync(remove_folder, folder)
    return replace(case, findings=tuple(findings))


def _examine(
    trial: Trial, folder: Path, before: Sequence[Recorded], wanted: End
) -> list[Deviation]:
    """The deviations of the job in the folder from the reference, and from orc's promises."""
    try:
        with LedgerReader.open(folder / "runs.db") as ledger:
            job_id = ledger.find_job("latest")
            run_folder = folder_of(ledger, job_id, use="read")
            events = list(ledger.read_stream(job_id))
            findings = [*find_lost(before, events), *find_repeated(events)]
            verifier = Verifier(
                ledger, trial.prices, is_live=lambda name: has_owner(ledger.path, name)
            )
            verdict = verifier.check_job(job_id, folder=run_folder)
            problems = [*verdict.problems, *verifier.check_file()]
            findings += [Deviation("intact", f"orc verify: {problem}") for problem in problems]
            found = read_end(ledger, job_id, folder=run_folder, delivered=folder / "delivered")
    except (LedgerError, OSError, ValueError) as error:
        return [Deviation("resumable", f"the job cannot be resumed: {error}; {_last_line(folder)}")]
    return findings + find_differences(wanted, found, trial.definition)


def _run_arguments(trial: Trial, folder: Path) -> list[str]:
    return [
        *("run", str(trial.spec), *trial.arguments),
        *("--output-dir", str(folder / "delivered")),
        *("--db", str(folder / "runs.db"), "--no-input"),
    ]


def _next_arguments(trial: Trial, folder: Path, before: Sequence[Recorded]) -> list[str]:
    """The command after the kill: resume the job, or run the spec again if there is no job yet."""
    if not before:
        return _run_arguments(trial, folder)
    database = ("--db", str(folder / "runs.db"))
    if before[-1].event.type in ("job.failed", "job.cancelled"):
        # The job has ended: a resume would run the failed steps again. The export publishes its
        # run folder.
        return ["export", before[0].job_id, *database]
    return ["resume", before[0].job_id, *database, "--no-input"]


def _read_events(folder: Path) -> list[Recorded]:
    try:
        with LedgerReader.open(folder / "runs.db") as ledger:
            return list(ledger.read_stream(ledger.find_job("latest")))
    except LedgerError:
        return []


async def _orc(trial: Trial, folder: Path, *arguments: str, failpoints: str = "") -> int:
    """Run an `orc` process to its end; its exit code, negative for a signal."""
    environment = {**trial.environment, VARIABLE: failpoints}
    if not failpoints:
        del environment[VARIABLE]
    with (folder / "output.txt").open("ab") as output:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-P", "-m", "orc.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=environment,
            # Ctrl-C on the terminal goes to this process only, which then ends the other.
            start_new_session=True,
        )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            # orc's reaper process then ends the commands that this process started.
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            if trial.uses_executors and arguments[0] != "cancel":
                # Those on executors go on until the job is cancelled.
                with trio.move_on_after(_CANCEL_S, shield=True):
                    await _orc(trial, folder, "cancel", "latest", "--db", str(folder / "runs.db"))


def _last_line(folder: Path) -> str:
    """The last line that `orc` printed in the folder."""
    lines = (folder / "output.txt").read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "orc printed nothing"
