# ruff: noqa: UP031  (the codes of other languages are clearer in their own format)
"""A secret is found as real encoders write it, in text, in pieces, and encoded a second time."""

from __future__ import annotations

import base64
import csv
import email.charset
import html
import io
import json
import quopri
import shlex
import shutil
import subprocess
import time
import urllib.parse
import xml.sax.saxutils
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree as ET

import markupsafe
import pytest
import yaml
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from orc.ledger.secrets.encoders import ENCODERS
from orc.ledger.secrets.forms import Unit
from orc.ledger.secrets.masking import Mask
from orc.ledger.secrets.spellings import UNIT_CHARS_MAX, _unit, spell_out
from tests.each_case import each_case

Encode = Callable[[str], str]


def utf16(character: str) -> list[int]:
    content = character.encode("utf-16-be")
    return [int.from_bytes(content[at : at + 2]) for at in range(0, len(content), 2)]


def escaped(value: str, special: str, code: str, named: dict[str, str] | None = None) -> str:
    """The rules of JSON in another language: which characters are escaped, and in which digits."""
    named = {"\n": "\\n", "\t": "\\t", "\\": "\\\\", **(named or {})}
    return "".join(
        named[one]
        if one in named
        else "".join(code % unit for unit in utf16(one))
        if one in special or one < " "
        else one
        for one in value
    )


def each(value: str, code: Callable[[str], str]) -> str:
    return "".join(map(code, value))


def bytewise(value: str, code: str) -> str:
    return "".join(code % byte for byte in value.encode())


def in_csv(value: str) -> str:
    target = io.StringIO()
    csv.writer(target).writerow([value])
    return target.getvalue()


def quoted_printable(value: str) -> str:
    return quopri.encodestring(b"key: " + value.encode(), quotetabs=False).decode("ascii")


def all_in_quoted_printable(value: str) -> str:
    """Every byte encoded, in lines of four bytes."""
    code = bytewise(value, "=%02X")
    return "=\r\n".join(code[at : at + 12] for at in range(0, len(code), 12))


def every_other_byte(value: str) -> str:
    """Quoted-printable of some letters only, as encoders for `From ` and `.` at a line's begin do."""
    return "".join(
        chr(byte) if number % 2 and chr(byte).isalnum() and byte < 128 else f"={byte:02X}"
        for number, byte in enumerate(value.encode())
    )


def in_mail_header(value: str) -> str:
    """The encoding Q of RFC 2047, in words of 75 characters."""
    charset = email.charset.Charset("utf-8")
    charset.header_encoding = email.charset.QP
    lines = charset.header_encode_lines(value, iter([75] * 999))
    return "\r\n ".join(line for line in lines if line)


def in_xml_attribute(value: str) -> str:
    """As canonical XML writes it, with the entities of line ends and tabs."""
    try:
        return ET.canonicalize(ET.tostring(ET.Element("a", k=value)))
    except ET.ParseError:
        # XML has no other control characters.
        return value


def controls(value: str, code: Callable[[str], str]) -> str:
    """Only control characters are encoded."""
    return each(value, lambda one: code(one) if one < " " or one == "\x7f" else one)


def before_specials(value: str, mark: str, special: str) -> str:
    return each(value, lambda one: mark + one if one in special else one)


