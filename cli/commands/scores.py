"""`orc scores`: means and intervals of a job's scores, and the comparison of two jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from orc.cli.assess.unknown_tag import unknown_tag_text
from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import read_tables
from orc.cli.options import NUMBER_MAX, Database, Json, TagFilter, split_names
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import put, put_json, safe, say
from orc.ledger.wording import count_text, number_text
from orc.projections.scores.groups import SEED
from orc.projections.tables.tags import read_tagged

if TYPE_CHECKING:
    from orc.cli.assess.checks import Failing
    from orc.projections.scores.comparison import ScoreComparison
    from orc.projections.scores.rows import JobScores

_FORMATS = ("table", "csv", "json", "md")
_SHOWN_MAX = 20


def command(
    jobs: Annotated[
        list[str] | None,
        Argument(
            help="A job; with a second one, the two are compared, case by case.",
            metavar="JOB [JOB]",
            complete="complete_jobs",
        ),
    ] = None,
    by: Annotated[
        str | None,
        Option(
            help="Group by dimensions, such as model,case. Default: by model, if there are several.",
            metavar="NAME[,NAME]",
        ),
    ] = None,
    format_: Annotated[
        str,
        Option(
            "--format",
            help="table, csv, json or md (Markdown).",
            metavar="FORMAT",
            complete=lambda: list(_FORMATS),
        ),
    ] = "table",
    fail_under: Annotated[
        list[str] | None,
        Option(
            help="Exit 1 if the mean of this score is lower, or if it was not computed for a result; "
            "with --by, in any group. Repeatable.",
            metavar="SCORE=NUMBER",
        ),
    ] = None,
    fail_on_regression: Annotated[
        bool, Option(help="Exit 1 if a case has a lower score in the second job, or failed there.")
    ] = False,
    tolerance: Annotated[
        float,
        Option(
            help="The difference up to which two scores of a case count as equal.",
            metavar="NUMBER",
            min=0,
        ),
    ] = 0.0,
    seed: Annotated[
        int,
        Option(
            help="The seed of the bootstrap that gives the intervals.",
            metavar="NUMBER",
            min=0,
            max=NUMBER_MAX,
        ),
    ] = SEED,
    tag: TagFilter = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Show the scores of a job, or compare those of two jobs."""
    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.assess.checks import parse_limits
    from orc.ledger import exit_codes, find_job
    from orc.projections.scores.rows import read_scores, together
    from orc.scheduler.core.errors import nearest

    if format_ not in _FORMATS:
        raise UsageProblem(f"--format: there is no {format_!r}{nearest(format_, _FORMATS)}")
    jobs = jobs or []
    if len(jobs) > 2 or (not jobs and tag is None):
        raise UsageProblem("JOB: give one job to see its scores, or two jobs to compare them")
    if jobs and tag is not None:
        raise UsageProblem("--tag: shows the scores of all jobs with the tag; leave JOB out")
    limits = parse_limits(fail_under)
    names = split_names("--by", by)
    chosen = "json" if as_json else format_
    unknown: str | None = None
    with read_tables(database) as (connection, path):
        found: list[JobScores] = []
        for job in jobs:
            job_id = find_job(connection, job, path=path)
            found.append(read_scores(connection, job_id, like=found[0] if found else None))
        if tag is not None:
            unknown = unknown_tag_text(connection, tag)
            tagged = read_tagged(connection, tag)
            found = [together([read_scores(connection, job_id) for job_id in tagged])]
            names = names or ("job",)
    if unknown is not None:
        say(unknown)
    if len(found) == 1:
        if fail_on_regression or tolerance:
            option = "--fail-on-regression" if fail_on_regression else "--tolerance"
            raise UsageProblem(f"{option}: give two jobs; the second is compared with the first")
        failing = _show(
            found[0], names, limits=limits, seed=seed, chosen=chosen, is_known=unknown is None
        )
    else:
        if names:
            raise UsageProblem("--by: two jobs are compared case by case; leave it out")
        failing = _compare(
            found[0],
            found[1],
            limits=limits,
            must_not_regress=fail_on_regression,
            tolerance=tolerance,
            seed=seed,
            chosen=chosen,
        )
    for reason in failing:
        say(reason)
    return exit_codes.FAILED if failing else exit_codes.SUCCEEDED


