"""Renders what a model gets: messages of texts and images, texts that become vectors, and what the
ledger has of earlier calls."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from orc.ledger import LedgerReader
from orc.ledger.definition import EmbedDef, PartDef, StepDef
from orc.ledger.digest import digest_json
from orc.ledger.events import FileRef, Payload
from orc.providers import Message
from orc.providers.contract import CachedPrefix, ImagePart, Part, TextPart
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.state import StepState
from orc.scheduler.core.images import image_type
from orc.scheduler.core.language.templates import parse_template, render_value
from orc.scheduler.core.language.values import to_plain
from orc.scheduler.core.spec.base import shown_value
from orc.scheduler.effects.contract import KnownReply, KnownResult
from orc.scheduler.scopes import Variables

_SHARED = frozenset({"project", "task_description", "inputs", "env", "job", "steps"})
"""The names that mean the same for each item of a step and for each of its repetitions."""
_KEY_CHARS = 32

RenderText = Callable[[str], str]
ReadPayload = Callable[[Payload | None], Any]
FindFile = Callable[[str], FileRef]


def render_messages(
    definition: StepDef, *, text: RenderText, find: FindFile, ledger: LedgerReader
) -> tuple[Message, ...]:
    """The step's messages; `text` renders one template, `find` finds a file. Raises TemplateError."""

    def render(part: PartDef) -> Part:
        if part.text is not None:
            return TextPart(type="text", text=text(part.text))
        return _read_image(part, text=text, find=find, ledger=ledger)

    return tuple(
        Message(
            role=message.role,
            content=text(message.content)
            if isinstance(message.content, str)
            else [render(part) for part in message.content],
        )
        for message in definition.messages
    )


def known_replies(step: StepState, read: ReadPayload) -> tuple[KnownReply, ...]:
    """The step's replies in the ledger, in order."""
    return tuple(
        KnownReply(
            reply.version,
            reply.call,
            reply.request_sha256,
            read(reply.reply),
            reply.finish_reason,
        )
        for reply in step.replies
    )


def known_results(step: StepState, read: ReadPayload) -> dict[str, KnownResult]:
    """The results of the step's tool calls in the ledger, by their keys."""
    return {
        key: KnownResult(read(found.result), found.is_error) for key, found in step.results.items()
    }


def render_texts(embed: EmbedDef, scope: Variables) -> tuple[str, ...]:
    """The texts that become vectors, each of which has something in it. Raises TemplateError."""
    written = embed.texts if isinstance(embed.texts, str) else list(embed.texts)
    found = tuple(_flat(to_plain(render_value(written, scope)), "embed.texts"))
    if "" in found:
        raise TemplateError(
            f"embed.texts: text {found.index('') + 1} is empty, and models refuse an empty text; "
            "leave it out, for example with `| select`"
        )
    return found


def _flat(value: Any, where: str) -> Iterator[str]:
    """The texts; a template in a list may give a text or a list of texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield from _flat(item, f"{where}: item {number}")
    else:
        raise TemplateError(
            f"{where}: must be a text or a list of texts; got {shown_value(value)[:80]}"
        )


def _read_image(
    part: PartDef, *, text: RenderText, find: FindFile, ledger: LedgerReader
) -> ImagePart:
    path = part.image or ""
    sha256 = part.sha256
    if sha256 is None:
        path = text(path)
        sha256 = find(path).sha256
    try:
        media_type = image_type(path)
    except ValueError as error:
        raise TemplateError(str(error)) from None
    data = base64.b64encode(ledger.read_blob(sha256)).decode()
    return ImagePart(type="image", media_type=media_type, data=data)


def cached_prefix(definition: StepDef, step_id: str, project: str) -> CachedPrefix | None:
    """The beginning of the prompt that is to be cached; None without `cache_prompt`."""
    if not definition.cache_prompt:
        return None
    whole = 0
    parts = 0
    for message in definition.messages:
        if isinstance(message.content, str):
            is_whole = _is_shared(message.content)
        else:
            parts = _shared_parts(message.content)
            is_whole = parts == len(message.content)
        if not is_whole:
            break
        whole += 1
        parts = 0
    outer = step_id.partition("[")[0].partition("#")[0]
    key = digest_json([project, outer, definition.model])[:_KEY_CHARS]
    return CachedPrefix(messages=whole, parts=parts, key=f"orc-{key}")


def _shared_parts(parts: tuple[PartDef, ...]) -> int:
    for number, part in enumerate(parts):
        if not _is_shared(part.text or part.image or ""):
            return number
    return len(parts)


def _is_shared(text: str) -> bool:
    """Whether the text has no template, or only names that each item sees alike."""
    return all(
        reference.path[0] in _SHARED
        for expression in parse_template(text).expressions
        for reference in expression.references
    )
