"""Renders the messages of a prompt: texts, and images from blobs and from files of steps."""

from __future__ import annotations

import base64
from collections.abc import Callable

from orc.ledger import LedgerReader
from orc.ledger.definition import PartDef, StepDef
from orc.ledger.events import FileRef
from orc.providers import Message
from orc.providers.contract import ImagePart, Part, TextPart
from orc.scheduler.core.errors import TemplateError
from orc.scheduler.core.images import image_type

RenderText = Callable[[str], str]
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
