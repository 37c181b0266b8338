"""The turns of a prompt as a provider takes them: templates rendered, images read."""

from __future__ import annotations

import base64
from collections.abc import Callable

from orc.ledger import LedgerReader
from orc.ledger.definition import PartDef, StepDef
from orc.ledger.events import FileRef
from orc.providers import Message
from orc.providers.contract import ImagePart, Part, TextPart
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.fold.evolve import JobState
from orc.scheduler.core.images import image_type

RenderText = Callable[[str], str]


def render_messages(
    definition: StepDef, state: JobState, *, text: RenderText, ledger: LedgerReader
) -> tuple[Message, ...]:
    """The step's messages; `text` renders a template. Raises TemplateError."""

    def render(part: PartDef) -> Part:
        if part.text is not None:
            return TextPart(type="text", text=text(part.text))
        return _read_image(part, state, text=text, ledger=ledger)

    return tuple(
        Message(
            role=message.role,
            content=text(message.content)
            if isinstance(message.content, str)
            else [render(part) for part in message.content],
        )
        for message in definition.messages
    )


def _read_image(
    part: PartDef, state: JobState, *, text: RenderText, ledger: LedgerReader
) -> ImagePart:
    path = part.image or ""
    sha256 = part.sha256
    if sha256 is None:
        path = text(path)
        sha256 = _file_of(state, path).sha256
    try:
        media_type = image_type(path)
    except ValueError as error:
        raise TemplateError(str(error)) from None
    data = base64.b64encode(ledger.read_blob(sha256)).decode()
    return ImagePart(type="image", media_type=media_type, data=data)


def _file_of(state: JobState, path: str) -> FileRef:
    """A file that a step wrote, by its path in `outputs/` or under the project's folder."""
    for name in (path, f"{state.project}/{path}"):
        owned = state.owned.get(name)
        if owned is not None:
            return owned.file
    raise TemplateError(f"no step has written the image {path[:200]!r}")
