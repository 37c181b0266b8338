"""Why the calls of a step cannot be submitted in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orc.scheduler.core.resolve.targets import TargetRules
from orc.scheduler.core.spec.model import DefaultsSpec, StepSpec


def batch_problems(
    step: StepSpec,
    defaults: DefaultsSpec,
    targets: Mapping[str, Any],
    *,
    rules: TargetRules,
    switched: str,
) -> Iterator[str]:
    """What forbids the `batch` of a step, which is its own or that of `defaults`.

    `targets` are the fields of its definition. `switched` is the provider that the caller names.
    """
    instead = "" if step.batch is not None else ", or set `batch: false`"
    named = switched.partition("/")[0] if step.provider is None else ""
    names = [targets["provider"], *(other.provider for other in targets.get("fallback", ()))]
    for place, name in enumerate(names):
        if name and name not in names[:place] and (problem := rules.batch_problem(name)):
            is_named = place == 0 and name == named
            source = f"the command line or the environment names {name!r}; " if is_named else ""
            yield f"{source}{problem}, or set `batch: false`"
    if step.tools:
        yield (
            "a conversation with `tools` would wait for a batch in each turn; remove one of them"
            + instead
        )
    if step.wait_for_server or defaults.wait_for_server:
        key = "wait_for_server" if step.wait_for_server else "defaults.wait_for_server"
        yield (
            f"a batch does not wait for a server that is not ready (`{key}`); remove one of them"
            + instead
        )
