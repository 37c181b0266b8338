"""Every key of the language says whether it is rendered, and a template is never taken literally."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from orc.scheduler.core.errors import SpecError
from orc.scheduler.core.resolve.job import build_job
from orc.scheduler.core.spec import rendered_keys
from orc.scheduler.core.spec.base import FileText, Strict
from orc.scheduler.core.spec.check_templates import models_in
from orc.scheduler.core.spec.model import JobSpec
from orc.scheduler.core.spec.parse import parse_spec
from orc.scheduler.core.spec.rendered_keys import Rendered, rendered
from tests.builders import settings
from tests.each_case import each_case

MODELS: list[type[BaseModel]] = [
    model
    for model in Strict.__subclasses__()
    if model.__module__.startswith("orc.scheduler.core.spec.")
]
PLAIN = "project: p\nsteps: {a: {prompt: hi}}\n"


def test_every_key_of_every_mapping_is_decided_once() -> None:
    assert FileText in MODELS
    assert len(MODELS) > 15
    decided = [
        (name, key)
        for name, row in rendered_keys._TABLE.items()
        for keys in row.values()
        for key in keys.split()
    ]
    every = {(model.__name__, key) for model in MODELS for key in model.model_fields}
    assert len(decided) == len(set(decided))
    assert set(decided) == every


def test_a_key_with_keys_of_its_own_has_one_mapping_and_is_decided_there() -> None:
    for model in MODELS:
        for key, field in model.model_fields.items():
            inside = set(models_in(field.annotation)) - {FileText}
            when = rendered(model, key)
            # The content of a message is a text, or a list of parts.
            is_mapping = len(inside) == 1 and key != "content"
            assert (when is Rendered.INSIDE) == is_mapping, (model.__name__, key)


def never() -> list[str]:
    """A template in each key that is not rendered, as a spec."""
    values = {"JobSpec": "{key}: {value}\nsteps: {{a: {{prompt: hi}}}}"}
    values["StepSpec"] = "steps: {{a: {{prompt: hi, {key}: {value}}}}}"
    values["DefaultsSpec"] = "defaults: {{{key}: {value}}}\nsteps: {{a: {{prompt: hi}}}}"
    values["InputSpec"] = "inputs: {{x: {{{key}: {value}}}}}\nsteps: {{a: {{prompt: hi}}}}"
    values["BudgetSpec"] = "budget: {{{key}: {value}}}\nsteps: {{a: {{prompt: hi}}}}"
    values["RetrySpec"] = "steps: {{a: {{prompt: hi, retry: {{{key}: {value}}}}}}}"
    values["OutputSpec"] = "steps: {{a: {{prompt: hi, output: {{{key}: {value}}}}}}}"
    values["ToolSpec"] = "steps: {{a: {{prompt: hi, tools: [{{{key}: {value}}}]}}}}"
    values["LoopSpec"] = "steps: {{a: {{prompt: hi, loop: {{{key}: {value}}}}}}}"
    found = []
    for model in MODELS:
        for key, field in model.model_fields.items():
            if rendered(model, key) is Rendered.NEVER and model.__name__ in values:
                text = values[model.__name__].format(key=field.alias or key, value="'${{ 1 }}'")
                found.append(text if key == "project" else f"project: p\n{text}")
    return found


@each_case("spec", never())
def test_a_template_in_a_key_that_is_not_rendered_is_refused(spec: str) -> None:
    with pytest.raises(SpecError, match="is not rendered here") as refused:
        build_job(f"{spec}\n", source_name="spec.yaml", settings=settings())
    told = [found for found in refused.value.problems if "is not rendered" in found.message]
    assert len(told) == 1
    assert told[0].line > 0


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("value: {'${{ 1 }}': 1}", "steps.a.value.${{ 1 }}: a key cannot have a template"),
        ("prompt: hi, tools: ['${{ 1 }}']", "steps.a.tools[0]: `${{ }}` is not rendered"),
        ("prompt: hi, tools: ['a:${{ 1 }}']", "steps.a.tools[0]: `${{ }}` is not rendered"),
        (
            "prompt: hi, tools: [{python: 'a:b', name: '${{ 1 }}'}]",
            "steps.a.tools[0].name: `${{ }}` is not rendered",
        ),
        ("run: 'true', resources: {licence: '${{ 1 }}'}", "steps.a.resources.licence: `${{ }}`"),
        ("prompt: hi, params: {top_k: x}", "steps.a.params.top_k: must be a whole number; got 'x'"),
        ("prompt: hi, timeout: x", "steps.a.timeout: must be a duration"),
        ("value: 1, matrix: {a: '${{ matrix.b }}'}", "there is no 'matrix'"),
        ("value: 1, for_each: [1], max_parallel: '${{ item }}'", "there is no 'item'"),
        ("value: 1, for_each: [1], if: each.number > 1", "the fields of `each` are index, key"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_with_its_place(keys: str, said: str) -> None:
    spec = f"project: p\nsteps: {{a: {{{keys}}}}}\n"
    with pytest.raises(SpecError) as refused:
        build_job(spec, source_name="spec.yaml", settings=settings())
    assert [found for found in refused.value.problems if said in found.message]


@pytest.mark.parametrize("key", ["model", "provider", "task_description", "timeout"])
def test_a_key_of_the_job_sees_neither_steps_nor_the_id_of_the_job(key: str) -> None:
    for name, said in (("steps.a.output", "cannot refer to steps"), ("job.id", "has an id")):
        with pytest.raises(SpecError, match=said):
            parse_spec(f"{key}: ${{{{ {name} }}}}\n{PLAIN}")


def test_keys_that_begin_with_x_are_ignored_at_the_top_only() -> None:
    text = "x-notes: &notes {max_tokens: 5, note: '${{ nothing }}'}\nx-more: 1\n"
    spec = parse_spec(f"x-p: &p {{max_tokens: 5}}\nparams: *p\n{text}{PLAIN}")
    assert spec.job.params is not None
    assert spec.job.params.max_tokens == 5
    with pytest.raises(SpecError, match=r"steps\.a\.x-y: unknown key"):
        parse_spec("project: p\nsteps: {a: {prompt: hi, x-y: 1}}\n")


def test_the_schema_for_editors_says_the_same() -> None:
    schema = JobSpec.model_json_schema()
    assert list(schema["patternProperties"]) == ["^x-"]
    of_step = schema["$defs"]["StepSpec"]["properties"]
    assert of_step["model"]["templates"] == "when ready"
    assert of_step["workflow"]["not"] == {"pattern": r"\$\{\{"}
    assert {"type": "string", "pattern": r"\$\{\{"} in of_step["max_parallel"]["anyOf"]