def _show(
    scores: JobScores,
    by: Sequence[str],
    *,
    limits: dict[str, float],
    seed: int,
    chosen: str,
    is_known: bool,
) -> Failing:
    from orc.cli.assess.checks import under_limits, without_judge
    from orc.cli.assess.tables import group_value, groups_csv, groups_markdown, put_groups
    from orc.projections.scores.groups import default_by, group_scores, known_names
    from orc.scheduler.core.errors import nearest

    known = known_names(scores)
    for name in by:
        if name not in known:
            hint = nearest(name, known)
            listed = "" if "known:" in hint else f"; they have {', '.join(known)}"
            raise UsageProblem(f"--by: the scores have no dimension {name!r}{hint}{listed}")
    used = tuple(by) or default_by(scores)
    groups = group_scores(scores, by=used, seed=seed)
    if chosen == "json":
        put_json(
            {
                "job_id": scores.job_id or None,
                "by": list(used),
                "seed": seed,
                "groups": [group_value(group, used) for group in groups],
                "errors": len(scores.errors),
            }
        )
    elif chosen == "csv":
        put(groups_csv(groups, used))
    elif chosen == "md":
        put(groups_markdown(groups, used))
    elif groups:
        put_groups(groups, used)
        _say_broken(scores)
    elif scores.job_id or is_known:
        said = (
            f"{scores.job_id} has no scores" if scores.job_id else "no job with the tag has scores"
        )
        say(f"{said}; the key `score` of a step in the spec gives it some")
    # Without --by, the limit is one for the whole job.
    checked = groups if by else group_scores(scores, seed=seed)
    failing = under_limits(checked, tuple(by), limits, declared=scores.declared)
    return failing + without_judge(scores, limits)


def _say_broken(scores: JobScores) -> None:
    if not scores.errors:
        return
    broken = count_text(len(scores.errors), "score")
    first = scores.errors[0]
    say(
        f"{broken} could not be computed; {safe(first.about.step)}: {safe(first.name)}: "
        f"{safe(first.error or '', width=300)}"
    )


def _compare(
    before: JobScores,
    after: JobScores,
    *,
    limits: dict[str, float],
    must_not_regress: bool,
    tolerance: float,
    seed: int,
    chosen: str,
) -> Failing:
    from orc.cli.assess.checks import regressions, under_limits, without_judge
    from orc.cli.assess.tables import (
        comparison_csv,
        comparison_markdown,
        comparison_value,
        put_comparison,
    )
    from orc.projections.scores.comparison import compare_scores
    from orc.projections.scores.groups import group_scores

    found = compare_scores(before, after, seed=seed, tolerance=tolerance)
    if chosen == "json":
        put_json(
            {
                "before": before.job_id,
                "after": after.job_id,
                "seed": seed,
                "scores": [comparison_value(each) for each in found],
            }
        )
    elif chosen == "csv":
        put(comparison_csv(found))
    elif chosen == "md":
        put(comparison_markdown(found))
    elif found:
        put_comparison(found)
        _put_cases(found)
    else:
        say(f"neither {before.job_id} nor {after.job_id} has scores")
    failing = under_limits(group_scores(after, seed=seed), (), limits, declared=after.declared)
    judged = [each.name for each in found if must_not_regress and each.only_before]
    failing += without_judge(after, dict.fromkeys([*limits, *judged]))
    return [*failing, *(regressions(found) if must_not_regress else [])]


def _put_cases(comparisons: Sequence[ScoreComparison]) -> None:
    from orc.cli.assess.tables import put_cases, score_title

    for each in comparisons:
        title = safe(score_title(each.name, each.who))
        for change, cases in (("worse", each.regressions), ("better", each.improvements)):
            if not cases:
                continue
            put()
            put(f"{title}: {count_text(len(cases), 'case')} {change}")
            put_cases(cases[:_SHOWN_MAX])
            if len(cases) > _SHOWN_MAX:
                left = number_text(len(cases) - _SHOWN_MAX)
                put(f"... and {left} more: --format csv lists all")
        if each.only_before or each.only_after:
            put()
            lost = (
                f" ({number_text(each.lost)} failed or broken in the second)" if each.lost else ""
            )
            put(
                f"{title}: not compared: {count_text(each.only_before, 'case')} only in the "
                f"first job{lost}, {count_text(each.only_after, 'case')} only in the second"
            )
