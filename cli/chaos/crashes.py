"""Does a spec's job survive its own death, wherever that comes? Killed after each commit, and resumed.

The job runs on recorded replies, in a folder of its own: undisturbed, twice,
and then once for each commit of the first run, as a process that is killed
right after it, and another that resumes. `facts.py` compares their ends, and `display.py` says
what people see.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from orc.cli.chaos.facts import Deviation, End, find_differences, find_lost, find_repeated, read_end
from orc.cli.errors import UsageProblem
from orc.cli.jobs.folders import folder_of
from orc.ledger import LedgerReader, Recorded, has_owner
from orc.ledger.definition import JobDef
from orc.ledger.errors import LedgerError
from orc.ledger.failpoints import VARIABLE
from orc.ledger.wording import duration_text
from orc.projections import Verifier
from orc.projections.money.prices import PriceTable

_PLACE = "ledger.after_commit"
_COMPARABLE = ("succeeded", "failed", "waiting")
_LEAST_S = 60.0
_TIMES_AS_LONG = 10
_REMOVALS_MAX = 100


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: `arguments` are those of `orc run` after the spec's path."""

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


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """The run that nobody killed: its end, its events, its commits, and how long it took."""

    end: End
    events: int
    commits: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Case:
    """One run that was to be killed after that commit, and what was found when it had ended.

    `last` is the last event that it had committed when it died; `was_killed` is false
    where it had ended before.
    """

    commit: int
    was_killed: bool
    last: Recorded | None
    findings: tuple[Deviation, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found. `unsteady` is how a second undisturbed run differs from the first."""

    undisturbed: Undisturbed
    unsteady: tuple[Deviation, ...]
    cases: tuple[Case, ...]

    @property
    def verdict(self) -> str:
        """`held`, `different` where only the spec's own commands and functions may be the cause,
        or `broken`."""
        found = [finding for case in self.cases for finding in case.findings]
        if any(finding.is_broken for finding in found):
            return "broken"
        return "different" if found or self.unsteady else "held"


class Told:
    """What hears of the trial while it goes on; this one listens to nothing."""

    def undisturbed(self, found: Undisturbed, commits: Sequence[int]) -> None:
        """The job has run to its end, twice; now it is killed after these commits."""

    def case(self, case: Case) -> None:
        """A killed run has been resumed and looked at."""


async def try_out(trial: Trial, told: Told) -> Report:
    """Run the spec undisturbed, then to its death after each commit, and compare.

    Raises UsageProblem where the undisturbed run does not come to an end.
    """
    first = await _run_undisturbed(trial, "undisturbed")
    again = await _run_undisturbed(trial, "undisturbed-again")
    commits = _choose(trial, first.commits)
    told.undisturbed(first, commits)
    unsteady = find_differences(first.end, again.end, trial.definition)
    cases: list[Case] = []
    slots = trio.CapacityLimiter(trial.jobs)
    async with trio.open_nursery() as nursery:

        async def one(commit: int) -> None:
            async with slots:
                case = await _try_commit(trial, commit, first)
            cases.append(case)
            told.case(case)

        for commit in commits:
            nursery.start_soon(one, commit)
    cases.sort(key=lambda case: case.commit)
    return Report(first, tuple(unsteady), tuple(cases))


def remove(folder: Path) -> None:
    """Remove a folder in which commands may still be dying."""
    for _ in range(_REMOVALS_MAX):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)


def _choose(trial: Trial, commits: int) -> list[int]:
    every = range(1, commits + 1)
    if trial.sample is None or trial.sample >= commits:
        return list(every)
    return sorted(random.Random(trial.seed).sample(every, trial.sample))  # noqa: S311


async def _run_undisturbed(trial: Trial, name: str) -> Undisturbed:
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
                ledger, job_id, folder=folder_of(ledger, job_id), delivered=folder / "delivered"
            )
    except (LedgerError, OSError, ValueError) as error:
        raise UsageProblem(f"the undisturbed run came to no end: {_tail(folder)}") from error
    if end.status not in _COMPARABLE:
        raise UsageProblem(f"the undisturbed run is {end.status}: {_tail(folder)}")
    commits = sum(line.startswith(f"{_PLACE}@") for line in hits.read_text().splitlines())
    return Undisturbed(end, len(events), commits, took_s)


async def _try_commit(trial: Trial, commit: int, undisturbed: Undisturbed) -> Case:
    folder = trial.folder / f"commit-{commit:04}"
    folder.mkdir(mode=0o700)
    limit_s = max(_LEAST_S, _TIMES_AS_LONG * undisturbed.took_s)
    case = Case(commit, False, None, ())
    before: list[Recorded] = []
    try:
        with trio.fail_after(2 * limit_s):
            armed = f"{_PLACE}@{commit}=kill"
            code = await _orc(trial, folder, *_run_arguments(trial, folder), failpoints=armed)
            before = _read_events(folder)
            case = replace(case, was_killed=code < 0, last=before[-1] if before else None)
            if case.was_killed:
                await _orc(trial, folder, *_go_on(trial, folder, before))
        findings = await trio.to_thread.run_sync(_examine, trial, folder, before, undisturbed.end)
    except trio.TooSlowError:
        what = f"it had not ended after {duration_text(2 * limit_s)}: {_tail(folder)}"
        findings = [Deviation("resumable", what)]
    if not trial.keep:
        await trio.to_thread.run_sync(remove, folder)
    return replace(case, findings=tuple(findings))


def _examine(
    trial: Trial, folder: Path, before: Sequence[Recorded], wanted: End
) -> list[Deviation]:
    """What the folder's job ended in, against what it should have."""
    try:
        with LedgerReader.open(folder / "runs.db") as ledger:
            job_id = ledger.find_job("latest")
            run_folder = folder_of(ledger, job_id)
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
        return [Deviation("resumable", f"it cannot be resumed: {error}; {_tail(folder)}")]
    return findings + find_differences(wanted, found, trial.definition)


def _run_arguments(trial: Trial, folder: Path) -> list[str]:
    return [
        *("run", str(trial.spec), *trial.arguments),
        *("--output-dir", str(folder / "delivered")),
        *("--db", str(folder / "runs.db"), "--no-input"),
    ]


def _go_on(trial: Trial, folder: Path, before: Sequence[Recorded]) -> list[str]:
    """What a person would do next: resume, or run the spec where there is no job yet."""
    if not before:
        return _run_arguments(trial, folder)
    database = ("--db", str(folder / "runs.db"))
    if before[-1].event.type in ("job.failed", "job.cancelled"):
        # It has ended; a resume would try again what had failed.
        return ["export", before[0].job_id, *database]
    return ["resume", before[0].job_id, *database, "--no-input"]


def _read_events(folder: Path) -> list[Recorded]:
    try:
        with LedgerReader.open(folder / "runs.db") as ledger:
            return list(ledger.read_stream(ledger.find_job("latest")))
    except LedgerError:
        return []


async def _orc(trial: Trial, folder: Path, *arguments: str, failpoints: str = "") -> int:
    """A real `orc` process, run to its end; its exit code, negative for a signal."""
    environment = {**trial.environment, VARIABLE: failpoints}
    if not failpoints:
        del environment[VARIABLE]
    with (folder / "said").open("ab") as said:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-P", "-m", "orc.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd=folder,
            env=environment,
            # A terminal's Ctrl-C is for us: we end it.
            start_new_session=True,
        )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            # Its commands go with it: the reaper sees to that.
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


def _tail(folder: Path) -> str:
    """The last thing that `orc` said there."""
    lines = (folder / "said").read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