SPECIAL = "!\"#$&'()*,;<>?[\\]^`{|}~ "
FIRST: dict[str, Encode] = {
    "json": json.dumps,
    "json, not ASCII": lambda value: json.dumps(value, ensure_ascii=False),
    "JavaScript": lambda value: json.dumps(value, ensure_ascii=False).replace("/", "\\/"),
    "Go": lambda value: escaped(value, "<>&\u2028\u2029", "\\u%04x", {'"': '\\"'}),
    ".NET": lambda value: escaped(
        value, "\"'&+<>`\x7f" + "".join(one for one in value if one > "~"), "\\u%04X"
    ),
    "PHP": lambda value: escaped(
        value, "<>&'\"" + "".join(one for one in value if one > "~"), "\\u%04X", {"/": "\\/"}
    ),
    "Java": lambda value: each(
        value, lambda one: one if one.isascii() and one.isalnum() else
        "".join("\\u%04X" % unit for unit in utf16(one))
    ),
    "html": html.escape,
    "markupsafe": lambda value: str(markupsafe.escape(value)),
    "xml": lambda value: xml.sax.saxutils.escape(value, {'"': "&quot;", "'": "&apos;"}),
    "xml attribute": lambda value: xml.sax.saxutils.quoteattr(value),
    "decimal entities": lambda value: each(value, lambda one: "&#%04d;" % ord(one)),
    "hexadecimal entities": lambda value: each(value, lambda one: "&#X%04X;" % ord(one)),
    "entities by name": lambda value: each(
        value, lambda one: "&" + NAMES[one] if one in NAMES else one
    ),
    "URL": lambda value: urllib.parse.quote(value, safe=""),
    "URL, path": urllib.parse.quote,
    "form": urllib.parse.quote_plus,
    "URL, every byte": lambda value: bytewise(value, "%%%02x"),
    "URL twice": lambda value: urllib.parse.quote(urllib.parse.quote(value, safe=""), safe=""),
    "escape() of JavaScript": lambda value: each(
        value, lambda one: one if one.isalnum() and one.isascii() else
        "%%%02X" % ord(one) if one < "\u0100" else "".join("%%u%04X" % unit for unit in utf16(one))
    ),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda value: repr(value.encode()),
    "C, octal": lambda value: bytewise(value, "\\%03o"),
    "C, hexadecimal": lambda value: bytewise(value, "\\x%02X"),
    "U of Python": lambda value: each(value, lambda one: "\\U%08x" % ord(one)),
    "Rust, JavaScript and Swift": lambda value: each(value, lambda one: "\\u{%x}" % ord(one)),
    "yaml": lambda value: yaml.safe_dump({"key": value}),
    "yaml, not ASCII": lambda value: yaml.safe_dump([[value]], allow_unicode=True, width=1000),
    "yaml, quoted": lambda value: yaml.safe_dump({"key": value}, default_style='"'),
    "yaml, block": lambda value: yaml.safe_dump({"k": {"key": value}}, default_style="|"),
    "shlex": shlex.quote,
    "shell, closed and reopened": lambda value: "'" + value.replace("'", "'\\''") + "'",
    "shell, backslashes": lambda value: before_specials(value, "\\", SPECIAL),
    "shell, double quotes": lambda value: '"' + before_specials(value, "\\", '$`"\\!') + '"',
    "fish": lambda value: "'" + before_specials(value, "\\", "'\\") + "'",
    "PowerShell": lambda value: '"' + before_specials(value, "`", '`"$') + '"',
    "PowerShell, single quotes": lambda value: "'" + value.replace("'", "''") + "'",
    "cmd": lambda value: before_specials(value, "^", '&|<>^"()').replace("%", "%%"),
    "SQL": lambda value: "'" + value.replace("'", "''") + "'",
    "csv": in_csv,
    "quoted-printable": quoted_printable,
    "quoted-printable, every byte": all_in_quoted_printable,
    "quoted-printable, mixed": every_other_byte,
    "quoted-printable, spaces as _": lambda value: quopri.encodestring(
        value.encode(), quotetabs=True, header=True
    ).decode(),
    "mail header": in_mail_header,
    "canonical XML": in_xml_attribute,
    "entities with many zeros": lambda value: each(value, lambda one: "&#%020d;" % ord(one)),
    "controls, decimal entities": lambda value: controls(value, lambda one: "&#%d;" % ord(one)),
    "controls, decimal entities with zeros": lambda value: controls(
        value, lambda one: "&#%08d;" % ord(one)
    ),
    "controls, hexadecimal entities": lambda value: controls(
        value, lambda one: "&#x%X;" % ord(one)
    ),
    "controls, \\u": lambda value: controls(value, lambda one: "\\u%04x" % ord(one)),
    "controls, \\x": lambda value: controls(value, lambda one: "\\x%02x" % ord(one)),
    "controls, octal": lambda value: controls(value, lambda one: "\\%03o" % ord(one)),
    "controls, decimal": lambda value: controls(value, lambda one: "\\%03d" % ord(one)),
    "controls, \\U": lambda value: controls(value, lambda one: "\\U%08x" % ord(one)),
    "controls, \\u{}": lambda value: controls(value, lambda one: "\\u{%x}" % ord(one)),
    "controls, percent": lambda value: controls(value, lambda one: "%%%02X" % ord(one)),
    "controls, carets": lambda value: controls(value, lambda one: "^" + chr(ord(one) ^ 0x40)),
    "controls, \\c": lambda value: controls(value, lambda one: "\\c" + chr(ord(one) ^ 0x40)),
    "controls, pictures": lambda value: controls(
        value, lambda one: chr(0x2421 if one == "\x7f" else 0x2400 + ord(one))
    ),
}  # fmt: skip
NAMES: dict[str, str] = {
    text: name
    for name, text in sorted(html.entities.html5.items())
    if len(text) == 1 and name.endswith(";")
}
SECOND: dict[str, Encode] = {
    "json": json.dumps,
    ".NET": FIRST[".NET"],
    "html": html.escape,
    "URL": lambda text: urllib.parse.quote(text, safe=""),
    "form": urllib.parse.quote_plus,
    "csv": in_csv,
    "SQL": FIRST["SQL"],
}
# Pairs after which a value is not found, since the second changes more than the mark of the first.
NOT_TWICE = {
    *((first, "csv") for first in ("shlex", "PowerShell", "cmd")),
    *((first, "SQL") for first in ("shlex", "shell, closed and reopened")),
    *((first, second) for first in ("cmd",) for second in ("html", "URL", "form")),
    ("shell, closed and reopened", ".NET"),
    ("shell, backslashes", "html"),
    *(("entities by name", second) for second in (".NET", "URL", "form")),
    *(("Rust, JavaScript and Swift", second) for second in ("URL", "form")),
}
BYTES: dict[str, Callable[[str], bytes]] = {
    "base64": lambda value: base64.b64encode(value.encode()),
    "base64, offset": lambda value: base64.b64encode(b"u:" + value.encode() + b"@h"),
    "base64 of JSON": lambda value: base64.b64encode(json.dumps({"k": value}).encode()),
    "base64 of a URL": lambda value: base64.urlsafe_b64encode(
        b"a=" + urllib.parse.quote(value, safe="").encode()
    ),
    "base64, lines": lambda value: base64.encodebytes(b"a line before it: " + value.encode()),
    "base64 of UTF-16": lambda value: base64.b64encode(value.encode("utf-16-le")),
    "base32": lambda value: base64.b32encode(b"key" + value.encode()),
    "hexadecimal": lambda value: value.encode().hex().encode(),
    "hexadecimal, upper case": lambda value: base64.b16encode(value.encode()),
    "UTF-16, little end first": lambda value: value.encode("utf-16-le"),
    "UTF-16, big end first": lambda value: value.encode("utf-16-be"),
    "UTF-8": str.encode,
}
CHARACTERS = st.one_of(
    st.sampled_from("abcXYZ019-_.~"),
    st.sampled_from("!\"#$%&'()*+,/:;<=>?@[\\]^`{|} "),
    st.sampled_from("éß€漢\U0001f511\n\t\r\x1b"),
    st.sampled_from(
        ["\r\n", "&amp;", "&#65;", "&lt", "%25", "%41", "\\\\", r"\u0041", r"\n", "=3D"]
    ),
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")),
)
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
UNCHANGED = {name for name, encode in FIRST.items() if LETTERS in encode(LETTERS)}
VALUES = (
    st.lists(CHARACTERS, min_size=8, max_size=24)
    .map("".join)
    .map(str.strip)
    .filter(lambda value: len(value) >= 8 and len(set(value)) > 4)
)
AWKWARD = "pa$$'w\"or\\d&x<y>z/é+1 %41`^\U0001f511"
LINES = "first line\r\nits second:\tline\x1b[0m\nthird\rend\x7f\x01."
LOOKS_ENCODED = r"""p&amp;%25\\\u0041&#38;&lt;%2541\n=3D=41&amp;amp;%2525''x"""
QUIET = settings(max_examples=2, deadline=None, phases=[Phase.explicit, Phase.generate])


