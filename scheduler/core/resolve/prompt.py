"""Chooses the provider, model and address of each prompt, by the precedence of the settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from orc.ledger.definition import REPLAY, MessageDef, PartDef, ShippedDef, TargetDef, ToolDef
from orc.ledger.digest import Digest
from orc.ledger.inputs.read_inputs import ReadInput
from orc.scheduler.core.errors import nearest
from orc.scheduler.core.images import image_type
from orc.scheduler.core.language.templates import has_template
from orc.scheduler.core.spec.data_inputs import ReadRequest
from orc.scheduler.core.spec.model import StepSpec
from orc.scheduler.core.spec.parse import Spec
from orc.scheduler.core.spec.prompt import MessageSpec, PartSpec, TargetSpec, ToolSpec, tool_name
from orc.scheduler.core.spec.yaml_source import Path, dotted


class Report(Protocol):
    """Reports a problem, with its path in the spec if it has one."""

    def __call__(self, message: str, *path: str | int) -> None: ...


def refuse_file(name: str) -> Digest:
    """The `take_file` of specs without a folder. Raises ValueError."""
    raise ValueError(f"{name} cannot be read, because the spec has no folder")


def refuse_text(name: str) -> str:
    """The `read_text` of specs without a folder. Raises ValueError."""
    raise ValueError(f"{name} cannot be read, because the spec has no folder")


def refuse_ship(patterns: tuple[str, ...]) -> tuple[ShippedDef, ...]:
    """The `ship` of specs without a folder. Raises ValueError."""
    raise ValueError("the spec has no folder whose files could be shipped")


def refuse_input(request: ReadRequest) -> ReadInput:
    """The `read_input` of specs without a folder. Raises ValueError."""
    raise ValueError("the spec has no folder whose files could be read")


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """The facts about a provider that are needed to check a spec."""

    default_model: str
    model_variables: tuple[str, ...]
    has_address: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """The caller's settings for a spec: environment, command line, and available providers.

    `inputs` are texts from the command line, or JSON values from Python. `submit_dir` is absolute, or
    empty if there is none; `output_dir`, which overrides the spec's, is absolute. `expand` replaces
    `~` in a path of the spec. `take_file` stores a file that the spec names, and
    returns its digest. `read_text` returns the text of a file, `read_template`
    the text of a spec file or a built-in template. `ship` reads and stores the files of the spec's
    folder that match its patterns. `read_input` reads an input that is a file, files or a table. All
    six raise ValueError.

    `executors` replaces the executors of the spec: by the ids of steps, and "" for all. The names in
    `executor_names` are those that this machine knows; None: names are not checked.

    With `is_strict`, a pattern of files to capture must match something. `tags` are added to those of
    the spec.
    """

    providers: Mapping[str, ProviderFacts]
    environment: Mapping[str, str] = field(default_factory=dict)
    provider: str | None = None
    default_provider: str | None = None
    model: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    submit_dir: str = "/"
    expand: Callable[[str], str] = str
    output_dir: str | None = None
    take_file: Callable[[str], Digest] = refuse_file
    read_text: Callable[[str], str] = refuse_text
    read_template: Callable[[str], str] = refuse_text
    ship: Callable[[tuple[str, ...]], tuple[ShippedDef, ...]] = refuse_ship
    read_input: Callable[[ReadRequest], ReadInput] = refuse_input
    executors: Mapping[str, str] = field(default_factory=dict)
    executor_names: Collection[str] | None = None
    is_strict: bool = False
    tags: tuple[str, ...] = ()

    @property
    def default(self) -> str:
        """The provider if neither spec nor caller names one."""
        return self.default_provider or next(iter(self.providers))


class ModelChoice:
    """Chooses the providers, models and addresses of a spec's prompts under the settings."""

    def __init__(self, spec: Spec, settings: Settings, *, report: Report) -> None:
        self._spec = spec
        self._settings = settings
        self._report = report
        self._switched = (
            settings.provider
            or settings.environment.get("PROVIDER")
            or settings.environment.get("MODEL_BACKEND")
            or ""
        )
        self._replayed = self._switched.partition("/")[0] == REPLAY
        self.provider, self.model, self._base_url = self._of_job()

    def prompt(self, path: Path, step: StepSpec) -> dict[str, Any]:
        """The fields of the step's definition for its messages, targets and tools."""
        defaults = self._spec.job.defaults
        messages = [
            MessageDef(
                role=message.role,
                content=self._content(message, (*path, "messages", place, "content")),
            )
            for place, message in enumerate(step.messages or ())
        ]
        if step.prompt is not None:
            messages = [MessageDef(role="user", content=step.prompt)]
        first, *others = self._targets(path, step)
        return {
            "provider": first.provider,
            "model": first.model,
            "base_url": first.base_url,
            "fallback": tuple(others),
            "system": step.system if step.system is not None else defaults.system,
            "messages": tuple(messages),
            "tools": tuple(_tool(tool) for tool in step.tools),
            "max_turns": step.max_turns,
            "cache": step.cache or defaults.cache or self._spec.job.cache or "off",
        }

    def _content(self, message: MessageSpec, path: Path) -> str | tuple[PartDef, ...]:
        if isinstance(message.content, str):
            return message.content
        return tuple(
            self._part(part, (*path, number)) for number, part in enumerate(message.content)
        )

    def _part(self, part: PartSpec, path: tuple[str | int, ...]) -> PartDef:
        if part.image is None:
            return PartDef(text=part.text)
        if has_template(part.image):
            return PartDef(image=part.image)
        try:
            image_type(part.image)
            return PartDef(image=part.image, sha256=self._settings.take_file(part.image))
        except ValueError as error:
            self._report(f"{dotted(path)}.image: {error}", *path, "image")
            return PartDef(image=part.image)

    def _of_job(self) -> tuple[str, str, str | None]:
        """The job-level provider, model and address.

        If the settings name another provider, the spec's model and address do not apply.
        """
        job = self._spec.job
        from_spec = job.provider or job.defaults.provider or self._settings.default
        named = "" if self._replayed else self._switched
        name, _, model = (named or from_spec).partition("/")
        if not self._replayed:
            self._check_provider(name, None if named else "provider")
        spec_name, _, spec_model = from_spec.partition("/")
        is_specs = name == spec_name
        own_model = job.model or job.defaults.model or spec_model if is_specs else ""
        model = self._settings.model or model or own_model or self._default_model(name)
        base_url = self._base_url_of(name, job.base_url, "base_url") if is_specs else None
        return (REPLAY if self._replayed else name), model, base_url

    def _targets(self, path: Path, step: StepSpec) -> list[TargetDef]:
        first = self._first_target(path, step)
        if self._replayed:
            # A recorded reply replaces the reply of any target, so there are no fallbacks.
            return [TargetDef(provider=REPLAY, model=first.model)]
        job = self._spec.job
        for fallback, place in (
            (step.fallback, (*path, "fallback")),
            (job.defaults.fallback, ("defaults", "fallback")),
            (job.fallback, ("fallback",)),
        ):
            if fallback is not None:
                found = [self._target(spec, *place, n) for n, spec in enumerate(fallback)]
                return [first, *(target for target in found if target != first)]
        return [first]

    def _first_target(self, path: Path, step: StepSpec) -> TargetDef:
        # `defaults.provider` has the same meaning as the job's `provider`.
        provider, model, base_url = self.provider, self.model, self._base_url
        if step.provider is not None:
            provider, _, own_model = step.provider.partition("/")
            self._check_provider(provider, *path, "provider")
            if provider != self.provider:
                base_url = None
            if provider != self.provider or own_model:
                model = own_model or self._default_model(provider)
        if step.model is not None:
            model = step.model
        if step.base_url is not None:
            base_url = self._base_url_of(provider, step.base_url, *path, "base_url")
        return TargetDef(provider=provider, model=model, base_url=base_url)

    def _target(self, spec: TargetSpec, *path: str | int) -> TargetDef:
        provider, _, model = spec.provider.partition("/")
        self._check_provider(provider, *path)
        return TargetDef(
            provider=provider,
            model=spec.model or model or self._default_model(provider),
            base_url=self._base_url_of(provider, spec.base_url, *path),
        )

    def _default_model(self, provider: str) -> str:
        facts = self._settings.providers.get(provider)
        if facts is None:
            return "unknown"
        for variable in facts.model_variables:
            if self._settings.environment.get(variable):
                return self._settings.environment[variable]
        return facts.default_model

    def _check_provider(self, name: str, *path: str | int | None) -> None:
        if name in self._settings.providers:
            return
        place = [part for part in path if part is not None]
        hint = nearest(name, self._settings.providers)
        self._report(f"provider: there is no provider {name!r}{hint}", *place)

    def _base_url_of(self, provider: str, base_url: str | None, *path: str | int) -> str | None:
        """The checked address. It is recorded, so it must not contain credentials."""
        if base_url is None:
            return None
        facts = self._settings.providers.get(provider)
        if facts is not None and not facts.has_address:
            self._report(f"base_url: {provider} has no server; remove base_url", *path)
            return None
        problem = _url_problem(base_url)
        if problem:
            self._report(f"base_url: {problem}", *path)
        return base_url.rstrip("/")


def _tool(spec: ToolSpec) -> ToolDef:
    if spec.builtin is not None:
        return ToolDef(name=spec.builtin, allow=tuple(spec.allow or ()))
    # A tool with neither key is reported by the spec's checks.
    return ToolDef(
        name=tool_name(spec),
        function=spec.python,
        description=spec.description,
        parameters=spec.parameters,
    )


def _url_problem(text: str) -> str:
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        return "it is not a valid URL"
    if url.scheme not in ("http", "https") or not host:
        return "it must look like http://localhost:8080/v1"
    if url.username or url.password:
        return (
            "it must not contain a user name or password, because the ledger records it; put the "
            "key into the environment"
        )
    if url.query or url.fragment:
        return "it must not have a query or a fragment"
    return ""
