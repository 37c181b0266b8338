"""How a secret may be written: patterns for its value as it is, quoted, escaped, and in base64.

A value is found quoted for a URL, a JSON text, HTML or a shell, and in base64 at
each of its three alignments, in both alphabets, in lines or in one. Of a value of
several lines, each longer line is found by itself.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

LINE_CHARS_MIN = 16
"""Lines of a value from this length on are secrets themselves."""

_BASE64_CHARS_MAX = 96
_WRAPPED_CHARS_MIN = 64
"""Base64 in shorter lines is not found."""

_ANCHOR_CHARS_MIN = 4
_PLAIN = re.compile("[A-Za-z0-9_.~-]+")
_OPENING_SIGNS = 4
_BREAK = r"(?:\r?\n|(?:\\r)?\\n)?"
_BREAK_CHARS = 4
_JSON_ESCAPES = {"/": r"\/", "'": r"\'"}
_ENTITIES = {
    "&": ("&amp;",),
    "<": ("&lt;",),
    ">": ("&gt;",),
    '"': ("&quot;", "&#34;"),
    "'": ("&#39;", "&#x27;"),
}


@dataclass(frozen=True, slots=True)
class Form:
    """A way to write a secret: a pattern for each of its signs, and the most bytes of each.

    What it matches has one of the anchors in it, plain texts that are fast to look
    for; without anchors that is not known. `begun` are patterns for the beginnings of
    the first few signs, where a text ends within them.
    """

    signs: tuple[str, ...]
    sizes: tuple[int, ...]
    anchors: tuple[str, ...]
    begun: tuple[str, ...]

    def opening(self) -> str:
        """A pattern for the first few signs, or for as many of them as a text ends with."""
        count = len(self.begun)
        found = ["".join(self.signs[:count])]
        for number, begun in enumerate(self.begun):
            before = "".join(self.signs[:number])
            found += [rf"{before}\Z"] * (number > 0)
            found += [rf"{before}(?:{begun})\Z"] * bool(begun)
        return "|".join(found)


def encode_pattern(text: str) -> bytes:
    """The bytes of a text or a pattern, those that were no UTF-8 in the environment among them."""
    return text.encode("utf-8", "surrogateescape")


def spell_out(value: str) -> list[Form]:
    """The ways in which the secret is looked for."""
    return list(_forms(value))


def _forms(value: str) -> Iterator[Form]:
    yield _spelled(value)
    content = value.encode("utf-8", "surrogateescape")
    for alignment in range(3):
        yield _in_base64(content, alignment)
    lines = value.splitlines()
    if len(lines) > 1:
        for line in lines:
            # The first and the last line of a PEM file say what it is, and nothing else.
            if len(line.strip()) >= LINE_CHARS_MIN and not line.startswith("-----"):
                yield _spelled(line.strip())


def _spelled(value: str) -> Form:
    signs = []
    sizes = []
    begun = []
    for character in value.replace("\r\n", "\n"):
        spellings = _spellings(character)
        patterns = list(dict.fromkeys(re.escape(spelling) for spelling in spellings))
        patterns += [_of_either_case(code) for code in _codes(character)]
        signs.append(patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})")
        begun.append(_begun(patterns))
        everything = (*spellings, *_codes(character))
        sizes.append(max(len(encode_pattern(spelling)) for spelling in everything))
    plain = max(_PLAIN.findall(value), key=len, default="")
    anchors = (plain,) if len(plain) >= _ANCHOR_CHARS_MIN else ()
    return Form(tuple(signs), tuple(sizes), anchors, tuple(begun[:_OPENING_SIGNS]))


def _spellings(character: str) -> list[str]:
    """The ways in which a character is written, its own first."""
    if character.isascii() and (character.isalnum() or character in "_-.~"):
        return [character]
    if character == "\n":
        return ["\n", "\r\n", r"\n", r"\r\n"]
    found = [character, *_ENTITIES.get(character, ())]
    if character in _JSON_ESCAPES:
        found.append(_JSON_ESCAPES[character])
    if character == "'":
        found += ["'\\''", "'\"'\"'"]
    if character == " ":
        found.append("+")
    if "\ud800" <= character <= "\udfff":
        return [character, "\ufffd"]
    return [*found, json.dumps(character, ensure_ascii=False)[1:-1]]


def _codes(character: str) -> list[str]:
    """The same in hexadecimal digits, of either case."""
    if character.isascii() and (character.isalnum() or character in "_-.~"):
        return []
    content = character.encode("utf-8", "surrogateescape")
    found = ["".join(f"%{byte:02x}" for byte in content)]
    if character == "\n":
        found.append("%0d%0a")
    escaped = json.dumps(character)[1:-1]
    if escaped.startswith("\\u") and not "\ud800" <= character <= "\udfff":
        found.append(escaped)
    return found


def _begun(patterns: list[str]) -> str:
    """For the beginnings of what the patterns match, which are characters and sets of them."""
    found: dict[str, None] = {}
    for pattern in patterns:
        parts = re.findall(r"\[[^\]]*\]|\\(?:.|\n)|[^\\]", pattern)
        found |= dict.fromkeys("".join(parts[:count]) for count in range(1, len(parts)))
    return "|".join(found)


def _of_either_case(code: str) -> str:
    return re.sub("[a-f]", lambda digit: f"[{digit[0]}{digit[0].upper()}]", re.escape(code))


def _in_base64(content: bytes, alignment: int) -> Form:
    """The part of the encoding that does not depend on what stands before and after."""
    encoded = base64.b64encode(bytes(alignment) + content).decode("ascii").rstrip("=")
    skipped = (0, 2, 3)[alignment]
    core = encoded[skipped : len(encoded) - (1 if (alignment + len(content)) % 3 else 0)]
    signs = []
    sizes = []
    begun = []
    for sign in core[:_BASE64_CHARS_MAX]:
        spellings = {"+": [r"\+", "-", "%2[bB]"], "/": ["/", "_", r"\\/", "%2[fF]"]}
        patterns = spellings.get(sign, [sign])
        whole = f"(?:{'|'.join(patterns)})"
        signs.append(whole + _BREAK)
        sizes.append((3 if sign in spellings else 1) + _BREAK_CHARS)
        before_break = rf"{whole}(?:\r|\\|\\r|\\r\\)"
        begun.append("|".join(filter(None, (_begun(patterns), before_break))))
    # No break after the last sign: that line's end is not the secret's.
    signs[-1] = signs[-1].removesuffix(_BREAK)
    left = len(core) - len(core[:_BASE64_CHARS_MAX])
    if left:
        # What so long an encoding goes on with is hidden unread, its breaks included.
        signs.append(rf"[A-Za-z0-9+/=_%\r\n\\-]{{0,{left + left // 16}}}")
        sizes.append(left + left // 16)
    # A line's end breaks one of the halves at most.
    first_line = core[:_WRAPPED_CHARS_MIN]
    half = len(first_line) // 2
    anchors = [
        max(re.findall("[A-Za-z0-9]+", part), key=len, default="")
        for part in (first_line[:half], first_line[half:])
    ]
    return Form(
        tuple(signs),
        tuple(sizes),
        tuple(anchors) if all(anchors) else (),
        tuple(begun[:_OPENING_SIGNS]),
    )
