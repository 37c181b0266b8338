"""The forms in which the value of a secret is searched for, each a sequence of units.

A form is the value in the spellings of `encoders.py`; in base64 or base32 at every alignment, in
either alphabet, wrapped into lines or not; in hexadecimal; or as UTF-16. If a value has several
lines, each long line is searched for on its own, too.
"""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Iterator
from functools import cache, partial

from orc.ledger.secrets.encoders import (
    INDENT,
    LINE_END,
    REAL_LINE_END,
    SOFT_BREAK,
    content_of,
    is_word,
    spellings,
)
from orc.ledger.secrets.forms import Form, Unit
from orc.ledger.secrets.patterns import (
    NOTHING,
    digits_of_either_case,
    either,
    literal,
    optional,
    sequence,
    sorted_choice,
)

LINE_CHARS_MIN = 16
"""Lines of a value that have at least this length are treated as secrets of their own."""

WRAPPED_CHARS_MIN = 64
"""Base64 that is wrapped into shorter lines is not found."""

UNIT_CHARS_MAX = 300
"""No spelling of a character is longer; a test compares this with the table of encoders."""

_ANCHOR_CHARS_MIN = 4
_PLAIN = re.compile("[A-Za-z0-9_.~-]+")
# The characters of which one spelling is the beginning of another: the number of U+00C3 is also the
# first of its two bytes in UTF-8.
_UNCERTAIN = frozenset("\\%&='\"`^$\r\n\xc3")
_SOFT_BREAK = optional(sorted_choice(SOFT_BREAK))
_ENCODED_BREAK = optional(sorted_choice(either(sequence(REAL_LINE_END, INDENT), LINE_END)))


def spell_out(value: str, *, as_bytes: bool) -> list[Form]:
    """The forms in which the secret is searched for.

    With `as_bytes`, they are for bytes that were decoded as Latin-1.
    """
    return list(_forms(value, as_bytes))


def _forms(value: str, as_bytes: bool) -> Iterator[Form]:
    yield _spelled(value, as_bytes)
    line_feeds = _with_line_feeds(value)
    for whole in dict.fromkeys((value, line_feeds, line_feeds.replace("\n", "\r\n"))):
        yield from _encoded_whole(whole, as_bytes)
    lines = value.splitlines()
    if len(lines) > 1:
        for line in lines:
            # The first and the last line of a PEM file hold no part of the secret.
            if len(line.strip()) >= LINE_CHARS_MIN and not line.startswith("-----"):
                yield _spelled(line.strip(), as_bytes)


def _encoded_whole(value: str, as_bytes: bool) -> Iterator[Form]:
    content = b"".join(map(content_of, value))
    wide = value.encode("utf-16-le", "surrogatepass")
    for encoded in dict.fromkeys((content, *_texts_in_base64(value), wide)):
        for alignment in range(3):
            yield _in_base(encoded, alignment, bits=6)
    for alignment in range(5):
        yield _in_base(content, alignment, bits=5)
    yield _in_hexadecimal(content)
    yield from _wide(value, as_bytes)


def _texts_in_base64(value: str) -> Iterator[bytes]:
    """The value as other texts hold it that are often in base64 as a whole."""
    yield json.dumps(value)[1:-1].encode()
    for text in (json.dumps(value, ensure_ascii=False)[1:-1], html.escape(value)):
        yield b"".join(map(content_of, text))
    yield urllib.parse.quote_from_bytes(b"".join(map(content_of, value)), safe="").encode()


def _spelled(value: str, as_bytes: bool) -> Form:
    value = _with_line_feeds(value)
    plain = max(_PLAIN.findall(value), key=len, default="")
    anchors = (plain,) if len(plain) >= _ANCHOR_CHARS_MIN else ()
    return Form(
        lambda: (unit for character in value for unit in _units(character, as_bytes)),
        _SOFT_BREAK,
        (len(value) + value.count("\n")) * (UNIT_CHARS_MAX + _SOFT_BREAK.size_max),
        anchors,
        has_codes=True,
    )


def _with_line_feeds(value: str) -> str:
    return value.replace("\r\n", "\n")


def _units(character: str, as_bytes: bool) -> Iterator[Unit]:
    """The units of the character. A carriage return may precede a line feed, whatever the value has."""
    if character == "\n":
        yield _carriage_return()
    yield _unit(character, as_bytes)


@cache
def _carriage_return() -> Unit:
    return Unit("\r", tuple(spellings("\r")), uncertain=True, absent=True)


@cache
def _unit(character: str, as_bytes: bool) -> Unit:
    plain = content_of(character).decode("latin-1") if as_bytes else character
    return Unit(plain, tuple(spellings(character)), uncertain=character in _UNCERTAIN)


@cache
def _verbatim(text: str) -> Unit:
    return Unit(text, ())


@cache
def _base_unit(character: str, bits: int) -> Unit:
    if bits == 5 or character not in "+/":
        return _verbatim(character)
    other = literal("-" if character == "+" else "_")
    return Unit(character, (other, *spellings(character)))


@cache
def _hex_unit(code: str) -> Unit:
    return Unit("", (digits_of_either_case(code),))


def _in_base(content: bytes, alignment: int, *, bits: int) -> Form:
    """The part of the encoded text that does not depend on the bytes around the value."""
    encode = base64.b64encode if bits == 6 else base64.b32encode
    encoded = encode(bytes(alignment) + content).decode("ascii")
    first = -(-alignment * 8 // bits)
    core = encoded[first : (alignment + len(content)) * 8 // bits]
    # A line break can split at most one of the two halves.
    first_line = core[:WRAPPED_CHARS_MIN]
    half = len(first_line) // 2
    anchors = [
        max(re.findall("[A-Za-z0-9]+", part), key=len, default="")
        for part in (first_line[:half], first_line[half:])
    ]
    return Form(
        lambda: (_base_unit(character, bits) for character in core),
        _ENCODED_BREAK,
        len(core) * (1 + _ENCODED_BREAK.size_max) + len(re.findall("[+/]", core)) * UNIT_CHARS_MAX,
        tuple(anchors) if all(anchors) else (),
    )


def _in_hexadecimal(content: bytes) -> Form:
    codes = [f"{byte:02x}" for byte in content]
    begin = "".join(codes[:4])
    return Form(lambda: map(_hex_unit, codes), NOTHING, 2 * len(codes), (begin, begin.upper()))


def _wide(value: str, as_bytes: bool) -> Iterator[Form]:
    """UTF-16 in bytes of either order, and in text with a NUL character or its escape."""
    if as_bytes:
        for order in ("utf-16-le", "utf-16-be"):
            text = value.encode(order, "surrogatepass").decode("latin-1")
            yield Form(partial(map, _verbatim, text), NOTHING, len(text), (text,))
    if value.isascii() and all(map(is_word, value[:2])):
        anchors = tuple(f"{value[0]}{mark}{value[1]}" for mark in ("\0", r"\u0000", r"\x00"))
        yield Form(partial(_with_nul, value), NOTHING, 7 * len(value), anchors)


def _with_nul(value: str) -> Iterator[Unit]:
    nul = Unit("", (either(literal("\0"), literal(r"\u0000"), literal(r"\x00")),))
    yield _verbatim(value[0])
    for character in value[1:]:
        yield from (nul, _verbatim(character))
