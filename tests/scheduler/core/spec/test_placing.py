"""Where steps run, and what they need there: the keys of the spec, and what they resolve to."""

from __future__ import annotations

import pytest

from orc.ledger.definition import JobDef, ShippedDef, StepDef, dump_job, dump_step, load_job
from orc.ledger.digest import Digest
from orc.ledger.stored_struct import load
from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.fold.compare import find_changes
from orc.scheduler.core.resolve.job import build_job
from tests.builders import settings

FOUND = ShippedDef(path="a.py", sha256=Digest("0" * 64), size_bytes=3, mode="755")


def resolve(text: str, **fields: object) -> JobDef:
    return build_job(f"project: p\n{text}", source_name="s.yaml", settings=settings(**fields))[1]


def refusals(text: str, **fields: object) -> str:
    with pytest.raises(SpecError) as caught:
        resolve(text, **fields)
    return "\n".join(problem.message for problem in caught.value.problems)


def executors(text: str, **fields: object) -> dict[str, str]:
    return {step.id: step.executor for step in resolve(text, **fields).steps}


def test_a_step_without_the_keys_has_the_definition_that_it_always_had() -> None:
    step = resolve("steps: {a: {run: date}}").steps[0]
    assert not step.is_remote
    keys = {"executor", "resources", "labels", "queue_timeout_s"}
    assert keys.isdisjoint(dump_step(step))
    assert "ship" not in dump_job(resolve("steps: {a: {run: date}}"))


def test_the_executor_of_the_step_comes_before_that_of_the_defaults_and_of_the_job() -> None:
    steps = "steps: {a: {run: date}, b: {python: 'm:f', executor: gpus}, c: {value: 1}}"
    of_job = executors(f"executor: cluster\n{steps}")
    assert of_job == {"a": "cluster", "b": "gpus", "c": "local"}
    of_defaults = executors(f"executor: cluster\ndefaults: {{executor: local}}\n{steps}")
    assert of_defaults == {"a": "local", "b": "gpus", "c": "local"}


def test_the_caller_can_move_one_step_or_all() -> None:
    text = "steps: {a: {run: date}, b: {run: date, executor: gpus}}"
    assert executors(text, executors={"": "local"}) == {"a": "local", "b": "local"}
    moved = executors(text, executors={"": "cluster", "b": "gpus"})
    assert moved == {"a": "cluster", "b": "gpus"}
    assert "no step 'x'" in refusals(text, executors={"x": "cluster"})


def test_the_caller_cannot_move_a_step_that_has_no_executor() -> None:
    text = "steps: {v: {value: 1}, p: {prompt: hi}, g: {steps: {a: {run: date}, v: {run: date}}}}"
    found = refusals(text, executors={"v": "cluster", "p": "cluster", "g": "cluster"})
    assert "--executor: step 'p' has neither run nor python: calls of a model are sent by" in found
    assert "--executor: step 'g' has neither run nor python: set it at the steps inside" in found
    assert "'v'" not in found  # A command inside the group has this id, too.


def test_the_steps_of_a_workflow_run_where_those_around_it_do() -> None:
    inner = "project: q\nsteps: {b: {run: date}, c: {run: date, executor: local}}\n"
    text = "executor: cluster\nsteps: {a: {workflow: w.yaml}}"
    (around,) = resolve(text, read_text=lambda name: inner).steps
    assert [step.executor for step in around.steps] == ["cluster", "local"]
    own = f"executor: gpus\n{inner}"
    (around,) = resolve(text, read_text=lambda name: own).steps
    assert [step.executor for step in around.steps] == ["gpus", "local"]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("{prompt: hi, executor: cluster}", "start a server there and set `base_url`"),
        (
            "{embed: {texts: x}, provider: openai/e, files: [{path: x.npy}], executor: cluster}",
            "start a server there and set `base_url`",
        ),
        ("{value: 1, executor: cluster}", "a value is computed by the process that runs the job"),
        (
            "{approval: {message: ok}, executor: cluster}",
            "a person is asked by the process that runs the job",
        ),
        ("{steps: {b: {run: date}}, executor: cluster}", "set it at the steps inside"),
    ],
)
def test_what_is_no_command_or_function_has_no_executor(step: str, words: str) -> None:
    found = refusals(f"steps: {{a: {step}}}")
    assert "steps.a.executor: is allowed in a step with run or python only" in found
    assert words in found


def test_a_workspace_is_for_steps_on_this_machine() -> None:
    words = "the folder of a workspace is on this machine, and the step runs on 'cluster'"
    own = refusals("steps: {a: {run: date, executor: cluster, workspace: w}}")
    assert own.count(words) == 1
    assert words in refusals("executor: cluster\nsteps: {a: {run: date, workspace: w}}")
    group = "steps: {g: {workspace: w, steps: {a: {run: date, executor: cluster}}}}"
    assert words in refusals(group)
    resolve("steps: {a: {run: date, executor: local, workspace: w}}")


