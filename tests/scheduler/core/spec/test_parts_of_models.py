"""A mapping is read with the validators of the keys that are there: as by the whole model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from orc.scheduler.core.spec import readers
from orc.scheduler.core.spec.app_template import app_steps
from orc.scheduler.core.spec.base import Strict
from orc.scheduler.core.spec.model import JobSpec, StepSpec
from orc.scheduler.core.spec.readers import _reader_of, read_job, step_reader

VALUES = [
    *(None, True, 0, -1, 1.5, 1e30, "", "x", "x y", "10s", "${{ x }}"),
    *([], ["x"], [1], [None], ["x", 1], {}, {"x": [1]}, {1: 2}, {"file": "x"}),
    *({"max_attempts": 0}, {"glob": "x", "nope": 1}, {"message": "x", "options": []}),
    *({"total": "x"}, {"temperature": "x", "openai": {"n": 2}}, {"x": {"run": 1, "nope": 1}}),
]
NOT_ONE_KEY: list[Any] = [
    *(None, 7, "x", [], {}, {1: 2}, {"nope": 1}, {"x": 1}, {"if_": "x"}),
    {"run": 1, "retry": {"max": "x"}, "nope": None, "files": [1, None]},
    {"project": "p", "steps": {"a": {"run": 1}}, "inputs": {"i": 1}},
    {"run": "true", "needs": "x", "env": {"A": None}, "if": True, "as": "y", "with": {"a": 1}},
]


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes it as if no model had been built."""

    def forget() -> None:
        monkeypatch.setattr(readers, "_parts", {})
        for model in (JobSpec, StepSpec):
            monkeypatch.setattr(model, "__pydantic_complete__", False)

    forget()
    return forget


def outcome(read: Callable[[Any], Strict], raw: Any) -> Any:
    try:
        found = read(raw)
    except ValidationError as error:
        return [{key: repr(one) for key, one in item.items()} for item in error.errors()]
    return type(found), found.model_fields_set, {**vars(found)}, found.model_dump()


def groups_of(model: type[Strict]) -> Iterator[list[Any]]:
    """Mappings to read, those with the same keys together."""
    yield from ([raw] for raw in NOT_ONE_KEY)
    needed = {"project": "p"} if model is JobSpec else {}
    for name, field in model.model_fields.items():
        yield [{**needed, field.alias or name: value} for value in VALUES]


@pytest.mark.parametrize("model", [JobSpec, StepSpec])
def test_a_part_reads_what_the_whole_model_reads(
    model: type[Strict], new_process: Callable[[], None]
) -> None:
    refused = 0
    for raws in groups_of(model):
        new_process()
        read = _reader_of(model, raws)
        assert read != model.model_validate
        for raw in raws:
            expected = outcome(model.model_validate, raw)
            assert outcome(read, raw) == expected, raw
            refused += isinstance(expected, list)
    assert refused > 300


def test_one_part_reads_all_steps_of_a_spec(new_process: Callable[[], None]) -> None:
    raws = [{"run": "true", "timeout": "1s"}, {"python": "m:f", "if": "x"}, "no step"]
    read = step_reader(raws)
    found = [outcome(read, raw) for raw in raws]

    assert set(readers._parts[StepSpec].model_fields) == {"run", "timeout", "python", "if_"}
    assert _reader_of(StepSpec, [{"run": "x", "if": "y"}]) != StepSpec.model_validate
    assert _reader_of(StepSpec, [{"retry": 2}]) == StepSpec.model_validate, "the second is whole"
    assert found == [outcome(StepSpec.model_validate, raw) for raw in raws]


def test_a_part_with_more_fields_gives_only_those_of_the_mapping(
    new_process: Callable[[], None],
) -> None:
    both, one = {"project": "p", "tags": ["a"], "cache": "job"}, {"project": "p", "cache": "job"}
    read = _reader_of(JobSpec, [both])
    found = [outcome(read, raw) for raw in (both, one)]

    assert found == [outcome(JobSpec.model_validate, raw) for raw in (both, one)]


def test_a_job_is_read_in_part_without_its_anchors(new_process: Callable[[], None]) -> None:
    raw = {"project": "p", "tags": ["a"], "x-common": {"retry": None}}
    found = outcome(read_job, raw)

    assert not JobSpec.__pydantic_complete__
    assert found == outcome(JobSpec.model_validate, raw)


def test_the_steps_of_the_built_in_template_are_valid() -> None:
    for step in app_steps().values():
        given = step.model_dump(exclude_unset=True, by_alias=True)
        assert StepSpec.model_validate(given) == step


def test_a_small_spec_builds_no_whole_model() -> None:
    code = """
from orc.scheduler.core.spec.model import JobSpec, StepSpec
from orc.scheduler.core.spec.parse import examine
spec = "project: p\\ntags: [a]\\nsteps:\\n  a: {run: x, timeout: 1s}\\n"
assert not examine(spec, source_name="s")[1]
assert not examine("project: p\\ntask_description: t\\n", source_name="s")[1]
assert not JobSpec.__pydantic_complete__
assert not StepSpec.__pydantic_complete__
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
