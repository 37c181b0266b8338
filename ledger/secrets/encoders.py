"""The table of encoders: how programs write one character of a value inside other text.

Each row is a function from a character to the patterns of its spellings. A value is found if every
character is in one of them, also if each is in another one. Where a spelling has characters that a
second encoder changes (the backslash of `\\u0041` in JSON, the `&` of `&quot;` in a URL), they may
be in the spelling of that encoder: the spellings of two encoders, one after the other, are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from msgspec import Struct

from orc.ledger.secrets.patterns import (
    Pattern,
    digits_of_either_case,
    either,
    literal,
    one_of,
    optional,
    repeated,
    sequence,
    unless_followed_by,
    with_repeats,
)

Spell = Callable[[str], Iterator[Pattern]]

ZEROS_MAX = 6
ENTITY_ZEROS_MAX = 40
"""More zeros before the number of an entity are not found."""

_INDENT_MAX = 24
_LETTERS = {
    "\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f", "\v": "v", "\a": "a", "\x1b": "eE",
    "\0": "0", "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P",
}  # fmt: skip
_DOUBLED = "\"'`%$^\\"


def _introducer(character: str, *, times: int = 1, is_short: bool = False) -> Pattern:
    """A character that begins an escape, as a second encoder may write it.

    `times` is how often it may stand there, for an encoder that repeats it. The short form has no
    entities.
    """
    code = digits_of_either_case(f"{ord(character):02x}")
    zeros = repeated(literal("0"), 0, ZEROS_MAX)
    number = either(literal(str(ord(character))), sequence(one_of("xX"), zeros, code))
    ways = [
        repeated(literal(character), 1, times),
        sequence(with_repeats("%", "25", 1), code),
        sequence(repeated(literal("\\"), 1, 2), literal("u00"), code),
    ]
    if not is_short:
        ways.append(sequence(literal("&#"), zeros, number, literal(";")))
    return either(*ways)


BACKSLASH = _introducer("\\", times=8)
_BACKSLASHES = either(
    repeated(literal("\\"), 1, 7),
    sequence(with_repeats("%", "25", 1), literal("5"), one_of("cC")),
)
PERCENT = either(
    with_repeats("%", "25", 2),
    sequence(literal("&#"), either(literal("37"), literal("x25")), literal(";")),
)
AMPERSAND = either(
    with_repeats("&", "amp;", 2),
    _introducer("&"),
)
HASH = _introducer("#", is_short=True)
SEMICOLON = _introducer(";", is_short=True)
EQUALS = either(literal("=3D"), _introducer("=", is_short=True))
REAL_LINE_END = sequence(optional(literal("\r")), literal("\n"))


def _coded(letter: str, code: str) -> Pattern:
    """A character of a line end in JSON or in a URL."""
    return either(
        sequence(
            repeated(literal("\\"), 1, 2),
            either(literal(letter), sequence(literal("u00"), digits_of_either_case(code))),
        ),
        sequence(with_repeats("%", "25", 1), digits_of_either_case(code)),
    )


LINE_END = either(REAL_LINE_END, sequence(optional(_coded("r", "0d")), _coded("n", "0a")))
INDENT = repeated(one_of(r" \t"), 0, _INDENT_MAX)
_BLANK = either(one_of(r" \t+"), sequence(with_repeats("%", "25", 1), literal("20")))
_CHARSET = repeated(one_of("A-Za-z0-9_*-"), 1, 20)
_QUESTION = _introducer("?", is_short=True)
_NEXT_WORD = sequence(
    _QUESTION,
    EQUALS,
    optional(LINE_END),
    _BLANK,
    EQUALS,
    _QUESTION,
    _CHARSET,
    _QUESTION,
    one_of("qQ"),
    _QUESTION,
)
SOFT_BREAK = either(
    sequence(EQUALS, LINE_END),
    sequence(literal("\\"), optional(literal("\r")), literal("\n"), INDENT),
    _NEXT_WORD,
)
"""What divides a text and is no part of it: a line break of quoted-printable, a backslash before the
line end, and the end and beginning of words in a header of mail."""


def is_word(character: str) -> bool:
    """Whether encoders seldom change the character: a letter or digit of ASCII."""
    return character.isascii() and character.isalnum()


def _is_special(character: str) -> bool:
    return character.isascii() and character >= " " and not is_word(character)


def _number(digits: str, zeros_max: int) -> Pattern:
    """The digits after any number of zeros up to the bound."""
    if digits == "0":
        return repeated(literal("0"), 1, zeros_max + 1)
    return sequence(repeated(literal("0"), 0, zeros_max), digits_of_either_case(digits))


def content_of(character: str) -> bytes:
    """The character in UTF-8; a byte of the environment that was not UTF-8 is restored."""
    try:
        return character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return character.encode("utf-8", "surrogatepass")


def _in_text_or_bytes(text: str) -> Pattern:
    """The text as it is, and in bytes that were decoded as Latin-1."""
    return either(literal(text), literal(text.encode().decode("latin-1")))


def _utf16(character: str) -> list[str]:
    content = character.encode("utf-16-be", "surrogatepass")
    return [content[at : at + 2].hex() for at in range(0, len(content), 2)]


def _percent(character: str) -> Iterator[Pattern]:
    bytewise = (
        part
        for byte in content_of(character)
        for part in (PERCENT, digits_of_either_case(f"{byte:02x}"))
    )
    yield sequence(*bytewise)
    units = (
        part
        for unit in _utf16(character)
        for part in (PERCENT, literal("u"), digits_of_either_case(unit))
    )
    yield sequence(*units)
    if 0x80 <= ord(character) < 0x100:
        yield sequence(PERCENT, digits_of_either_case(f"{ord(character):02x}"))


def _form(character: str) -> Iterator[Pattern]:
    if character == " ":
        yield _introducer("+")


def _numbered(character: str) -> Iterator[Pattern]:
    """Escapes with a backslash and a number: `\\u0041`, `\\x41`, `\\101`, `\\U00000041`, `\\u{41}`."""
    code = ord(character)
    units = (
        part
        for unit in _utf16(character)
        for part in (BACKSLASH, literal("u"), digits_of_either_case(unit))
    )
    yield sequence(*units)
    choices = [
        sequence(literal("U"), digits_of_either_case(f"{code:08x}")),
        sequence(
            one_of("ux"),
            _introducer("{"),
            _number(f"{code:x}", ZEROS_MAX),
            _introducer("}"),
        ),
    ]
    if 0x80 <= code < 0x100:
        choices.append(sequence(literal("x"), digits_of_either_case(f"{code:02x}")))
    yield sequence(BACKSLASH, either(*choices))
    bytewise = []
    for byte in content_of(character):
        digits = {f"{byte:03o}", f"{byte:o}", f"0{byte:03o}"}
        if not is_word(character):
            # Lua and the files of DNS have decimal numbers.
            digits |= {f"{byte:03}", f"{byte}"}
        ways = [literal(number) for number in sorted(digits, key=lambda one: (-len(one), one))]
        hexed = sequence(literal("x"), digits_of_either_case(f"{byte:02x}"))
        bytewise += [BACKSLASH, either(hexed, *ways)]
    yield sequence(*bytewise)


def _lettered(character: str) -> Iterator[Pattern]:
    letters = _LETTERS.get(character)
    if letters is not None:
        yield sequence(either(BACKSLASH, literal("`")), one_of(letters))
    if character == "\n":
        yield sequence(_BACKSLASHES, REAL_LINE_END)


def _control(character: str) -> Iterator[Pattern]:
    """Carets and `\\c` with a letter, and the pictures of Unicode."""
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        letter = chr(code ^ 0x40)
        either_case = literal(letter) if not letter.isalpha() else one_of(letter + letter.lower())
        yield sequence(_introducer("^"), literal(letter))
        yield sequence(BACKSLASH, literal("c"), either_case)
        yield _in_text_or_bytes("\u2421" if code == 0x7F else chr(0x2400 + code))
    if character == "\n":
        yield _in_text_or_bytes("\u2424")


def _backslash_before(character: str) -> Iterator[Pattern]:
    if character == "\\":
        coded = either(*_twice(character))
        yield from (literal("\\" * 2**times) for times in (1, 2, 3))
        yield sequence(coded, coded)
    elif _is_special(character):
        yield sequence(_BACKSLASHES, either(*_twice(character)))


def _marks_before(character: str) -> Iterator[Pattern]:
    """The backtick of PowerShell and the caret of cmd."""
    if _is_special(character):
        escaped = sequence(_BACKSLASHES, literal(character))
        yield sequence(
            either(_introducer("`"), _introducer("^")),
            either(literal(character), escaped, *_twice(character)),
        )


def _quote(character: str) -> Pattern:
    return either(sequence(_BACKSLASHES, literal(character)), *_twice(character))


def _twice(character: str) -> Iterator[Pattern]:
    """A character of a spelling, as a second encoder may write it."""
    yield _introducer(character)
    names = [name for name in _names_of_characters().get(character, ()) if name.endswith(";")]
    for name in sorted(names, key=len)[:2]:
        yield literal(f"&{name}")
    if character == " ":
        yield literal("+")


def _doubled(character: str) -> Iterator[Pattern]:
    if character in _DOUBLED and character != "\\":
        yield literal(character * 4)
        yield sequence(_quote(character), _quote(character))


def _closed_and_reopened(character: str) -> Iterator[Pattern]:
    """A single quote inside single quotes of a shell: they end, and begin again after it."""
    single, double = _quote("'"), _quote('"')
    if character == "'":
        slash = _BACKSLASHES
        yield sequence(single, slash, single, single)
        yield sequence(single, double, single, double, single)
    elif character == "\n":
        yield literal("'\n'")
        yield literal("$'\\n'")
        yield literal("'$'\\n''")


@cache
def _names_of_characters() -> dict[str, list[str]]:
    from html.entities import html5

    found: dict[str, list[str]] = {}
    for name, text in html5.items():
        found.setdefault(text, []).append(name)
    return found


def _entity(character: str) -> Iterator[Pattern]:
    code = ord(character)
    decimal = sequence(
        _number(str(code), ENTITY_ZEROS_MAX), either(SEMICOLON, unless_followed_by("0-9"))
    )
    hexed = sequence(
        one_of("xX"),
        _number(f"{code:x}", ENTITY_ZEROS_MAX),
        either(SEMICOLON, unless_followed_by("0-9a-fA-F")),
    )
    yield sequence(AMPERSAND, HASH, either(decimal, hexed))
    for name in sorted(_names_of_characters().get(character, ()), reverse=True):
        # A name without its semicolon is one that HTML allows without it.
        end = (SEMICOLON,) if name.endswith(";") else ()
        yield sequence(AMPERSAND, literal(name.rstrip(";")), *end)


def _quoted_printable(character: str) -> Iterator[Pattern]:
    # A line may be wrapped between two bytes of a character.
    parts = [
        part
        for byte in content_of(character)
        for part in (optional(SOFT_BREAK), EQUALS, digits_of_either_case(f"{byte:02x}"))
    ]
    yield sequence(*parts[1:])


def _in_header(character: str) -> Iterator[Pattern]:
    if character == " ":
        yield _introducer("_")


def _folded(character: str) -> Iterator[Pattern]:
    """Line ends of either kind, with the indentation of YAML, and lines folded at a space."""
    if character == "\n":
        yield sequence(REAL_LINE_END, optional(REAL_LINE_END), INDENT)
    if character == "\r":
        yield REAL_LINE_END
    if character == " ":
        yield sequence(optional(literal("\r")), literal("\n"), INDENT)


def _undecoded(character: str) -> Iterator[Pattern]:
    if "\ud800" <= character <= "\udfff":
        yield _in_text_or_bytes("\ufffd")


class Encoder(Struct, frozen=True):
    """A row of the table: `spell` gives the spellings of a character, besides the character itself.

    `name` and `example` (of the value `a'b` or `a b`) are for the documentation.
    """

    name: str
    example: str
    spell: Spell


ENCODERS: tuple[Encoder, ...] = (
    Encoder("percent-encoding, of any character, once, twice or three times", "a%27b", _percent),
    Encoder("a form in a URL", "a+b", _form),
    Encoder(
        "escapes with a number, of JSON, JavaScript, C, Java, .NET, Go, PHP, Python and `$'...'`",
        r"a\u0027b",
        _numbered,
    ),
    Encoder("escapes with a letter", r"a\nb", _lettered),
    Encoder("control characters as a caret and a letter, or as pictures", "a^Jb", _control),
    Encoder("a backslash before a special character, once or twice", r"a\'b", _backslash_before),
    Encoder(
        "a backtick (PowerShell) or a caret (cmd) before a special character", "a^'b", _marks_before
    ),
    Encoder("doubled quotes (SQL, CSV, PowerShell, YAML), `%%` and `$$`", "a''b", _doubled),
    Encoder("single quotes of a shell, closed and opened again", r"a'\''b", _closed_and_reopened),
    Encoder("entities of HTML and XML, by name, decimal or hexadecimal", "a&#39;b", _entity),
    Encoder(
        "quoted-printable, of any character, with soft line breaks", "a=27b", _quoted_printable
    ),
    Encoder("the encoding Q in headers of mail (RFC 2047)", "a_b", _in_header),
    Encoder("line ends, indented lines and folded lines (YAML)", "a\n  b", _folded),
    Encoder("bytes that are not UTF-8, replaced", "a\ufffdb", _undecoded),
)


def spellings(character: str) -> Iterator[Pattern]:
    """Every spelling of the character but the character itself."""
    for encoder in ENCODERS:
        yield from encoder.spell(character)