def missed(value: str, contents: dict[str, str | bytes]) -> list[str]:
    """The names of the contents in which the value is not found. One mask looks at all of them."""
    mask = Mask({"K": value})
    return [name for name, content in contents.items() if mask.find(content) is None]


def is_hidden(value: str, content: str | bytes) -> bool:
    return not missed(value, {"": content})


@QUIET
@given(value=VALUES)
@example(value=AWKWARD)
@example(value=LINES)
@example(value=LOOKS_ENCODED)
@example(value="\xc3\U000a71dcJ\U0010293e\u012d\U000f5afb\u0132\xa6")
@example(value="\u012a\u0122\xab" * 8)
def test_a_value_is_found_as_encoders_write_it(value: str) -> None:
    contents: dict[str, str | bytes] = {
        name: f"before{encode(value)}after" for name, encode in FIRST.items()
    }
    assert missed(value, contents) == []
    assert missed(value, {name: str(content).encode() for name, content in contents.items()}) == []


@pytest.mark.parametrize("name", [name for name in FIRST if name not in UNCHANGED])
def test_a_value_of_letters_is_found_by_a_mask_that_has_found_nothing_before(name: str) -> None:
    # A mask that has searched for codes once searches always.
    content = FIRST[name](LETTERS)
    assert is_hidden(LETTERS, content)
    assert is_hidden(LETTERS, content.encode())


