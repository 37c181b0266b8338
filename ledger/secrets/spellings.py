"""Regular expressions that match a secret in its usual spellings.

A spelling is the plain value; the value escaped for a URL, JSON, HTML or a shell; or base64
at each of the three alignments, in both alphabets, wrapped into lines or not. If a value has
several lines, each long line is matched on its own, too.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

LINE_CHARS_MIN = 16
"""Lines of a value that have at least this length are treated as secrets of their own."""

_BASE64_CHARS_MAX = 96
_WRAPPED_CHARS_MIN = 64
"""Base64 that is wrapped into shorter lines is not found."""

_ANCHOR_CHARS_MIN = 4
_PLAIN = re.compile("[A-Za-z0-9_.~-]+")
_OPENING_UNITS = 4
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
    """One way to write a secret, as a sequence of units, usually one per character.

    `units` has a pattern for each unit, and `sizes` the longest match of each in bytes.
    Each match of the whole form contains one of the `anchors`, plain texts that are fast to
    search for; without anchors, the text must always be searched with the patterns.
    `partial_units` are patterns for an incomplete unit at the end of a text, for the first
    few units.
    """

    units: tuple[str, ...]
    sizes: tuple[int, ...]
    anchors: tuple[str, ...]
    partial_units: tuple[str, ...]

    def opening(self) -> str:
        """A pattern for the first few units, or for a part of them at the end of the text."""
        count = len(self.partial_units)
        found = ["".join(self.units[:count])]
        for number, partial in enumerate(self.partial_units):
            before = "".join(self.units[:number])
            found += [rf"{before}\Z"] * (number > 0)
            found += [rf"{before}(?:{partial})\Z"] * bool(partial)
        return "|".join(found)


def encode_pattern(text: str) -> bytes:
    """A text or pattern as bytes; bytes of the environment that were not UTF-8 are restored."""
    return text.encode("utf-8", "surrogateescape")


def spell_out(value: str) -> list[Form]:
    """The forms in which the secret is searched for."""
    return list(_forms(value))


def _forms(value: str) -> Iterator[Form]:
    yield _spelled(value)
    content = value.encode("utf-8", "surrogateescape")
    for alignment in range(3):
        yield _in_base64(content, alignment)
    lines = value.splitlines()
    if len(lines) > 1:
        for line in lines:
            # The first and the last line of a PEM file hold no part of the secret.
            if len(line.strip()) >= LINE_CHARS_MIN and not line.startswith("-----"):
                yield _spelled(line.strip())


def _spelled(value: str) -> Form:
    units = []
    sizes = []
    partial_units = []
    for character in value.replace("\r\n", "\n"):
        spellings = _spellings(character)
        patterns = list(dict.fromkeys(re.escape(spelling) for spelling in spellings))
        patterns += [_of_either_case(code) for code in _codes(character)]
        units.append(patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})")
        partial_units.append(_match_prefixes(patterns))
        everything = (*spellings, *_codes(character))
        sizes.append(max(len(encode_pattern(spelling)) for spelling in everything))
    plain = max(_PLAIN.findall(value), key=len, default="")
    anchors = (plain,) if len(plain) >= _ANCHOR_CHARS_MIN else ()
    return Form(tuple(units), tuple(sizes), anchors, tuple(partial_units[:_OPENING_UNITS]))


def _spellings(character: str) -> list[str]:
    """The spellings of a character, the plain one first."""
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
    """The spellings of a character with hexadecimal digits, in lower case."""
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


def _match_prefixes(patterns: list[str]) -> str:
    """A pattern for all proper prefixes of what the patterns match.

    The patterns consist of characters, escaped characters and character sets.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        parts = re.findall(r"\[[^\]]*\]|\\(?:.|\n)|[^\\]", pattern)
        found |= dict.fromkeys("".join(parts[:count]) for count in range(1, len(parts)))
    return "|".join(found)


def _of_either_case(code: str) -> str:
    return re.sub("[a-f]", lambda digit: f"[{digit[0]}{digit[0].upper()}]", re.escape(code))


def _in_base64(content: bytes, alignment: int) -> Form:
    """The part of the base64 text that does not depend on the bytes around the value."""
    encoded = base64.b64encode(bytes(alignment) + content).decode("ascii").rstrip("=")
    skipped = (0, 2, 3)[alignment]
    core = encoded[skipped : len(encoded) - (1 if (alignment + len(content)) % 3 else 0)]
    units = []
    sizes = []
    partial_units = []
    for character in core[:_BASE64_CHARS_MAX]:
        spellings = {"+": [r"\+", "-", "%2[bB]"], "/": ["/", "_", r"\\/", "%2[fF]"]}
        patterns = spellings.get(character, [character])
        whole = f"(?:{'|'.join(patterns)})"
        units.append(whole + _BREAK)
        sizes.append((3 if character in spellings else 1) + _BREAK_CHARS)
        before_break = rf"{whole}(?:\r|\\|\\r|\\r\\)"
        partial_units.append("|".join(filter(None, (_match_prefixes(patterns), before_break))))
    # A line break after the last character is not a part of the secret.
    units[-1] = units[-1].removesuffix(_BREAK)
    left = len(core) - len(core[:_BASE64_CHARS_MAX])
    if left:
        # The rest of a long encoding is masked without being compared, with its line breaks.
        units.append(rf"[A-Za-z0-9+/=_%\r\n\\-]{{0,{left + left // 16}}}")
        sizes.append(left + left // 16)
    # A line break can split at most one of the two halves.
    first_line = core[:_WRAPPED_CHARS_MIN]
    half = len(first_line) // 2
    anchors = [
        max(re.findall("[A-Za-z0-9]+", part), key=len, default="")
        for part in (first_line[:half], first_line[half:])
    ]
    return Form(
        tuple(units),
        tuple(sizes),
        tuple(anchors) if all(anchors) else (),
        tuple(partial_units[:_OPENING_UNITS]),
    )
