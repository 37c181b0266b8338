"""A spec that was resolved leaves nothing behind but its definition."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from orc.cli.jobs.prepare import Submission, prepare
from orc.scheduler.core.spec.model import StepSpec

SPEC = """\
project: freed
inputs: {who: {default: you}}
servers: {near: {base_url: 'http://127.0.0.1:9', model: m}}
steps:
  plain: {value: 1}
  ask: {prompt: 'Hello ${{ inputs.who }}', provider: near, timeout: 5}
  act: {run: 'true', needs: [ask]}
  group: {steps: {inner: {value: '${{ inputs.who }}'}}}
"""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_no_cycle_keeps_the_steps_of_a_spec_that_was_resolved() -> None:
    before = {id(one) for one in gc.get_objects() if isinstance(one, StepSpec)}
    spec, definition = prepare(Submission(text=SPEC), {})
    assert len(definition.steps) == len(spec.steps)
    del spec
    kept = [one for one in gc.get_objects() if isinstance(one, StepSpec) and id(one) not in before]
    assert kept == []
