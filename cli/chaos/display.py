"""The output of `orc chaos`: the plan, the progress, and the verdict."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from orc.cli.chaos.comparison import Deviation, describe, has_code
from orc.cli.chaos.trial import Case, ReferenceRun, Report, Trial, TrialListener
from orc.cli.terminal.text import safe, say
from orc.ledger.definition import StepDef, walk_steps
from orc.ledger.wording import count_text, duration_text

_WIDTH = 160


def say_plan(trial: Trial, *, quiet: bool) -> None:
    """Print what will run, and which commands will really run on this machine."""
    code = [step for step in trial.definition.steps if has_code(step)]
    say(f"{safe(trial.definition.project)}: from recorded replies, in {trial.folder}", quiet=quiet)
    if code:
        names = ", ".join(step.id for step in code[:5]) + (", ..." if len(code) > 5 else "")
        say(
            f"These commands and functions really run, once per commit: {safe(names)}.", quiet=quiet
        )
        if any(not _is_elsewhere(step) for step in code):
            say(
                "A command that is running at the kill starts again, so that it runs twice.",
                quiet=quiet,
            )
        if trial.uses_executors:
            say(
                "What runs on an executor goes on after the kill, and the resumed job takes its result.",
                quiet=quiet,
            )


def _is_elsewhere(step: StepDef) -> bool:
    """Whether all of its commands and functions run on executors."""
    return all(inner.is_remote for inner in walk_steps((step,)) if inner.facts.runs_code)


class ChaosDisplay(TrialListener):
    """Prints nothing. It is a context manager around the trial."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class ChaosLines(ChaosDisplay):
    """Prints a line for each run, for logs and pipes."""

    def __init__(self) -> None:
        self._done = self._total = 0

    def on_reference(self, reference: ReferenceRun, commits: Sequence[int]) -> None:
        """See `TrialListener`."""
        self._total = len(commits)
        say(plan_line(reference, commits))

    def on_case(self, case: Case) -> None:
        """See `TrialListener`."""
        self._done += 1
        what = "killed" if case.was_killed else "ended before the kill"
        found = case.findings[0].what if case.findings else "resumed, with the same result"
        say(
            f"{self._done}/{self._total}  {what} {safe(describe(case.last))}: "
            f"{safe(found, width=_WIDTH)}"
        )


class ChaosBar(ChaosDisplay):
    """A progress bar of the runs, for terminals."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False, markup=False),
            transient=True,
        )
        self._task = self._progress.add_task("two runs without a kill", total=None)
        self._known: set[Deviation] = set()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def on_reference(self, reference: ReferenceRun, commits: Sequence[int]) -> None:
        """See `TrialListener`."""
        self._progress.console.print(plan_line(reference, commits))
        self._progress.update(self._task, description="killed and resumed", total=len(commits))

    def on_case(self, case: Case) -> None:
        """See `TrialListener`."""
        self._progress.advance(self._task)
        for finding in case.findings:
            if finding not in self._known:
                self._known.add(finding)
                where = safe(describe(case.last))
                self._progress.console.print(f"killed {where}: {_line(finding)}")


def make_chaos_display(*, quiet: bool) -> ChaosDisplay:
    """The display for this process's stderr: a bar on a terminal, else lines."""
    if quiet:
        return ChaosDisplay()
    return ChaosBar() if sys.stderr.isatty() else ChaosLines()


def plan_line(reference: ReferenceRun, commits: Sequence[int]) -> str:
    """The reference run, and the number of kills that follow."""
    part = "each commit" if len(commits) == reference.commits else f"{len(commits)} of the commits"
    return (
        f"without a kill: {reference.end.status} in {duration_text(reference.took_s)}, "
        f"{count_text(reference.events, 'event')} in {count_text(reference.commits, 'commit')}; "
        f"now with a kill after {part}"
    )


def report_lines(trial: Trial, report: Report, *, shown_max: int) -> Iterator[str]:
    """The verdict, and each difference once, with the first kill that it followed."""
    cases = report.cases
    kills = sum(case.was_killed for case in cases)
    times_killed = "once" if kills == 1 else count_text(kills, "time")
    yield f"{_VERDICTS[report.verdict]}: {safe(trial.definition.project)}, killed {times_killed}"
    status = report.reference.end.status
    if status != "succeeded":
        yield f"  without a kill, the job is {status}; the same is expected after a kill"
    if trial.sample is not None and len(cases) < report.reference.commits:
        chosen = f"--sample {trial.sample} --seed {trial.seed}"
        yield f"  {len(cases)} of {report.reference.commits} commits, chosen by {chosen}"
    if report.verdict == "held":
        yield "  no step that had succeeded ran again, and no committed reply was requested again"
        yield "  every job ended with the same files and results, and orc verify found no problem"
    for finding in report.unsteady:
        yield f"  second run without a kill: {_line(finding)}"
    found: Counter[Deviation] = Counter()
    first: dict[Deviation, Case] = {}
    for case in cases:
        for finding in case.findings:
            if finding not in report.unsteady:
                found[finding] += 1
                first.setdefault(finding, case)
    for finding, times in list(found.items())[:shown_max]:
        more = f", and {count_text(times - 1, 'more time')}" if times > 1 else ""
        yield f"  killed {safe(describe(first[finding].last))}{more}: {_line(finding)}"
    if len(found) > shown_max:
        yield f"  and {len(found) - shown_max} more; --json prints all"
    if report.unsteady:
        yield "  A command or a function is not repeatable: it gives different results for the same"
        yield "  inputs, also without a kill."
    elif any(not finding.is_broken for finding in found):
        yield "  A command or a function gave another result when it ran again after a kill: it is not"
        yield "  repeatable, or it cannot be interrupted and started again."
    if trial.keep:
        yield f"  all ledgers are in {safe(trial.folder)}"
    elif report.verdict != "held":
        yield "  to keep all ledgers, add --keep DIR"


_VERDICTS = {
    "held": "All promises held",
    "different": "No promise is broken, but results differ",
    "broken": "A promise is BROKEN",
}
_PROMISES = {
    "repeated": "repeated",
    "lost": "lost",
    "result": "different result",
    "intact": "damaged",
    "resumable": "not resumable",
}


def _line(finding: Deviation) -> str:
    where = f"step {safe(finding.step)}: " if finding.step else ""
    return f"{_PROMISES[finding.promise]}: {where}{safe(finding.what, width=_WIDTH)}"