@pytest.mark.parametrize("code", [r"\x100", "%100"])
def test_a_code_of_two_digits_does_not_take_a_third_one(code: str) -> None:
    # It is the character 16 and a zero, and not U+0100.
    assert not is_hidden("\u0100 password", f"{code} password")
    assert is_hidden("\u00ff password", f"{code[:-3]}ff password")


@pytest.mark.parametrize("code", ["&#0;", "&#0000;", "&#x0;", "&#X00;", r"\u{0}", r"\u{0000}"])
def test_a_nul_is_found_with_any_number_of_zeros(code: str) -> None:
    assert is_hidden("pass\0word", f"pass{code}word")
    assert not is_hidden("pass\0word", f"pass{code.replace('0', '')}word")


@pytest.mark.parametrize("quoted", ["'\n'", r"$'\n'", r"'$'\n''"])
def test_a_line_end_is_found_as_shells_quote_it_alone(quoted: str) -> None:
    assert is_hidden("one line\nand two", f"'one line{quoted}and two'")


@pytest.mark.parametrize("code", [0xD7FF, 0xD800, 0xDC80, 0xDFFF, 0xE000])
def test_only_what_is_no_character_may_have_been_replaced(code: int) -> None:
    is_character = not 0xD800 <= code <= 0xDFFF
    assert is_hidden(f"pass{chr(code)}word", "pass\ufffdword") is not is_character


def test_only_a_control_character_is_written_with_a_caret() -> None:
    assert is_hidden("pass\x1fword", "pass^_word")
    assert is_hidden("pass\x7fword", "pass^?word")
    assert not is_hidden("pass word", "pass^`word")


@each_case(
    "line_end",
    [
        "\r\n", "&#13;&#10;", "&#xD;&#xA;", "&#0000013;&#00000010;", r"\r\n", r"\u000d\u000a",
        r"\u000D\u000A", r"\x0d\x0a", r"\015\012", r"\13\10", r"\U0000000d\U0000000a",
        r"\u{d}\u{a}", r"\x{0d}\x{0a}", "%0D%0A", "%250d%250a", "=0D=0A", "=0d=\r\n=0a", "^M^J",
        "␍␊", "␤", r"\cM\cJ", "&amp;#13;&amp;#10;", r"\\u000d\\u000a", r"%5Cr%5Cn",
        "`r`n", "\\\r\n", "&NewLine;", "&#13;\n",
    ],
)  # fmt: skip
@each_case("own", ["\n", "\r\n"])
def test_a_line_end_is_found_in_every_spelling_of_either_kind(own: str, line_end: str) -> None:
    value = f"one{own}two{own}three"
    content = line_end.join(("one", "two", "three"))
    for whole in (content, content.encode()):
        assert is_hidden(value, whole)
    # Without the line end, it is another text.
    assert not is_hidden(value, "onetwothree")


@each_case(
    "line_end",
    [
        "\n", "\r\n", r"\n", r"\r\n", r"\\r\\n", r"\u000a", r"\u000D\u000A", "%0A", "%0d%0a",
        "%250D%250A",
    ],
)  # fmt: skip
def test_lines_of_base64_and_quoted_printable_are_found_in_json_and_urls(line_end: str) -> None:
    value = "a long value, of which base64 and quoted-printable have more than one line 0123456789"
    encoded = base64.encodebytes(value.encode()).decode().strip()
    code = bytewise(value, "=%02X")
    assert "\n" in encoded
    assert is_hidden(value, encoded.replace("\n", line_end))
    assert is_hidden(value, f"={line_end}".join((code[:60], code[60:])))


