"""Prepares a submission: reads and checks everything that can fail before the job exists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from orc.about import install_command
from orc.cli.errors import EnvironmentProblem, UsageProblem
from orc.cli.jobs.caller.budgets import check_prices
from orc.cli.jobs.caller.executors import KnownExecutors
from orc.cli.jobs.caller.prices import find_own_prices, read_prices
from orc.cli.jobs.caller.providers import build_providers, find_dropped
from orc.cli.jobs.caller.read_inputs import InputReader
from orc.cli.jobs.caller.replies import read_replies_for_run
from orc.cli.jobs.caller.secrets import (
    hide_in_inputs,
    needed_steps,
    read_mask,
    refuse_secrets_in_spec,
)
from orc.cli.jobs.caller.servers import known_servers
from orc.cli.jobs.caller.set_up_providers import (
    choose_provider,
    names_no_provider,
    other_providers,
)
from orc.cli.jobs.caller.ship import read_shipped
from orc.cli.jobs.caller.spec_files import SpecFiles, folder_beside, read_spec_file
from orc.cli.jobs.caller.step_names import check_step_names
from orc.cli.jobs.caller.templates import read_template
from orc.ledger.command_lines import quoted_command
from orc.ledger.definition import REPLAY, JobDef, walk_steps
from orc.ledger.files.way import ledger_path
from orc.ledger.files.written_paths import current_folder, written_path
from orc.ledger.secrets.masking import Mask
from orc.projections.money.prices import PriceTable
from orc.providers import REGISTRY, Provider
from orc.providers.catalogue import DEFAULT_PROVIDER
from orc.providers.registry import missing_package
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.resolve.job import build_job
from orc.scheduler.core.resolve.known_steps import known_steps
from orc.scheduler.core.resolve.prompt import Settings
from orc.scheduler.core.spec.job_template import is_file
from orc.scheduler.core.spec.parse import Spec
from orc.scheduler.effects.targets import provider_facts, target_rules


class Submission(Struct, frozen=True):
    """A spec and the options of its run. The spec is the file `path`, or `text`.

    `stream` is the prompt step whose text is printed while it arrives. `until` are the steps to
    run, with the steps that they need. `output_dir` replaces that of the spec. `name` is used for
    `text` in messages. `executors` replaces the executors of the spec: by the ids of steps, and ""
    for all. `tags` are added to those of the spec. `default_provider` is that of a spec which names
    none. Without `needs_inputs` the spec is only looked at, and its inputs may lack values.
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
    executors: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    default_provider: str = DEFAULT_PROVIDER
    needs_inputs: bool = True


def prepare_here(
    submission: Submission, environment: Mapping[str, str], *, runs: bool = False, **options: Any
) -> tuple[Submission, Spec, JobDef, str]:
    """Prepare a spec to run on this machine: one that names no provider gets one that is set up.

    `options` are those of `prepare`. The last value says which provider was chosen, or that none is
    set up; empty if the spec or the caller names one. Raises SpecError, UsageProblem, and
    EnvironmentProblem if the job `runs` here and no provider is set up.
    """
    spec, definition = prepare(submission, environment, **options)
    if not names_no_provider(spec, submission.provider, environment):
        return submission, spec, definition, ""
    try:
        chosen, said = choose_provider(environment, submission.path)
    except EnvironmentProblem:
        if runs:
            raise
        default = submission.default_provider
        said = f"the spec names no provider, and none is set up here; the default is {default}"
        return submission, spec, definition, said
    if chosen != submission.default_provider:
        # Recorded replies replace every provider, also those of single steps.
        submission = replace(
            submission,
            provider=chosen if chosen == REPLAY else None,
            default_provider=chosen,
        )
        spec, definition = prepare(submission, environment, **options)
    return submission, spec, definition, said


def prepare(
    submission: Submission,
    environment: Mapping[str, str],
    *,
    files: SpecFiles | None = None,
    inputs: InputReader | None = None,
    executor_names: Collection[str] | None = None,
) -> tuple[Spec, JobDef]:
    """Read and check a spec, and the files that it names; nothing is written.

    `executor_names` are the executors that steps may have; None for any. Raises SpecError, UsageProblem.
    """
    text, name = read_spec(submission)
    files = files or SpecFiles(spec_dir_of(submission))
    inputs = inputs or InputReader(files.folder)
    settings = Settings(
        providers=provider_facts(),
        servers=known_servers(environment, files.folder, submission.path),
        default_provider=submission.default_provider,
        environment=environment,
        provider=submission.provider,
        model=submission.model,
        inputs=submission.inputs,
        submit_dir=str(current_folder() or ""),
        expand=lambda name: str(written_path(name)),
        output_dir=None if submission.output_dir is None else str(submission.output_dir.absolute()),
        take_file=files.take,
        judge_file=files.judge,
        read_text=files.read_text,
        read_template=lambda name: read_spec_or_template(files, name),
        ship=lambda patterns: read_shipped(files, patterns),
        read_input=inputs.read,
        rows_of=inputs.rows,
        executors=submission.executors,
        executor_names=executor_names,
        is_strict=submission.strict,
        tags=submission.tags,
        needs_inputs=submission.needs_inputs,
    )
    spec, definition = build_job(text, source_name=name, settings=settings)
    _check_budget(submission, definition, environment)
    return spec, definition


class Prepared(Struct, frozen=True):
    """A checked submission, with its recorded replies read and its providers built.

    Of the parsed spec it has the text only: the definition has all else that counts.
    """

    submission: Submission
    text: str
    source_name: str
    definition: JobDef
    replies: Any
    providers: dict[str, Provider]
    files: SpecFiles
    inputs: InputReader
    mask: Mask
    chosen: str = ""
    """Which provider was chosen, if neither spec nor caller names one."""


