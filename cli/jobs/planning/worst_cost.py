"""The greatest cost that a step can have, or why there is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from orc.ledger.definition import EmbedDef, JobDef, PartDef, StepDef, TargetDef
from orc.ledger.digest import Digest
from orc.ledger.events import TokenUsage
from orc.projections.money.prices import PriceTable
from orc.scheduler.budget_gate import highest_cost
from orc.scheduler.core.attached import kind_of, media_type_of
from orc.scheduler.core.language.templates import texts_in
from orc.scheduler.core.resolve.known_steps import has_target, known_count, known_forms
from orc.scheduler.core.resolve.targets import TargetRules
from orc.scheduler.core.vector_files import split_texts

_LONGEST = (
    "SELECT max(llm_calls.input_tokens) FROM llm_calls JOIN steps USING (step_id) JOIN jobs ON "
    "jobs.job_id = llm_calls.job_id WHERE jobs.name = ? AND steps.name = ? AND llm_calls.model IS ?"
)


class WorstCost(NamedTuple):
    """The greatest cost in nano-dollars; or None, and `because` says why it has no bound."""

    nano_usd: int | None
    because: str = ""


def worst_cost(
    definition: JobDef,
    step: StepDef,
    connection: sqlite3.Connection | None,
    prices: PriceTable,
    rules: TargetRules,
    files: Mapping[Digest, bytes],
) -> WorstCost:
    """The greatest cost of a step: all attempts and turns, with replies of the greatest length.

    The length of prompts is that of the longest prompt so far, or of the texts and files in the spec
    if that is longer; `files` are the contents of the latter. Tokens on the user's own machine cost
    nothing.
    """
    if step.budget is not None and (limit := step.budget.limits().max_cost_nano_usd) is not None:
        return WorstCost(limit)
    prices = prices.with_servers(definition.servers)
    worst: dict[str, int] = {}
    for name, inner in known_forms(definition, rules, of=step):
        if not inner.facts.calls_model:
            continue
        if not has_target(inner):
            return WorstCost(None, "the model is known only during the run")
        if all(_is_free(target, prices) for target in inner.targets()):
            worst.setdefault(name, 0)
            continue
        times = _times(definition, step) * (1 if name == step.id else _times(definition, inner))
        output = 0 if inner.facts.embeds else inner.params.get("max_tokens")
        if output is None:
            return WorstCost(None, "no max_tokens")
        if times == 0:
            return WorstCost(None, "the number of items is known only during the run")
        requests = _requests(inner)
        if requests is None:
            return WorstCost(None, "the texts are known only during the run")
        written = _written(inner, files)
        if written is None:
            return WorstCost(None, "the files are known only during the run")
        longest = max(written, _longest_so_far(definition, inner, connection))
        calls = inner.retry.max_attempts * requests
        usage = TokenUsage(input_tokens=longest, output_tokens=int(output))
        highest = 0
        for target in inner.targets():
            cost = highest_cost(
                prices.price_call, target.provider, target.model, usage, is_batch=inner.batch
            )
            if cost is None:
                return WorstCost(None, f"no price is known for {target.provider}/{target.model}")
            highest = max(highest, cost)
        cost = times * calls * highest * max(1, len(inner.targets()))
        # Of the models that the items of a step have, each item may have the most expensive one.
        worst[name] = max(cost, worst.get(name, 0))
    return WorstCost(sum(worst.values()))


def _requests_of(embed: EmbedDef) -> list[tuple[str, ...]]:
    """The texts of each request, as a call divides them."""
    texts = (embed.texts,) if isinstance(embed.texts, str) else embed.texts
    return list(split_texts(texts, per_request=embed.per_request))


def _is_free(target: TargetDef, prices: PriceTable) -> bool:
    """Whether tokens cost nothing, as on the user's own machine if no price is given for it."""
    some = TokenUsage(input_tokens=1_000_000, output_tokens=1_000_000)
    return highest_cost(prices.price_call, target.provider, target.model, some) == 0


def _times(definition: JobDef, step: StepDef) -> int:
    """How often the step runs; 0 if that is known only during the run."""
    times = 1
    if step.for_each is not None:
        times = known_count(step, definition) or 0
    return times * (step.loop.max_iterations if step.loop is not None else 1)


def _requests(step: StepDef) -> int | None:
    """The most requests of an attempt that gets no failure; None if that is not known."""
    if step.embed is not None:
        return None if texts_in(step.embed.texts) else len(_requests_of(step.embed))
    return step.max_turns if step.tools else 1 + step.repair


def _written(step: StepDef, files: Mapping[Digest, bytes]) -> int | None:
    """The bytes of the longest request by what the spec says; None if its files are not known."""
    longest = 0
    if step.embed is not None:
        longest = max(map(_size, _requests_of(step.embed)), default=0)
    for message in step.messages:
        if isinstance(message.content, str):
            longest += _size((message.content,))
            continue
        for part in message.content:
            size = _size((part.text or "",)) if part.path is None else _sent(part, files)
            if size is None:
                return None
            longest += size
    return _size((step.system or "",)) + longest


def _size(texts: tuple[str, ...]) -> int:
    return sum(len(text.encode()) for text in texts)


def _sent(part: PartDef, files: Mapping[Digest, bytes]) -> int | None:
    """The bytes of a file as it is sent: a text as it is, any other in base64; None if not known."""
    content = None if part.sha256 is None else files.get(part.sha256)
    if content is None:
        return None
    is_text = kind_of(media_type_of(content, part.path or "")) == "text"
    return len(content) if is_text else 4 * -(-len(content) // 3)


def _longest_so_far(
    definition: JobDef, step: StepDef, connection: sqlite3.Connection | None
) -> int:
    """The most input tokens of a call in earlier runs."""
    if connection is None:
        return 0
    row = connection.execute(_LONGEST, (definition.project, step.id, step.model)).fetchone()
    return row[0] or 0
