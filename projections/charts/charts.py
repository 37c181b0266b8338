"""The charts of a project: each is a plot, and the table of the numbers that it shows. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.stored import parse_time
from orc.ledger.wording import (
    cost_text,
    count_text,
    duration_text,
    number_text,
    score_text,
    usd_text,
)
from orc.projections.charts.pareto import pareto_front
from orc.projections.charts.plot import SERIES_MAX, Axis, Plot, Point, Series
from orc.projections.charts.project import ModelScore, Project
from orc.projections.scores.statistics import quantile
from orc.projections.tables.rows import JobRow

_POINTS_MAX = 200
_TICKS_MAX = 8

Link = Callable[[str], str]
"""The address of a job's page, by its id."""


class Chart(Struct, frozen=True):
    """A chart: its name in addresses, its plot, and its numbers.

    `rows` have the exact values, `words` the same as people read them. Without numbers, `plot` is
    None and `missing` says why.
    """

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...] = ()
    words: tuple[tuple[str, ...], ...] = ()
    plot: Plot | None = None
    missing: str = ""

    def csv(self) -> str:
        """The exact numbers as CSV with a head; cells that a spreadsheet would compute are texts."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.head)
        for row in self.rows:
            writer.writerow(_inert(cell) if isinstance(cell, str) else cell for cell in row)
        return out.getvalue()


def build_charts(project: Project, link: Link) -> list[Chart]:
    """All charts of the project; `link` gives the addresses to which points lead."""
    return [
        _scores(project, link),
        _tradeoff(project, link),
        _costs(project, link),
        _over_jobs(
            project,
            link,
            "tokens",
            "Tokens",
            "tokens",
            lambda job: job.input_tokens + job.output_tokens,
            lambda v: number_text(round(v)),
        ),
        _over_jobs(
            project, link, "duration", "Duration", "time", lambda job: job.duration_s, duration_text
        ),
        _over_jobs(
            project,
            link,
            "failures",
            "Failed steps",
            "steps",
            lambda job: job.steps_failed,
            lambda v: number_text(round(v)),
        ),
        _latencies(project),
    ]


CHARTS = ("scores", "tradeoff", "cost", "tokens", "duration", "failures", "latencies")
"""The names of the charts, in their order."""


def _costs(project: Project, link: Link) -> Chart:
    """The known costs. Those that are not the whole are named as such, and counted in a column."""
    found = _over_jobs(
        project,
        link,
        "cost",
        "Cost",
        "US$",
        _cost_usd,
        lambda v: usd_text(round(v * 1e9)),
        text_of=lambda job: cost_text(job.cost_nano_usd, job.calls_unpriced, brief=True),
    )
    lacks = [job.calls_unpriced for job in project.jobs if _cost_usd(job) is not None]
    if not any(lacks):
        return found
    return replace(
        found,
        head=(*found.head, "calls with unknown prices"),
        rows=tuple((*row, lack) for row, lack in zip(found.rows, lacks, strict=True)),
        words=tuple(
            (*row, number_text(lack)) for row, lack in zip(found.words, lacks, strict=True)
        ),
    )


def _cost_usd(job: JobRow) -> float | None:
    return None if job.cost_nano_usd is None else job.cost_nano_usd / 1e9


def _scores(project: Project, link: Link) -> Chart:
    title, head = "Scores", ("job", "submitted", "score", "values", "mean")
    found: dict[str, list[Point]] = {}
    rows, words = [], []
    for at, job in enumerate(project.jobs):
        for mean in project.means[job.job_id]:
            if mean.mean is None:
                continue
            name = mean.name if mean.who == "expression" else f"{mean.name} ({mean.who})"
            shown = score_text(mean.mean)
            said = f"{name} {shown} of {count_text(mean.n, 'value')}, {_job_words(job)}"
            found.setdefault(name, []).append(Point(at, mean.mean, said, link(job.job_id)))
            rows.append((job.job_id, job.submitted_at, name, mean.n, mean.mean))
            words.append((job.job_id, _minute(job), name, number_text(mean.n), shown))
    if not found:
        return Chart("scores", title, head, missing="No job of the project has scores.")
    said = f"means of {count_text(len(found), 'score')} in {count_text(len(project.jobs), 'job')}"
    if len(found) > SERIES_MAX:
        said += f", of which the first {SERIES_MAX} are drawn"
    plot = Plot(
        title,
        said,
        _job_axis(project.jobs),
        Axis("mean", _round_number, from_zero=True),
        tuple(Series(name, tuple(points)) for name, points in [*found.items()][:SERIES_MAX]),
    )
    return Chart("scores", title, head, tuple(rows), tuple(words), plot)


def _tradeoff(project: Project, link: Link) -> Chart:
    """Cost of a result against the mean of the first score, a point for each model in each job."""
    title = "Score and cost"
    head = ("job", "model", "score", "values", "mean", "cost of a result in US$", "on the front")
    priced = [each for each in project.by_model if each.cost_nano_usd is not None]
    if not priced:
        why = "No job of the project has scores of results with a known cost."
        return Chart("tradeoff", title, head, missing=why)
    # The first score of the newest job: older ones may have had others.
    newest = next(job for job in reversed(project.jobs) if project.means[job.job_id])
    given = {(each.name, each.who) for each in priced}
    names = [(mean.name, mean.who) for mean in project.means[newest.job_id]]
    name, who = next((name for name in names if name in given), (priced[-1].name, priced[-1].who))
    points = [each for each in priced if (each.name, each.who) == (name, who)]
    front = set(pareto_front([(_unit_usd(each), each.mean) for each in points]))
    jobs = {job.job_id: job for job in project.jobs}
    rows, words = [], []
    drawn: dict[bool, list[Point]] = {True: [], False: []}
    for at, each in enumerate(points):
        cost, model = cost_text(round(_unit_usd(each) * 1e9), 0), each.model or "no model"
        is_best = at in front
        said = f"{model}: {name} {score_text(each.mean)}, {cost} a result"
        said += f", {_job_words(jobs[each.job_id])}"
        drawn[is_best].append(Point(_unit_usd(each), each.mean, said, link(each.job_id)))
        best = "yes" if is_best else "no"
        rows.append((each.job_id, model, name, each.n, each.mean, _unit_usd(each), best))
        words.append(
            (each.job_id, model, name, number_text(each.n), score_text(each.mean), cost, best)
        )
    drawn[True].sort(key=lambda point: point.x)
    plot = Plot(
        f"{title}: {name}",
        f"{count_text(len(points), 'point')}, {len(front)} of them on the Pareto front: no other "
        "one costs less and scores higher",
        Axis("cost of a result", lambda v: usd_text(round(v * 1e9)), from_zero=True),
        Axis(f"mean of {name}", _round_number),
        (
            Series("on the Pareto front", tuple(drawn[True]), is_stepped=True),
            Series("others", tuple(drawn[False]), is_line=False),
        ),
    )
    return Chart("tradeoff", title, head, tuple(rows), tuple(words), plot)


def _round_number(value: float) -> str:
    """The label of a tick: all digits, since ticks that are close together differ in the last."""
    return f"{value:.10g}"


def _unit_usd(each: ModelScore) -> float:
    return (each.cost_nano_usd or 0) / 1e9 / max(1, each.results)


def _over_jobs(
    project: Project,
    link: Link,
    name: str,
    title: str,
    unit: str,
    value_of: Callable[[JobRow], float | None],
    word: Callable[[float], str],
    *,
    text_of: Callable[[JobRow], str] | None = None,
) -> Chart:
    """A chart of `value_of` the jobs; `text_of` words it where `word` would not say all."""
    head = ("job", "submitted", "status", unit)
    found = [(at, job, value_of(job)) for at, job in enumerate(project.jobs)]
    known = [(at, job, value) for at, job, value in found if value is not None]
    rows = tuple((job.job_id, job.submitted_at, job.status, value) for _, job, value in known)
    texts = [word(value) if text_of is None else text_of(job) for _, job, value in known]
    words = tuple(
        (job.job_id, _minute(job), job.status, text)
        for (_, job, _), text in zip(known, texts, strict=True)
    )
    if not known:
        return Chart(name, title, head, missing="It is not known for any job of the project.")
    points = (
        Point(at, value, f"{text}, {_job_words(job)}", link(job.job_id))
        for (at, job, value), text in zip(known, texts, strict=True)
    )
    low, high = min(v for *_, v in known), max(v for *_, v in known)
    said = f"{count_text(len(known), 'job')}, from {word(low)} to {word(high)}"
    plot = Plot(
        title,
        said,
        _job_axis(project.jobs),
        Axis(
            unit,
            word,
            from_zero=True,
            is_whole=all(isinstance(v, int) for *_, v in known),
            is_time=word is duration_text,
        ),
        (Series("", tuple(points)),),
    )
    return Chart(name, title, head, rows, words, plot)


def _latencies(project: Project) -> Chart:
    """The share of the calls that were answered within a time, by model."""
    title = "Latency of model calls"
    head = ("model", "calls", "least", "median", "95 %", "most")
    if not project.latencies:
        return Chart("latencies", title, head, missing="No job of the project has called a model.")
    rows = tuple(
        (model, len(taken), taken[0], quantile(taken, 0.5), quantile(taken, 0.95), taken[-1])
        for model, taken in project.latencies.items()
    )
    words = tuple(
        (model, number_text(count), *map(duration_text, times)) for model, count, *times in rows
    )
    shown = [*project.latencies.items()][:SERIES_MAX]
    series = tuple(
        Series(model, tuple(_shares(taken)), is_stepped=True, has_markers=False)
        for model, taken in shown
    )
    calls = count_text(sum(len(taken) for taken in project.latencies.values()), "call")
    plot = Plot(
        title,
        f"{calls} of {count_text(len(project.latencies), 'model')}",
        Axis("time to the end of the reply", duration_text, is_time=True),
        Axis("share of the calls", lambda v: f"{100 * v:.0f} %", from_zero=True),
        series,
    )
    return Chart("latencies", title, head, rows, words, plot)


def _shares(taken: Sequence[float]) -> Iterator[Point]:
    """The points of the distribution: at most `_POINTS_MAX`, the last call among them."""
    yield Point(taken[0], 0.0, "")
    size = -(-len(taken) // _POINTS_MAX)
    for number in sorted({*range(size, len(taken) + 1, size), len(taken)}):
        yield Point(taken[number - 1], number / len(taken), "")


def _job_axis(jobs: Sequence[JobRow]) -> Axis:
    """The jobs in the order of their submission, at equal distances; some have their day."""
    step = max(1, -(-len(jobs) // _TICKS_MAX))
    labels = [(float(at), _minute(jobs[at])[5:]) for at in range(0, len(jobs), step)]
    if len(jobs) > 1 and (len(jobs) - 1) % step:
        labels.append((float(len(jobs) - 1), ""))
    return Axis("jobs, in the order of their submission (UTC)", str, tuple(labels))


def _minute(job: JobRow) -> str:
    return f"{parse_time(job.submitted_at):%Y-%m-%d %H:%M}"


def _job_words(job: JobRow) -> str:
    return f"{job.job_id} of {_minute(job)}"


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
