"""Problems of a spec that only the whole resolved job shows: budgets, long ids, shared paths."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orc.ledger.definition import JobDef, walk_steps
from orc.ledger.step_names import STEP_CHARS_MAX
from orc.ledger.wording import number_text
from orc.scheduler.core.errors import Problem, nearest
from orc.scheduler.core.resolve.columns_used import unknown_columns
from orc.scheduler.core.resolve.flow import oversized_prompts, unbounded_prompts
from orc.scheduler.core.resolve.item_keys import RowsOf, bad_keys
from orc.scheduler.core.resolve.known_steps import bad_settings
from orc.scheduler.core.resolve.path_owners import find_shared_paths
from orc.scheduler.core.resolve.step_tree import path_in_spec, too_long_names
from orc.scheduler.core.resolve.targets import TargetRules
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.spec.parse import Spec


def problems_of_whole(
    spec: Spec, definition: JobDef, rules: TargetRules, rows_of: RowsOf
) -> Iterator[Problem]:
    """The problems of the definition, with their places in the spec."""
    for name, error in bad_settings(definition, rules):
        place = path_in_spec(name, spec.steps)
        yield spec.problem(f"{dotted(place)}.{error}", *error.path(place))
    for step_id in unbounded_prompts(definition):
        place = path_in_spec(step_id, spec.steps)
        yield spec.problem(
            f"{dotted(place)}: has a budget for tokens or money and needs "
            "`params: {max_tokens: ...}`: without it, the cost of its reply has no limit",
            *place,
            key=True,
        )
    for step_id in too_long_names(definition.steps):
        place = path_in_spec(step_id, spec.steps)
        yield spec.problem(
            f"{dotted(place)}: step {step_id.rpartition('/')[2]!r} is in so many groups that its whole "
            f"id, with the items around it, may have more than {number_text(STEP_CHARS_MAX)} "
            "characters; use shorter ids, or fewer groups in each other",
            *place,
            key=True,
        )
    for step_id, reply, limit in oversized_prompts(definition):
        place = path_in_spec(step_id, spec.steps)
        yield spec.problem(
            f"{dotted(place)}: may never call its model: `max_tokens` of its reply is "
            f"{number_text(reply)}, and its budget has {number_text(limit)} tokens; raise "
            "`budget.max_tokens`, or lower `params.max_tokens`",
            *place,
            key=True,
        )
    for found in find_shared_paths(definition):
        place = path_in_spec(found.step, spec.steps)
        where = place
        if place[-1] != "workflow":
            where = (*place, "files") if found.index is None else (*place, "files", found.index)
        yield spec.problem(f"{dotted(where)}: {found.message}", *where)
    for name, message in bad_keys(definition, rows_of):
        where = ("steps", name, "key")
        yield spec.problem(f"steps.{name}.{message}", *where)
    for place, message in unknown_columns(spec.steps, definition.read):
        yield spec.problem(f"{dotted(place)}: {message}", *place)
    yield from _judged_nowhere(spec, definition)


def _judged_nowhere(spec: Spec, definition: JobDef) -> Iterator[Problem]:
    """Scores about a step that the job cannot have: a literal `of` whose step is not in the spec."""
    ids = {step.id for step in definition.steps}
    for step in definition.steps:
        for inner in walk_steps((step,)):
            for name, score in inner.score.items():
                top = re.split(r"[\[#/]", score.of or "", maxsplit=1)[0]
                if score.of is None or "${{" in score.of or top in ids:
                    continue
                place: Path = ("steps", step.id)
                if inner is step:
                    place = (*place, "score", name, "of")
                yield spec.problem(
                    f"{dotted(place)}: the score {name!r} is about the step {score.of[:60]!r}, which "
                    f"is not in the spec{nearest(top, ids)}",
                    *place,
                )
