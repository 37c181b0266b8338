"""What `orc validate` and `orc plan` make of a spec, under watch: problems, or a job that plans."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

from orc.cli.commands.plan import plan_value
from orc.cli.errors import UsageProblem
from orc.cli.jobs.plan import build_plan
from orc.cli.jobs.prepare import Submission, prepare
from orc.cli.terminal.problems import problem_lines
from orc.cli.terminal.text import safe
from orc.ledger.definition import dump_job
from orc.ledger.digest import canonical_json
from orc.projections import mermaid_graph, text_graph
from orc.projections.money.prices import NO_PRICES
from orc.projections.pictures.graph_dot import dot_graph
from orc.projections.pictures.graph_svg import draw_graph
from orc.projections.pictures.nodes import nodes_of_needs
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.fold.graph import build_graph
from orc.scheduler.core.spec.model import JobSpec
from orc.scheduler.effects.targets import target_rules
from orc.scheduler.forecast import StepForecast
from tests.cli.command_line import control_characters
from tests.fuzz.watched import watched

LONGEST_S = 10.0
_WARM = (
    "project: x\nbudget: {max_calls: 3}\ninputs: {n: {type: integer, default: 1}}\nsteps:\n"
    "  a: {prompt: 'hi ${{ inputs.n + 1 }}', output: {format: json, schema: {type: object}}}\n"
    "  b: {run: 'echo ${{ steps.a.output.x | default(1) }}', if: always()}\n"
    "  c: {value: '${{ steps[1] }} é'}\n"
)


def examine(path: Path) -> list[str] | None:
    """The problems of the spec as lines for a terminal; none when it is a job.

    Any error but those of the spec comes out, and so does anything done besides reading.
    """
    _warm_up()
    started = time.process_time()
    with watched():
        found = _examine(path)
    took_s = time.process_time() - started
    assert took_s < LONGEST_S, f"{path}: {took_s:.1f} s"
    assert found is None or (found and control_characters("".join(found)) == set()), found
    return found


def _examine(path: Path) -> list[str] | None:
    try:
        _, definition = prepare(Submission(path=path, prices=NO_PRICES), {})
    except SpecError as error:
        return list(problem_lines(error))
    except UsageProblem as error:
        return [safe(error)]
    needs = {step.id: list(step.needs) for step in definition.steps}
    build_graph(definition.steps)
    nodes = nodes_of_needs(needs)
    text_graph(nodes)
    mermaid_graph(nodes)
    dot_graph(nodes)
    draw_graph(nodes)
    verdicts = dict.fromkeys(needs, StepForecast("runs"))
    plan_value(build_plan(definition, None, None, None, NO_PRICES, verdicts, target_rules({}), {}))
    canonical_json(dump_job(definition))
    return None


@lru_cache(maxsize=1)
def _warm_up() -> None:
    """Have everything imported that a spec can ask for: imports do what a spec may not."""
    JobSpec.model_json_schema()  # for messages about wrong values; pydantic loads modules for it
    import encodings.cp037
    import tempfile

    import jsonschema
    import referencing

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        for text in (_WARM, _WARM.replace("c: {", "d: {nope: 1, "), "project: [", "project: x\n"):
            path.write_text(text)
            _examine(path)
    from orc.cli.jobs.caller import prices as pricing
    from orc.cli.jobs.caller import templates as starting

    assert all((pricing, starting, encodings, jsonschema, referencing))