def prepare_run(
    submission: Submission,
    environment: Mapping[str, str],
    *,
    database: Path | None = None,
    is_run: bool = True,
) -> Prepared:
    """Do everything that can fail before the job exists; nothing is written.

    Without `is_run` the job is only submitted: providers and secrets are left to its owner. Raises
    SpecError, UsageProblem, EnvironmentProblem.
    """
    files = SpecFiles(spec_dir_of(submission))
    inputs = InputReader(files.folder)
    known = known_executors(submission, database or ledger_path(None, environment), environment)
    submission, spec, definition, chosen = prepare_here(
        submission, environment, runs=is_run, files=files, inputs=inputs, executor_names=known
    )
    written = spec.job.output_dir
    if current_folder() is None and written and not (submission.output_dir or written[0] in "/~"):
        raise UsageProblem(
            f"output_dir: {written!r} would be in the current folder, which was removed; change to one "
            "that exists, or name the whole path with --output-dir"
        )
    check_step_names("--executor", set(submission.executors) - {""}, _names_of(definition))
    refuse_missing_extras(definition, environment)
    if submission.stream is not None:
        _check_stream(submission.stream, definition)
    check_step_names("--until", submission.until, {step.id for step in definition.steps})
    steps = needed_steps(definition, submission.until) if is_run else ()
    mask = read_mask(definition, environment, steps=steps)
    definition = inputs.hide(mask, hide_in_inputs(mask, definition))
    refuse_secrets_in_spec(mask, definition, spec.text, spec.source_name, files.named())
    replies = read_replies_for_run(definition, given=submission.replies, spec=submission.path)
    replies = mask.value(replies)
    providers: dict[str, Provider] = {}
    if is_run:
        try:
            providers = build_providers(definition, environment, replies=replies)
        except EnvironmentProblem as error:
            others = other_providers(definition, submission.path, environment)
            ways = "".join(f"; {said}: --provider {name}" for name, said in others)
            raise EnvironmentProblem(f"{error}{ways}") from error
    if submission.strict and is_run:
        refuse_dropped(definition, providers, environment)
    return Prepared(
        submission=submission,
        text=spec.text,
        source_name=spec.source_name,
        definition=definition,
        replies=replies,
        providers=providers,
        files=files,
        inputs=inputs,
        mask=mask,
        chosen=chosen,
    )


def known_executors(
    submission: Submission, database: Path, environment: Mapping[str, str]
) -> KnownExecutors:
    """The executors that steps may have. Raises UsageProblem if the caller names another one."""
    known = KnownExecutors(database, environment)
    for name in submission.executors.values():
        if name not in known:
            raise UsageProblem(
                f"--executor {name}: unknown executor{nearest(name, known)}; "
                f"{quoted_command('executors')} shows them"
            )
    return known


def _names_of(definition: JobDef) -> set[str]:
    return {step.id for step in walk_steps(definition.steps)}


def refuse_missing_extras(definition: JobDef, environment: Mapping[str, str]) -> None:
    """Refuse a job with MCP tools or a provider, also as a fallback, whose package is not installed.

    A missing fallback would otherwise be found only during the run. Raises EnvironmentProblem with
    the command that installs the package.
    """
    for step in known_steps(definition, target_rules(environment, definition.servers)):
        if any(tool.mcp is not None for tool in step.tools) and find_spec("mcp") is None:
            raise EnvironmentProblem(
                f"step {step.id!r} has tools of an MCP server: mcp is not installed: "
                f"{install_command('mcp')}"
            )
        for target in step.targets():
            server = definition.servers.get(target.provider)
            api = target.provider if server is None else server.api
            missing = missing_package(REGISTRY[api])
            if missing is not None:
                raise EnvironmentProblem(f"step {step.id!r} uses {target.provider}: {missing}")


def read_spec(submission: Submission) -> tuple[str, str]:
    """The spec's text, and its name in messages. Raises UsageProblem, SpecError."""
    if submission.path is not None:
        return read_spec_file(submission.path)
    assert submission.text is not None
    return submission.text, submission.name


def spec_dir_of(submission: Submission) -> Path:
    """The folder to which paths in the spec are relative."""
    path = submission.path
    return Path.cwd() if path is None else folder_beside(path)


def read_spec_or_template(files: SpecFiles, name: str) -> str:
    """The text of a template: a file beside the spec if the name ends in .yaml or .yml, or built in."""
    if is_file(name):
        return files.read_text(name)
    return read_template(name)


def _check_budget(
    submission: Submission, definition: JobDef, environment: Mapping[str, str]
) -> None:
    if definition.budget is None and all(
        step.budget is None for step in walk_steps(definition.steps)
    ):
        return
    prices = submission.prices
    if prices is None:
        prices = read_prices(find_own_prices(ledger_path(None, environment), environment))
    check_prices(definition, prices, environment)


def _check_stream(step_id: str, definition: JobDef) -> None:
    kinds = {step.id: step.facts for step in definition.steps}
    if step_id not in kinds:
        raise UsageProblem(f"--stream: there is no step {step_id!r}{nearest(step_id, kinds)}")
    if not kinds[step_id].writes_text:
        what = kinds[step_id].name
        raise UsageProblem(
            f"--stream: in step {step_id!r} no model writes a text: it is of kind {what}; name a "
            "prompt step"
        )


def refuse_dropped(
    definition: JobDef, providers: Mapping[str, Provider], environment: Mapping[str, str]
) -> None:
    """Refuse parameters that a step's provider does not support. Raises UsageProblem."""
    for step_id, target, dropped in find_dropped(definition, providers, environment):
        raise UsageProblem(
            f"step {step_id!r}: {target.provider} does not support {', '.join(dropped)}; "
            "remove it from params, or run without --strict"
        )
