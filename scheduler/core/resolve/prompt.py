"""Chooses the provider, model and address of each step that calls a model, by the precedence of the
settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from orc.ledger.definition import (
    REPLAY,
    CacheScope,
    EmbedDef,
    MessageDef,
    PartDef,
    ShippedDef,
    TargetDef,
)
from orc.ledger.digest import Digest
from orc.ledger.inputs.read_inputs import ReadInput
from orc.ledger.stored_struct import dump, load
from orc.scheduler.core.attached import TEXT, check_image_name, kind_of, refuse_address
from orc.scheduler.core.language.templates import has_template, texts_in
from orc.scheduler.core.resolve.batching import batch_problems
from orc.scheduler.core.resolve.servers import KnownServer
from orc.scheduler.core.resolve.settings import TARGET_KEYS
from orc.scheduler.core.resolve.targets import (
    ProviderFacts,
    TargetRules,
    switched_to,
    variable_that_switches,
)
from orc.scheduler.core.resolve.tools import tool_of, written_tool
from orc.scheduler.core.source.paths import Path, dotted
from orc.scheduler.core.spec.data_inputs import ReadRequest
from orc.scheduler.core.spec.model import StepSpec
from orc.scheduler.core.spec.parse import Spec
from orc.scheduler.core.spec.prompt import MessageSpec, PartSpec, TargetSpec


class Report(Protocol):
    """Reports a problem, with its path in the spec if it has one."""

    def __call__(self, message: str, *path: str | int) -> None: ...


def refuse_file(name: str) -> Digest:
    """The `take_file` of specs without a folder. Raises ValueError."""
    raise ValueError(f"{name} cannot be read, because the spec has no folder")


def judge_by_name(name: str, key: str) -> str:
    """The `judge_file` of specs without a folder, whose files were refused before."""
    return TEXT


def refuse_text(name: str) -> str:
    """The `read_text` of specs without a folder. Raises ValueError."""
    raise ValueError(f"{name} cannot be read, because the spec has no folder")


def refuse_ship(patterns: tuple[str, ...]) -> tuple[ShippedDef, ...]:
    """The `ship` of specs without a folder. Raises ValueError."""
    raise ValueError("the spec has no folder whose files could be shipped")


def refuse_input(request: ReadRequest) -> ReadInput:
    """The `read_input` of specs without a folder. Raises ValueError."""
    raise ValueError("the spec has no folder whose files could be read")


def unknown_rows(found: ReadInput) -> None:
    """The `rows_of` of callers that do not keep what was read."""


class Settings(Struct, frozen=True):
    """The caller's settings for a spec: environment, command line, and available providers.

    `inputs` are texts from the command line, or JSON values from Python. `submit_dir` is absolute, or
    empty if there is none; `output_dir`, which overrides the spec's, is absolute. `expand` replaces
    `~` in a path of the spec. `take_file` stores a file that the spec names, and
    returns its digest, and `judge_file` gives its media type for a part `image` or `file` of a message.
    `read_text` returns the text of a file, `read_template`
    the text of a spec file or a built-in template. `ship` reads and stores the files of the spec's
    folder that match its patterns. `read_input` reads an input that is a file, files or a table. All
    seven raise ValueError. `rows_of` gives the rows or files of such an input; None if it cannot.
    `servers` are those that the spec may name without defining them.

    `executors` replaces the executors of the spec: by the ids of steps, and "" for all. The names in
    `executor_names` are those that this machine knows; None: names are not checked.

    With `is_strict`, a pattern of files to capture must match something. `tags` are added to those of
    the spec. Without `needs_inputs`, an input may lack its value; what depends on it is not checked.
    """

    providers: Mapping[str, ProviderFacts]
    servers: Mapping[str, KnownServer] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    provider: str | None = None
    default_provider: str | None = None
    model: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    submit_dir: str = "/"
    expand: Callable[[str], str] = str
    output_dir: str | None = None
    take_file: Callable[[str], Digest] = refuse_file
    judge_file: Callable[[str, str], str] = judge_by_name
    read_text: Callable[[str], str] = refuse_text
    read_template: Callable[[str], str] = refuse_text
    ship: Callable[[tuple[str, ...]], tuple[ShippedDef, ...]] = refuse_ship
    read_input: Callable[[ReadRequest], ReadInput] = refuse_input
    rows_of: Callable[[ReadInput], list[Any] | None] = unknown_rows
    executors: Mapping[str, str] = field(default_factory=dict)
    executor_names: Collection[str] | None = None
    is_strict: bool = False
    tags: tuple[str, ...] = ()
    needs_inputs: bool = True

    @property
    def target_rules(self) -> TargetRules:
        """The rules for targets."""
        servers = {
            name: server.facts(name, self.providers) for name, server in self.servers.items()
        }
        return TargetRules({**self.providers, **servers}, self.environment)

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
        self._switched = switched_to(settings.provider, settings.environment)
        self._replayed = self._switched.partition("/")[0] == REPLAY
        self._rules = settings.target_rules
        # Those of a workflow; the ones of the submitted spec have been rendered.
        self._late = {
            key: text
            for key in TARGET_KEYS
            if (text := getattr(spec.job, key) or getattr(spec.job.defaults, key, None))
            and has_template(text)
        }
        self._kinds: dict[Path, str] = {}
        self.real_provider, self.model, self._base_url = self._of_job()
        self.provider = REPLAY if self._replayed else self.real_provider

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
        targets = self._first_target(path, step)
        templates = targets.pop("templates")
        others = () if self._replayed else self._fallback(path, step)
        if texts_in(dump(others)):
            templates["fallback"] = dump(others)
        else:
            first = None if templates else tuple(targets[key] for key in TARGET_KEYS)
            targets["fallback"] = tuple(
                other for other in others if (other.provider, other.model, other.base_url) != first
            )
        known = [each for each in others if not has_template(each.provider)]
        if targets["provider"]:
            known.append(TargetDef(provider=targets["provider"]))
        self._check_files(known, path)
        tools = tuple(map(tool_of, step.tools))
        written = [written_tool(tool) for tool in step.tools]
        if texts_in(written):
            templates["tools"] = written
        return {
            **targets,
            "templates": templates,
            "system": step.system if step.system is not None else defaults.system,
            "messages": tuple(messages),
            "tools": tools,
            "max_turns": step.max_turns,
            "batch": self._batch(path, step, targets),
            "cache": self._cache_of(step),
            "cache_prompt": bool(
                defaults.cache_prompt if step.cache_prompt is None else step.cache_prompt
            ),
        }

    def embedding(self, path: Path, step: StepSpec) -> dict[str, Any]:
        """The fields of the definition of a step that computes vectors.

        It has no other model to fall back to, whose vectors could not be compared with the first.
        """
        return {
            **self._first_target(path, step, embeds=True),
            "embed": None if step.embed is None else load(EmbedDef, step.embed.model_dump()),
            "cache": self._cache_of(step),
        }

    def _cache_of(self, step: StepSpec) -> CacheScope:
        return step.cache or self._spec.job.defaults.cache or self._spec.job.cache or "off"

    def _batch(self, path: Path, step: StepSpec, targets: Mapping[str, Any]) -> bool:
        """Whether the step's calls are submitted in batches. Recorded replies are not."""
        default = self._spec.job.defaults.batch
        asked = default if step.batch is None else step.batch
        if not asked or self._replayed:
            return False
        place = (*path, "batch") if step.batch is not None else ("defaults", "batch")
        problems = batch_problems(
            step, self._spec.job.defaults, targets, rules=self._rules, switched=self._switched
        )
        where = "" if step.batch is not None else f"in {dotted(path)}, "
        for problem in problems:
            self._report(f"{dotted(place)}: {where}{problem}", *place)
        return True

    def _content(self, message: MessageSpec, path: Path) -> str | tuple[PartDef, ...]:
        if isinstance(message.content, str):
            return message.content
        return tuple(
            self._part(part, (*path, number)) for number, part in enumerate(message.content)
        )

    def _part(self, part: PartSpec, path: tuple[str | int, ...]) -> PartDef:
        written = load(PartDef, part.model_dump())
        if written.path is None or has_template(written.path):
            return written
        key = "image" if part.file is None else "file"
        try:
            refuse_address(written.path)
            if key == "image":
                check_image_name(written.path)
            sha256 = self._settings.take_file(written.path)
            media_type = self._settings.judge_file(written.path, key)
        except ValueError as error:
            self._report(f"{dotted(path)}.{key}: {error}", *path, key)
            return written
        self._kinds[(*path, key)] = kind_of(media_type)
        return replace(written, sha256=sha256)

    def _check_files(self, targets: Collection[TargetDef], path: Path) -> None:
        """Report the files in the messages of a step that one of its models cannot read."""
        for place, kind in self._kinds.items():
            if place[: len(path)] == path:
                reasons = (self._rules.file_problem(each.provider, kind) for each in targets)
                if reason := next(filter(None, reasons), ""):
                    self._report(f"{dotted(place)}: {reason}", *place)

    def _of_job(self) -> tuple[str, str, str | None]:
        """The job-level provider, model and address.

        If the settings name another provider, the spec's model and address do not apply.
        """
        job = self._spec.job
        own = {
            key: getattr(job, key) or getattr(job.defaults, key, None)
            for key in TARGET_KEYS
            if key not in self._late
        }
        from_spec = own.get("provider") or self._settings.default
        named = "" if self._replayed else self._switched
        name, _, model = (named or from_spec).partition("/")
        if not self._replayed:
            place = () if named else self._of_job_place("provider")
            problem = self._rules.provider_problem(name)
            if problem and named and not self._settings.provider:
                problem += f" ({variable_that_switches(self._settings.environment)} is set)"
            self._refuse(problem, *place)
        spec_name, _, spec_model = from_spec.partition("/")
        is_specs = name == spec_name
        own_model = own.get("model") or spec_model if is_specs else ""
        model = self._settings.model or model or own_model or self._rules.default_model(name)
        place = self._of_job_place("base_url")
        base_url = self._base_url_of(name, own.get("base_url"), *place) if is_specs else None
        return name, model, base_url

    def _of_job_place(self, key: str) -> Path:
        """Where the spec has a key for all its prompts; empty if it has none."""
        places: tuple[Path, ...] = ((key,), ("defaults", key))
        return next(filter(self._spec.document.has, places), ())

    def _fallback(self, path: Path, step: StepSpec) -> list[TargetDef]:
        """The other targets of the step; those with templates as they are written."""
        job = self._spec.job
        for fallback, place in (
            (step.fallback, (*path, "fallback")),
            (job.defaults.fallback, ("defaults", "fallback")),
            (job.fallback, ("fallback",)),
        ):
            if fallback is not None:
                return [self._target(spec, *place, n) for n, spec in enumerate(fallback)]
        return []

    def _first_target(self, path: Path, step: StepSpec, *, embeds: bool = False) -> dict[str, Any]:
        """The provider, model and address of the step, and its `templates` for them.

        The models of the job write answers: a step that computes vectors (`embeds`) has its own.
        """
        # `defaults.provider` has the same meaning as the job's `provider`.
        provider, model, base_url = self.provider, self.model, self._base_url
        if embeds:
            model = self._rules.default_model(provider, embeds=True)
        written = {key: getattr(step, key) for key in TARGET_KEYS}
        if step.provider is None:
            of_job = {key for key in self._late if not (embeds and key == "model")}
            written |= {key: self._late[key] for key in of_job if written[key] is None}
        late = {key: text for key, text in written.items() if text and has_template(text)}
        if "provider" in late:
            templates = {key: text for key, text in written.items() if text is not None}
            job = TargetDef(
                provider=self.real_provider, model="" if embeds else model, base_url=base_url
            )
            return {
                "provider": REPLAY if self._replayed else None,
                "templates": templates,
                "job_target": job,
            }
        if written["provider"] is not None:
            provider, _, own_model = written["provider"].partition("/")
            self._refuse(self._rules.provider_problem(provider), *path, "provider")
            if provider != self.provider:
                base_url = None
            if provider != self.provider or own_model:
                model = own_model or self._rules.default_model(provider, embeds=embeds)
        problem = self._rules.provider_problem(provider, embeds=True) if embeds else ""
        if problem and not self._rules.provider_problem(provider):
            self._refuse(problem, *path, "provider")
        if written["model"] is not None:
            model = written["model"]
        if written["base_url"] is not None and "base_url" not in late:
            base_url = self._base_url_of(provider, written["base_url"], *path, "base_url")
        if "model" not in late and not problem:
            own = embeds or step.provider is not None or step.model is not None
            place = (*path, "provider") if own else self._of_job_place("provider")
            self._check_model(provider, model, *place, embeds=embeds)
        if self._replayed:
            # A recorded reply replaces the reply of any target, so there are no fallbacks.
            provider, base_url = REPLAY, None
            late.pop("base_url", None)
        return {
            "provider": provider,
            "model": None if "model" in late else model,
            "base_url": base_url,
            "templates": late,
        }

    def _target(self, spec: TargetSpec, *path: str | int) -> TargetDef:
        if texts_in(spec.model_dump()):
            return TargetDef(provider=spec.provider, model=spec.model or "", base_url=spec.base_url)
        provider, _, model = spec.provider.partition("/")
        self._refuse(self._rules.provider_problem(provider), *path)
        model = spec.model or model or self._rules.default_model(provider)
        self._check_model(provider, model, *path)
        return TargetDef(
            provider=provider,
            model=model,
            base_url=self._base_url_of(provider, spec.base_url, *path, "base_url"),
        )

    def _check_model(
        self, provider: str, model: str, *path: str | int, embeds: bool = False
    ) -> None:
        self._refuse(self._rules.model_problem(provider, model, embeds=embeds), *path)

    def _refuse(self, problem: str, *path: str | int) -> None:
        """Report the problem of a provider, if there is one; without a path, the caller named it."""
        if problem:
            self._report(f"{dotted(path) if path else 'provider'}: {problem}", *path)

    def _base_url_of(self, provider: str, base_url: str | None, *path: str | int) -> str | None:
        """The checked address."""
        if base_url is None:
            return None
        self._refuse(self._rules.address_problem(provider, base_url), *path)
        return base_url.rstrip("/")