def test_an_unknown_executor_is_refused_where_executors_are_known() -> None:
    text = "steps: {a: {run: date, executor: clutser}}"
    assert executors(text) == {"a": "clutser"}
    found = refusals(text, executor_names=("local", "cluster"))
    assert "steps.a.executor: unknown executor 'clutser'; did you mean 'cluster'?" in found
    assert "executors.yaml names others" in found
    assert "known: local;" in refusals(text, executor_names=("local",))
    resolve("executor: nowhere\nsteps: {a: {value: 1}}", executor_names=("local",))


def test_an_executor_with_the_name_of_a_provider_is_refused() -> None:
    found = refusals("steps: {a: {run: date, executor: ollama}}")
    assert "'ollama' is the name of a provider" in found


def test_the_name_of_an_executor_is_a_limit() -> None:
    text = "concurrency: {total: 2, cluster: 64}\nsteps: {a: {run: date, executor: cluster}}"
    assert resolve(text).concurrency == {"total": 2, "cluster": 64}
    other = "concurrency: {total: 2, clusters: 64}\nsteps: {a: {run: date, executor: cluster}}"
    assert "no provider or executor 'clusters'" in refusals(other)
    local = refusals("concurrency: {local: 2}\nsteps: {a: {run: date}}")
    assert "the limit of the executor `local` is `total`" in local


def test_an_attempt_needs_the_amount_of_its_number_and_later_ones_the_last() -> None:
    needs = "{cpu: 4, memory: [16G, 32G], gpu: 0.5, time: 2h, scratch: 20G, licenses: [1, 2]}"
    step = resolve(f"steps: {{a: {{run: date, resources: {needs}}}}}").steps[0]
    gib = 1024**3
    assert step.resources_of(1) == {
        "cpu": 4,
        "memory": 16 * gib,
        "gpu": 0.5,
        "time": 7200,
        "scratch": 20 * gib,
        "licenses": 1,
    }
    assert [step.resources_of(attempt)["memory"] // gib for attempt in (1, 2, 3)] == [16, 32, 32]
    assert step.resources_of(9)["licenses"] == 2
    assert load_job(dump_job(resolve(f"steps: {{a: {{run: date, resources: {needs}}}}}")))


@pytest.mark.parametrize(
    "needs",
    [
        "{cpu: -1}",
        "{cpu: true}",
        "{cpu: []}",
        "{cpu: .inf}",
        "{cpu: .nan}",
        "{memory: much}",
        "{memory: [1G, 0]}",
        "{time: soon}",
        "{licenses: many}",
        "{'a b': 1}",
    ],
)
def test_an_invalid_amount_is_refused(needs: str) -> None:
    assert "resources" in refusals(f"steps: {{a: {{run: date, resources: {needs}}}}}")


def test_labels_and_the_wait_for_a_worker_are_recorded() -> None:
    (step,) = resolve(
        "steps: {a: {run: date, labels: [a100, a100, fast], queue_timeout: 1d}}"
    ).steps
    assert (step.labels, step.queue_timeout_s) == (("a100", "fast"), 86400.0)
    assert "labels" in refusals("steps: {a: {run: date, labels: ['a b']}}")


def test_files_to_ship_are_read_at_submission() -> None:
    asked: list[tuple[str, ...]] = []

    def ship(patterns: tuple[str, ...]) -> tuple[ShippedDef, ...]:
        asked.append(patterns)
        return (FOUND,)

    text = "ship: ['*.py', 'scripts/**']\nsteps: {a: {run: date}}"
    definition = resolve(text, ship=ship)
    assert (definition.ship, asked) == ((FOUND,), [("*.py", "scripts/**")])
    assert load_job(dump_job(definition)).ship == (FOUND,)
    assert "ship: the spec has no folder" in refusals(text)


@pytest.mark.parametrize("pattern", ["/etc/*", "../*.py", "a//b", "~/x", ".git/*"])
def test_a_pattern_to_ship_stays_in_the_folder_of_the_spec(pattern: str) -> None:
    found = refusals(f"ship: ['{pattern}']\nsteps: {{a: {{run: date}}}}", ship=lambda names: ())
    assert "ship[0]: " in found


def test_an_older_definition_loads_as_local() -> None:
    assert load(StepDef, {"id": "a", "kind": "run", "run": "date"}).executor == "local"


def test_another_place_to_run_is_no_change_of_the_step() -> None:
    before = resolve("steps: {a: {run: date}}")
    keys = "executor: cluster, resources: {cpu: 2}, labels: [fast], queue_timeout: 1h"
    assert find_changes(before, resolve(f"steps: {{a: {{run: date, {keys}}}}}")) == {}
    assert find_changes(before, resolve("steps: {a: {run: pwd}}")) == {"a": ("run",)}