@each_case("other", ["n", "rn", "\\", "0a", "u000a", "0D0A"])
def test_what_is_no_line_end_does_not_divide_base64(other: str) -> None:
    value = "a long value, of which base64 has more than one line 0123456789"
    assert not is_hidden(value, base64.encodebytes(value.encode()).decode().replace("\n", other))


@each_case("own", ["\n", "\r\n"])
@each_case("line_end", ["\n", "\r\n"])
@each_case("name", BYTES)
def test_lines_are_found_in_bytes_with_line_ends_of_either_kind(
    name: str, line_end: str, own: str
) -> None:
    content = BYTES[name](line_end.join(("one line", "another", "and more")))
    assert is_hidden(own.join(("one line", "another", "and more")), content)


@each_case(
    "value",
    [
        LOOKS_ENCODED,
        "&amp;&amp;&amp;amp;",
        "%25%2525%25",
        "\\" * 9,
        r"\u0041\x41\101",
        "=3D=3D=3D3D",
    ],
)
@each_case("encode", ["html", "URL", "json", "quoted-printable", "ascii"])
def test_a_value_that_looks_encoded_is_found_encoded_once_and_twice(
    value: str, encode: str
) -> None:
    once = FIRST[encode](value)
    twice = FIRST[encode](once)
    assert missed(value, {"raw": value, "once": once, "twice": twice}) == []
    assert Mask({"K": value}).text(f"a {value} b") == "a [secret K] b"


@pytest.mark.skipif(shutil.which("cat") is None, reason="cat is not installed")
def test_cat_prints_its_control_characters() -> None:
    said = subprocess.run(["cat", "-v"], input=LINES.encode(), capture_output=True).stdout
    assert b"^[" in said
    assert is_hidden(LINES, said)


@QUIET
@given(value=VALUES)
@example(value=AWKWARD)
@example(value=LINES)
def test_a_value_is_found_in_bytes(value: str) -> None:
    contents = {name: b"before " + encode(value) + b" after" for name, encode in BYTES.items()}
    assert missed(value, {**contents}) == []


@pytest.mark.parametrize("value", [AWKWARD, "abc-def_XYZ 12345", "sk-1234567890abcdef"])
def test_a_value_is_found_when_a_second_encoder_follows(value: str) -> None:
    contents: dict[str, str | bytes] = {
        f"{first}, then {second}": SECOND[second](FIRST[first](value))
        for first in FIRST
        for second in SECOND
        if (first, second) not in NOT_TWICE
    }
    assert missed(value, contents) == []


@QUIET
@given(value=VALUES, cuts=st.lists(st.integers(0, 6000), max_size=12))
@example(value=AWKWARD, cuts=list(range(0, 9000, 211)))
@example(value=LINES, cuts=list(range(0, 9000, 307)))
@example(value=LOOKS_ENCODED, cuts=list(range(0, 9000, 307)))
def test_pieces_are_masked_like_the_whole(value: str, cuts: list[int]) -> None:
    mask = Mask({"K": value, "OTHER": "another value"})
    content = " text ".join(encode(value) for encode in FIRST.values())
    places = sorted({0, *(min(cut, len(content)) for cut in cuts), len(content)})
    stream = mask.text_stream()
    pieces = [stream.feed(content[a:b]) for a, b in pairwise(places)]
    assert "".join([*pieces, stream.close()]) == mask.text(content)
    raw = content.encode()
    places = sorted({0, *(min(cut, len(raw)) for cut in cuts), len(raw)})
    octets = mask.byte_stream()
    parts = [octets.feed(raw[a:b]) for a, b in pairwise(places)]
    assert b"".join([*parts, octets.close()]) == mask.data(raw)


@each_case("value", ["a\r\nb and more", "a\nb and more", "%\\x-and-more", "&#-and-more"])
@each_case("encode", ["raw", "json", "URL", "quoted-printable", "controls, pictures"])
def test_a_value_that_arrives_in_single_characters_is_masked(encode: str, value: str) -> None:
    content = f"so {value if encode == 'raw' else FIRST[encode](value)} it is"
    for text in {content, content.replace("\r\n", "\n")}:
        mask = Mask({"K": value})
        stream = mask.text_stream()
        assert "".join([*map(stream.feed, text), stream.close()]) == mask.text(text)
        assert "[secret K]" in mask.text(text)


