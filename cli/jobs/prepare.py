"""From a spec and options to a job that can be submitted: all that can fail before it exists."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.jobs.caller.budgets import check_prices
from orc.cli.jobs.caller.prices import find_own_prices, read_prices
from orc.cli.jobs.caller.providers import build_providers, find_dropped
from orc.cli.jobs.caller.replies import read_replies_for_run
from orc.cli.jobs.caller.secrets import hide_in_inputs, needed_steps, read_mask, refuse_written_out
from orc.cli.jobs.caller.spec_files import SpecFiles, read_spec_file
from orc.cli.jobs.caller.templates import read_template
from orc.ledger.definition import JobDef, walk_steps
from orc.ledger.masking import Mask
from orc.projections.money.prices import PriceTable
from orc.providers import REGISTRY, Provider
from orc.providers.catalogue import DEFAULT_PROVIDER
from orc.providers.registry import missing_package
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.resolve.job import build_job
from orc.scheduler.core.resolve.prompt import ProviderFacts, Settings
from orc.scheduler.core.spec.parse import Spec


@dataclass(frozen=True, slots=True)
class Submission:
    """A spec and how it is to be run; `text` stands for a file where there is none.

    `stream` is the prompt step whose text is wanted as it comes; `until` are the steps to
    stop after. `output_dir` is in place of the spec's. `name` is what messages call a spec
    without a file.
    """

    path: Path | None = None
    text: str | None = None
    provider: str | None = None
    model: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    replies: Path | None = None
    strict: bool = False
    stream: str | None = None
    prices: PriceTable | None = None
    until: tuple[str, ...] = ()
    output_dir: Path | None = None
    name: str = "spec.yaml"


def prepare(
    submission: Submission, environment: Mapping[str, str], *, files: SpecFiles | None = None
) -> tuple[Spec, JobDef]:
    """Read and check a spec, and the files that it names; nothing is written.

    Raises SpecError, UsageProblem.
    """
    text, name = read_spec(submission)
    files = files or SpecFiles(spec_dir_of(submission))
    settings = Settings(
        providers={
            entry.name: ProviderFacts(entry.default_model, entry.model_variables, entry.has_address)
            for entry in REGISTRY.values()
        },
        default_provider=DEFAULT_PROVIDER,
        environment=environment,
        provider=submission.provider,
        model=submission.model,
        inputs=submission.inputs,
        submit_dir=os.getcwd(),
        output_dir=None if submission.output_dir is None else str(submission.output_dir.absolute()),
        take_file=files.take,
        read_text=files.read_text,
        read_template=lambda name: read_spec_or_template(files, name),
    )
    spec, definition = build_job(text, source_name=name, settings=settings)
    _check_budget(submission, definition, environment)
    return spec, definition


@dataclass(frozen=True, slots=True)
class Prepared:
    """A submission that can become a job: checked, with its replies read and its providers made."""

    submission: Submission
    spec: Spec
    definition: JobDef
    replies: Any
    providers: dict[str, Provider]
    files: SpecFiles
    mask: Mask


def prepare_run(
    submission: Submission, environment: Mapping[str, str], *, is_run: bool = True
) -> Prepared:
    """All that can fail before there is a job; nothing is written.

    A job that is not run yet needs no providers and no secrets: its resume does. Raises
    SpecError, UsageProblem, EnvironmentProblem.
    """
    files = SpecFiles(spec_dir_of(submission))
    spec, definition = prepare(submission, environment, files=files)
    refuse_missing_extras(definition)
    if submission.stream is not None:
        _check_stream(submission.stream, definition)
    check_step_names("--until", submission.until, {step.id for step in definition.steps})
    steps = needed_steps(definition, submission.until) if is_run else ()
    mask = read_mask(definition, environment, steps=steps)
    definition = hide_in_inputs(mask, definition)
    refuse_written_out(mask, definition, spec.text, spec.source_name, files.named())
    replies = read_replies_for_run(definition, given=submission.replies, spec=submission.path)
    replies = mask.value(replies)
    providers: dict[str, Provider] = {}
    if is_run:
        providers = build_providers(definition, environment, replies=replies)
    if submission.strict and is_run:
        _refuse_dropped(definition, providers)
    return Prepared(submission, spec, definition, replies, providers, files, mask)


def refuse_missing_extras(definition: JobDef) -> None:
    """Refuse a job that names a provider, a fallback too, whose extra is not installed.

    Before anything is spent: a fallback would fail only when its turn comes. Raises
    EnvironmentProblem with the command that installs what is missing.
    """
    for step in walk_steps(definition.steps):
        for target in step.targets():
            missing = missing_package(REGISTRY[target.provider])
            if missing is not None:
                raise EnvironmentProblem(f"step {step.id!r} names {target.provider}, and {missing}")


def read_spec(submission: Submission) -> tuple[str, str]:
    """The spec's text and what messages call it. Raises UsageProblem, SpecError."""
    if submission.path is not None:
        return read_spec_file(submission.path)
    assert submission.text is not None
    return submission.text, submission.name


def spec_dir_of(submission: Submission) -> Path:
    """The folder that paths in the spec are relative to."""
    path = submission.path
    return Path.cwd() if path is None else path.absolute().parent


def read_spec_or_template(files: SpecFiles, name: str) -> str:
    """A template beside the spec, where the name is a file's; else a built-in one."""
    if name.endswith((".yaml", ".yml")):
        return files.read_text(name)
    return read_template(name)


def check_step_names(option: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse a name that is no step's. Raises UsageProblem."""
    for name in names:
        if name not in known:
            raise UsageProblem(f"{option}: there is no step {name!r}{nearest(name, known)}")


def _check_budget(
    submission: Submission, definition: JobDef, environment: Mapping[str, str]
) -> None:
    if definition.budget is None and all(
        step.budget is None for step in walk_steps(definition.steps)
    ):
        return
    prices = submission.prices
    if prices is None:
        database = Path(environment.get("ORC_DB") or "runs.db").absolute()
        prices = read_prices(find_own_prices(database, environment))
    check_prices(definition, prices)


def _check_stream(step_id: str, definition: JobDef) -> None:
    kinds = {step.id: step.facts for step in definition.steps}
    if step_id not in kinds:
        raise UsageProblem(f"--stream: there is no step {step_id!r}{nearest(step_id, kinds)}")
    if not kinds[step_id].calls_model:
        what = kinds[step_id].name
        raise UsageProblem(f"--stream: step {step_id!r} asks no model (it is a {what})")


def _refuse_dropped(definition: JobDef, providers: Mapping[str, Provider]) -> None:
    for step_id, target, dropped in find_dropped(definition, providers):
        raise UsageProblem(
            f"step {step_id!r}: {target.provider} does not know {', '.join(dropped)}; "
            "remove it, or run without --strict"
        )
