"""Joins the pieces of tool calls, by every rule that servers follow.

A piece has an index, an id, a name and a part of the arguments, and each of them may be missing,
repeated in every piece, or the same in pieces of different calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from orc.providers.contract import Message, ToolCall
from orc.providers.http import parse_json, replace_surrogates
from orc.providers.reply_bounds import NAME_CHARS_MAX


def read_arguments(written: object) -> dict[str, Any] | str:
    """The arguments of a call: none where the model wrote nothing, a text where it wrote no object.

    Most APIs have them as JSON text, some as an object; servers confuse the two.
    """
    if written is None:
        return {}
    text = written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)
    text = replace_surrogates(text)
    if not text.strip():
        return {}
    for attempt in (text, text.strip().removeprefix("{}")):
        try:
            arguments = parse_json(attempt)
        except ValueError:
            continue
        if isinstance(arguments, str):
            # Some servers encode the object twice.
            try:
                arguments = parse_json(arguments)
            except ValueError:
                continue
        if isinstance(arguments, dict):
            return arguments
    return text


def write_arguments(arguments: dict[str, Any] | str) -> str:
    """The arguments as JSON text of an object; servers refuse anything else in a conversation."""
    kept = {"arguments": arguments} if isinstance(arguments, str) else arguments
    return json.dumps(kept, ensure_ascii=False)


class JoinedCall:
    """A tool call while its pieces arrive; `extra` is what must be sent back with it."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.extra: dict[str, Any] = {}
        self.size = 0
        self._pieces: list[str] = []

    @property
    def arguments(self) -> str:
        """The arguments as far as they have arrived."""
        return "".join(self._pieces)

    def add(self, piece: str) -> None:
        """Add a piece of the arguments."""
        if piece:
            self._pieces.append(piece)
            self.size += len(piece)

    def is_whole(self) -> bool:
        """Whether the arguments are a complete JSON object."""
        text = self.arguments
        if not text.rstrip().endswith("}"):
            return False
        try:
            return isinstance(parse_json(text), dict)
        except ValueError:
            return False


class CallJoiner:
    """The tool calls of one reply."""

    def __init__(self) -> None:
        self.calls: list[JoinedCall] = []
        self._by_index: dict[int, JoinedCall] = {}
        self._by_id: dict[str, JoinedCall] = {}

    def add(
        self, *, index: int | None, id_: str, name: str, arguments: str, extra: dict[str, Any]
    ) -> None:
        """Add a piece of a call."""
        call = self._find(index, id_, name, arguments)
        if call is None:
            call = JoinedCall()
            self.calls.append(call)
        if index is not None:
            self._by_index[index] = call
        call.id = call.id or id_
        call.name = call.name or name
        call.add(arguments)
        call.extra |= extra
        if call.id:
            self._by_id.setdefault(call.id, call)

    def _find(self, index: int | None, id_: str, name: str, arguments: str) -> JoinedCall | None:
        """The call that the piece continues; None if it begins another one."""
        last = self.calls[-1] if self.calls else None
        known = last if index is None else self._by_index.get(index)
        if known is None:
            known = self._by_id.get(id_) if id_ else None if name else last
        elif id_ and known.id and id_ != known.id:
            return self._by_id.get(id_)
        if known is None or not name or not known.name:
            return known
        if known.name != name:
            return None
        # The name again: another call, unless it is repeated in each piece of one call.
        begins = bool(known.size) and (
            known.is_whole() if arguments.strip() else index is None and id_ != known.id
        )
        return None if begins else known


def give_ids(
    calls: Iterable[ToolCall], messages: Iterable[Message], show: Callable[[str], str]
) -> tuple[ToolCall, ...]:
    """The calls with ids that are short, safe to show and unique in the conversation so far.

    An id of any other shape is replaced: it only connects a call with its result. Some servers give
    the same ids in each turn, which others refuse.
    """
    earlier = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    seen = set(earlier)
    given: list[ToolCall] = []
    for number, call in enumerate(calls, len(earlier) + 1):
        id_ = call["id"]
        is_usable = 0 < len(id_) <= NAME_CHARS_MAX and show(id_) == id_ and id_ not in seen
        own = id_ if is_usable else f"call_{number}"
        while own in seen:
            own += "_"
        seen.add(own)
        given.append({**call, "id": own})
    return tuple(given)
