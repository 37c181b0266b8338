"""What a step used and tolerated together with the steps inside it: items, rounds and members."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orc.projections.folds.tolerated import Tolerated
from orc.projections.tables.rows import StepRow


class Usage:
    """The calls of a step, with their tokens and cost; the fields are as in `StepRow`."""

    def __init__(self, step: StepRow) -> None:
        self.calls = step.calls
        self.input_tokens = step.input_tokens
        self.output_tokens = step.output_tokens
        self.cost_nano_usd = step.cost_nano_usd
        self.calls_unpriced = step.calls_unpriced

    def value(self) -> dict[str, int | None]:
        """The fields by their names."""
        return dict(vars(self))

    @property
    def tokens(self) -> int:
        """The sum of input and output tokens."""
        return self.input_tokens + self.output_tokens

    def add(self, step: StepRow) -> None:
        """Add what a step used itself."""
        self.calls += step.calls
        self.input_tokens += step.input_tokens
        self.output_tokens += step.output_tokens
        self.calls_unpriced += step.calls_unpriced
        if step.cost_nano_usd is not None:
            self.cost_nano_usd = (self.cost_nano_usd or 0) + step.cost_nano_usd


def usage_by_step(steps: Iterable[StepRow]) -> dict[str, Usage]:
    """What each step and the steps inside it used, by the id of the step."""
    by_name = {step.name: step for step in steps}
    found = {name: Usage(step) for name, step in by_name.items()}
    for step in by_name.values():
        around = by_name.get(step.parent or "")
        while around is not None:
            found[around.name].add(step)
            around = by_name.get(around.parent or "")
    return found


def tolerated_by_step(
    steps: Iterable[StepRow], own: Mapping[str, Tolerated]
) -> dict[str, Tolerated]:
    """The tolerated failures of each step and of the steps inside it; `own` are those of each."""
    by_name = {step.name: step for step in steps}
    found: dict[str, Tolerated] = {}
    for owner, tolerated in own.items():
        for name in _around(by_name[owner], by_name) if owner in by_name else ():
            found.setdefault(name, Tolerated()).counts.update(tolerated.counts)
    return found


def total_of(own: Mapping[str, Tolerated]) -> Tolerated:
    """The tolerated failures of all steps together."""
    found = Tolerated()
    for tolerated in own.values():
        found.counts.update(tolerated.counts)
    return found


def _around(step: StepRow, by_name: Mapping[str, StepRow]) -> Iterator[str]:
    """The step, then the steps that contain it."""
    inner: StepRow | None = step
    while inner is not None:
        yield inner.name
        inner = by_name.get(inner.parent or "")