@QUIET
@given(value=VALUES, text=st.text(max_size=200))
def test_text_without_the_value_is_unchanged(value: str, text: str) -> None:
    mask = Mask({"K": value})
    # Each line of a secret of several is a secret, too.
    line = next(iter(value.splitlines()), "")
    half = line[: len(line) // 2]
    parts = [text, half, *(encode(half) for encode in FIRST.values())]
    for content in parts:
        assert mask.text(content) == content
        assert mask.data(content.encode("utf-8", "replace")) == content.encode("utf-8", "replace")


@pytest.mark.parametrize("hostile", ["\\", "'\"", "&amp;", "%25", "\\u0070", "pa$$", "=\n", "$'"])
def test_the_time_is_proportional_to_the_text(hostile: str) -> None:
    mask = Mask({"K": AWKWARD, "RUN": "\\" * 3 + "'" * 3 + "xyz"})
    mask.text(hostile * 10)
    durations = []
    for size in (1_000, 4_000):
        begun = time.process_time()
        mask.text(hostile * (size // len(hostile)))
        durations.append(time.process_time() - begun)
    # Four times the text; a square would be 16 times.
    assert durations[1] < 9 * max(durations[0], 0.02)


@pytest.mark.parametrize("value", ["\\" * 12 + "abc", "\\" * 3 + "'" * 3 + "xyz"])
def test_each_place_of_a_run_of_backslashes_is_looked_at_once(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    ends = Unit.ends

    def counted(unit: Unit, text: str, at: int) -> list[int]:
        looked.append(at)
        return ends(unit, text, at)

    monkeypatch.setattr(Unit, "ends", counted)
    Mask({"K": value}).text("\\" * 500)
    # Once for each form, and for each of the two or three different units.
    assert len(looked) < 500 * 20


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_the_example_of_each_encoder_is_found(encoder: object) -> None:
    example = encoder.example  # type: ignore[attr-defined]
    value = {
        **dict.fromkeys(("a+b", "a_b"), "a b"),
        **dict.fromkeys((r"a\nb", "a\n  b", "a^Jb"), "a\nb"),
        "a\ufffdb": "a\udc80b",
    }
    secret = f"word{value.get(example, chr(97) + chr(39) + 'b')}word"
    assert is_hidden(secret, f"word{example}word")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("value", [AWKWARD, "tab\tand\nline 'quoted'", "né€\U0001f511 \\ $x"])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_bash_prints_it_quoted(value: str, locale: str) -> None:
    for script in ('printf %q "$1"', 'printf "%s" "${1@Q}"'):
        said = subprocess.run(
            ["bash", "-c", script, "bash", value], env={"LC_ALL": locale}, capture_output=True
        ).stdout
        assert not said or is_hidden(value, said), said


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_prints_it_encoded() -> None:
    program = (
        "const v = process.argv[1];"
        "console.log(JSON.stringify(v)); console.log(encodeURIComponent(v));"
        "console.log(escape(v)); console.log(require('util').inspect(v));"
        "console.log(JSON.stringify(JSON.stringify({v})))"
    )
    said = subprocess.run(["node", "-e", program, AWKWARD], capture_output=True, check=True).stdout
    for line in said.splitlines():
        assert is_hidden(AWKWARD, line), line


def test_no_spelling_is_longer_than_its_bound() -> None:
    characters = [*map(chr, range(0x250)), *"€\u2028\U0001f511\U0010ffff\ud800\udc80\uffff"]
    longest = max(
        _unit(one, as_bytes).whole.size_max for one in characters for as_bytes in (False, True)
    )
    assert longest <= UNIT_CHARS_MAX


@pytest.mark.parametrize(
    "value", ["sk-proj-Ab+/9_~", 'it\'s "100 %" & \\ more\nlines', "pässw\U0001f511rd"]
)
def test_no_match_is_longer_than_its_bound(value: str) -> None:
    for form in (*spell_out(value, as_bytes=False), *spell_out(value, as_bytes=True)):
        between = form.between.size_max
        assert sum(unit.whole.size_max + between for unit in form.units) <= form.size_max
