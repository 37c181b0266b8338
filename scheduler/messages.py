"""Renders what a model gets: messages of texts and files, texts that become vectors, and what the
ledger has of earlier calls."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orc.ledger import LedgerReader
from orc.ledger.definition import EmbedDef, PartDef, StepDef
from orc.ledger.digest import Digest, digest_json
from orc.ledger.errors import FileTooLarge
from orc.ledger.events import FileRef, Payload
from orc.ledger.file_owners import OwnedFile
from orc.ledger.secrets.masking import Mask
from orc.ledger.wording import size_text
from orc.providers import Message
from orc.providers.contract import CachedPrefix, DocumentPart, ImagePart, Part, TextPart
from orc.scheduler.core.attached import (
    REQUEST_BYTES_MAX,
    image_type_of,
    kind_of,
    media_type_of,
)
from orc.scheduler.core.errors import TemplateError, shown_value
from orc.scheduler.core.fold.state import JobState, StepState
from orc.scheduler.core.language.expressions import Expression
from orc.scheduler.core.language.names import ROOTS
from orc.scheduler.core.language.templates import parse_template, render_value
from orc.scheduler.core.language.values import to_plain, to_text
from orc.scheduler.effects.contract import KnownReply, KnownResult
from orc.scheduler.inputs.values import FileValue
from orc.scheduler.scopes import Variables

_KEY_CHARS = 32

ReadPayload = Callable[[Payload | None], Any]
FindFile = Callable[[str], FileRef]


def render_messages(
    definition: StepDef, *, scope: Variables, find: FindFile, ledger: LedgerReader, mask: Mask
) -> tuple[Message, ...]:
    """The step's messages under the scope; `find` finds a file. Raises TemplateError."""
    files = _AttachedFiles(scope, find, ledger, mask)

    def render(part: PartDef) -> Part:
        return files.read(part) if part.text is None else _text_part(part.text, scope)

    return tuple(
        Message(
            role=message.role,
            content=render_text(message.content, scope=scope)
            if isinstance(message.content, str)
            else [render(part) for part in message.content],
        )
        for message in definition.messages
    )


def render_text(text: str, *, scope: Variables) -> str:
    """A text with its templates rendered. Raises TemplateError."""
    return to_text(parse_template(text).render(scope))


def find_file(path: str, *, files: Mapping[str, OwnedFile], state: JobState) -> FileRef:
    """A file that the step may see, by its path in `outputs/` or in the project's folder."""
    for name in (path, f"{state.project}/{path}"):
        if name in files:
            return files[name].file
        owner = state.owned.step_of(name)
        if owner is not None:
            raise TemplateError(
                f"the file {path[:200]!r} is of step {owner!r}, which this step does not depend on; "
                f"add `needs: [{owner}]`"
            )
    raise TemplateError(
        f"the file {path[:200]!r} does not exist: no step has written it; an input that is a file "
        "is named as a whole, as ${{ inputs.NAME }}"
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
            reply.attempt,
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
        for index, item in enumerate(value):
            yield from _flat(item, f"{where}[{index}]")
    else:
        raise TemplateError(
            f"{where}: must be a text or a list of texts; got {shown_value(value)[:80]}"
        )


class _AttachedFiles:
    """Reads the images, documents and texts of one request from the ledger."""

    def __init__(self, scope: Variables, find: FindFile, ledger: LedgerReader, mask: Mask) -> None:
        self._scope = scope
        self._find = find
        self._ledger = ledger
        self._mask = mask
        self._left = REQUEST_BYTES_MAX

    def read(self, part: PartDef) -> ImagePart | DocumentPart:
        """The part with the content of its file. Raises TemplateError."""
        path, sha256 = self._locate(part)
        try:
            content = self._ledger.read_blob(sha256)
            media_type = (media_type_of if part.image is None else image_type_of)(content, path)
        except (FileTooLarge, ValueError) as error:
            raise TemplateError(str(error)) from None
        self._left -= len(content)
        if self._left < 0:
            raise TemplateError(
                f"the files of one request have more than {size_text(REQUEST_BYTES_MAX)} together; "
                "attach fewer, or smaller ones"
            )
        name = path.rpartition("/")[2]
        match kind_of(media_type):
            case "text":
                text = self._mask.text(content.decode("utf-8-sig"))
                return DocumentPart(type="document", media_type=media_type, name=name, text=text)
            case "image":
                data = base64.b64encode(content).decode()
                return ImagePart(type="image", media_type=media_type, data=data)
            case "PDF":
                return DocumentPart(
                    type="document",
                    media_type=media_type,
                    name=name,
                    sha256=sha256,
                    size_bytes=len(content),
                    data=base64.b64encode(content).decode(),
                )

    def _locate(self, part: PartDef) -> tuple[str, Digest]:
        written = part.path or ""
        if part.sha256 is not None:
            return written, part.sha256
        parts = parse_template(written).parts
        if len(parts) == 1 and isinstance(parts[0], Expression):
            value = parts[0].evaluate(self._scope)
            if isinstance(value, FileValue) and part.image is None:
                return value.file.path, value.file.sha256
        path = render_text(written, scope=self._scope)
        return path, self._find(path).sha256


def _text_part(text: str, scope: Variables) -> TextPart:
    return TextPart(type="text", text=render_text(text, scope=scope))


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
        if not _is_shared(part.text or part.path or ""):
            return number
    return len(parts)


def _is_shared(text: str) -> bool:
    """Whether the text has no template, or only names that each item sees alike."""
    return all(
        reference.path[0] in ROOTS
        for expression in parse_template(text).expressions
        for reference in expression.references
    )
