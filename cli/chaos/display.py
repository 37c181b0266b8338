"""What a person sees of `orc chaos`: what it is about to do, how far it is, and the verdict."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from orc.cli.chaos.crashes import Case, Report, Told, Trial, Undisturbed
from orc.cli.chaos.facts import Deviation, describe
from orc.cli.terminal.text import safe, say
from orc.ledger.definition import walk_steps
from orc.ledger.wording import count_text, duration_text

_WIDTH = 160


def say_before(trial: Trial, *, quiet: bool) -> None:
    """What is about to happen, and what it does to the person's machine."""
    code = [step for step in trial.definition.steps if _has_code(step)]
    say(f"{safe(trial.definition.project)}: on recorded replies, in {trial.folder}", quiet=quiet)
    if code:
        names = ", ".join(step.id for step in code[:5]) + (", ..." if len(code) > 5 else "")
        say(f"Commands and functions are really run, for each commit: {safe(names)}.", quiet=quiet)
        say("One that a kill meets at work is begun again, and so runs twice.", quiet=quiet)


def _has_code(step: object) -> bool:
    return any(inner.facts.runs_code or inner.tools for inner in walk_steps((step,)))  # type: ignore[arg-type]


class Teller(Told):
    """Tells nothing; a context manager around the trial."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class Lines(Teller):
    """A line for each run, for logs and pipes."""

    def __init__(self) -> None:
        self._done = self._total = 0

    def undisturbed(self, found: Undisturbed, commits: Sequence[int]) -> None:
        """See `Told`."""
        self._total = len(commits)
        say(plan_line(found, commits))

    def case(self, case: Case) -> None:
        """See `Told`."""
        self._done += 1
        what = "killed" if case.was_killed else "ended before the kill"
        found = case.findings[0].what if case.findings else "resumed, the same"
        say(
            f"{self._done}/{self._total}  {what} {safe(describe(case.last))}: "
            f"{safe(found, width=_WIDTH)}"
        )


class Bar(Teller):
    """A bar of the runs, for terminals."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False, markup=False),
            transient=True,
        )
        self._task = self._progress.add_task("undisturbed, twice", total=None)
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

    def undisturbed(self, found: Undisturbed, commits: Sequence[int]) -> None:
        """See `Told`."""
        self._progress.console.print(plan_line(found, commits))
        self._progress.update(self._task, description="killed and resumed", total=len(commits))

    def case(self, case: Case) -> None:
        """See `Told`."""
        self._progress.advance(self._task)
        for finding in case.findings:
            if finding not in self._known:
                self._known.add(finding)
                where = safe(describe(case.last))
                self._progress.console.print(f"killed {where}: {_line(finding)}")


def make_teller(*, quiet: bool) -> Teller:
    """For this process's stderr."""
    if quiet:
        return Teller()
    return Bar() if sys.stderr.isatty() else Lines()


def plan_line(found: Undisturbed, commits: Sequence[int]) -> str:
    """The undisturbed run, and how many are to be killed."""
    part = "each" if len(commits) == found.commits else f"{len(commits)} of them"
    return (
        f"undisturbed: {found.end.status} in {duration_text(found.took_s)}, "
        f"{count_text(found.events, 'event')} in {count_text(found.commits, 'commit')}; "
        f"now killed after {part}"
    )


def report_lines(trial: Trial, report: Report, *, shown_max: int) -> Iterator[str]:
    """The verdict, and every difference once, with the kills that it came after."""
    cases = report.cases
    kills = sum(case.was_killed for case in cases)
    times_killed = "once" if kills == 1 else count_text(kills, "time")
    yield f"{_VERDICTS[report.verdict]}: {safe(trial.definition.project)}, killed {times_killed}"
    if report.undisturbed.end.status != "succeeded":
        yield f"  undisturbed, the job is {report.undisturbed.end.status}; so it is to be after a kill"
    if trial.sample is not None and len(cases) < report.undisturbed.commits:
        drawn = f"--sample {trial.sample} --seed {trial.seed}"
        yield f"  {len(cases)} of {report.undisturbed.commits} commits, drawn by {drawn}"
    if report.verdict == "held":
        yield "  no step that had succeeded ran again, no committed reply was asked for again"
        yield "  each job ended with the same files and results, and verifies"
    for finding in report.unsteady:
        yield f"  undisturbed, a second time: {_line(finding)}"
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
        yield f"  and {len(found) - shown_max} more; --json has all"
    if report.unsteady:
        yield "  No kill is needed for that: a command or a function is no function of what it is given."
    elif any(not finding.is_broken for finding in found):
        yield "  A command or a function gave another result when it ran again after a kill: it is no"
        yield "  function of what it is given, or it cannot be cut short and begun anew."
    if trial.keep:
        yield f"  every ledger is in {safe(trial.folder)}"
    elif report.verdict != "held":
        yield "  --keep DIR keeps every ledger"


_VERDICTS = {
    "held": "The promises held",
    "different": "Nothing was repeated, and results differ",
    "broken": "A promise is BROKEN",
}
_PROMISES = {
    "repeated": "repeated",
    "lost": "lost",
    "result": "another result",
    "intact": "damaged",
    "resumable": "not resumable",
}


def _line(finding: Deviation) -> str:
    where = f"step {safe(finding.step)}: " if finding.step else ""
    return f"{_PROMISES[finding.promise]}: {where}{safe(finding.what, width=_WIDTH)}"
