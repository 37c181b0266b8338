"""What the events of OpenAI's responses API say beside whole items: texts, refusals and calls.

Servers that follow this API do not always repeat the output in the last event, or send whole items.
"""

from __future__ import annotations

from typing import Annotated, Any

from orc.providers.replies.lenient import LooseCount, LooseText, OrNone
from orc.providers.sdk_errors import Failures
from orc.providers.sdk_wire import Wire


class _ContentPart(Wire):
    text: LooseText = None
    refusal: LooseText = None


class _Piece(Wire):
    output_index: LooseCount = None
    item_id: LooseText = None
    call_id: LooseText = None
    name: LooseText = None
    delta: LooseText = None
    text: LooseText = None
    refusal: LooseText = None
    arguments: Any = None
    item: Annotated[dict[str, Any] | None, OrNone] = None
    part: Annotated[_ContentPart | None, OrNone] = None


class ResponsePieces:
    """Collects the pieces of one response, for what its whole items lack."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._refusal_deltas: list[str] = []
        self._parts: list[_ContentPart] = []
        self._calls: dict[str, dict[str, Any]] = {}

    def take(self, kind: str, event: object) -> None:
        """Add an event of this type; events that say nothing of this are ignored."""
        piece = _Piece.parse(event, self._failures)
        match kind:
            case "response.output_text.done":
                self._texts.append(piece.text or "")
            case "response.refusal.delta":
                self._refusal_deltas.append(piece.delta or "")
            case "response.refusal.done":
                self._refusals.append(piece.refusal or "")
            case "response.content_part.done" if piece.part is not None:
                self._parts.append(piece.part)
            case "response.output_item.added" if piece.item is not None:
                if piece.item.get("type") == "function_call":
                    self._calls[_place(piece, piece.item.get("id"))] = piece.item
            case "response.function_call_arguments.delta" if piece.delta:
                call = self._call(piece)
                begun = call.get("arguments")
                call["arguments"] = (begun if isinstance(begun, str) else "") + piece.delta
            case "response.function_call_arguments.done" if piece.arguments is not None:
                self._call(piece)["arguments"] = piece.arguments

    def text(self) -> str:
        """The text of the reply."""
        return "".join(self._texts) or "".join(part.text or "" for part in self._parts)

    def refusal(self) -> str:
        """The words of a refusal."""
        parts = "".join(part.refusal or "" for part in self._parts)
        return "".join(self._refusals) or parts or "".join(self._refusal_deltas)

    def calls(self) -> list[dict[str, Any]]:
        """The calls of functions, as items."""
        return list(self._calls.values())

    def _call(self, piece: _Piece) -> dict[str, Any]:
        new = {"type": "function_call", "call_id": piece.call_id, "name": piece.name}
        return self._calls.setdefault(_place(piece, piece.item_id), new)


def _place(piece: _Piece, item_id: object) -> str:
    """What joins the pieces of a call: its place in the output, else its id."""
    return str(piece.output_index if piece.output_index is not None else item_id)
