"""`orc score`: records a person's scores of a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from orc.cli.errors import UsageProblem
from orc.cli.ledger_access import find_places
from orc.cli.options import Database, Job, Json
from orc.cli.parameters import Argument, Option
from orc.cli.terminal.text import put_json, say
from orc.ledger.command_lines import quoted_command
from orc.ledger.wording import count_text


def command(
    job: Job,
    step: Annotated[
        str,
        Argument(
            help="The step whose result is scored, such as answer[0].",
            metavar="STEP",
            complete="complete_steps",
        ),
    ],
    scores: Annotated[
        list[str],
        Argument(
            help="A name with a number, or with true or false: quality=8 good=true.",
            metavar="NAME=VALUE...",
        ),
    ],
    why: Annotated[
        str | None, Option(help="An explanation, kept with the scores.", metavar="TEXT")
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Record your own scores of a step's result.

    The job may run or have ended. A score of the same name by the same person is replaced.
    """
    import trio

    # Imported here: completion, help and an error of the line need only the options.
    from orc.cli.jobs.assess.record import Assessment
    from orc.cli.jobs.assess.record import score as score_result

    values = _parse(scores)

    async def call() -> Assessment:
        return await score_result(job, step, values, why=why, places=find_places(database))

    done = trio.run(call)
    if as_json:
        put_json({"job_id": done.job_id, "step": step, "scores": values, "why": why})
    else:
        said = f"{count_text(len(values), 'score')} of {step} recorded"
        say(f"{done.job_id}: {said}; {quoted_command('scores', done.job_id)} shows all")
    return 0


def _parse(texts: Sequence[str]) -> dict[str, bool | float]:
    from orc.cli.jobs.assess.record import parse_score

    found: dict[str, bool | float] = {}
    for text in texts:
        name, equals, given = text.partition("=")
        value = parse_score(given)
        if not equals or not name or value is None:
            raise UsageProblem(
                f"{text}: must be NAME=VALUE with a number, true or false, such as quality=8"
            )
        if name in found:
            raise UsageProblem(f"{name}: is given twice; give it once")
        found[name] = value
    return found
