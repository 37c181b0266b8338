"""Masking hides each usual spelling of a secret, whole or in pieces, and nothing else."""

from __future__ import annotations

import base64
import html
import json
import shlex
import textwrap
import urllib.parse
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orc.ledger.secrets.masking import NO_MASK, Mask

TOKEN = "ghp_Zm9vYmFy+/=x81 Q"
AWKWARD = "pa\"ss\\wo/rd 'ü€\U0001f511&<>\ttab"
PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "\n".join(base64.b64encode(bytes([n]) * 48).decode() for n in range(20))
    + "\n-----END PRIVATE KEY-----\n"
)
VALUES = st.text(
    st.characters(codec="utf-8", exclude_characters="[]"), min_size=8, max_size=40
).filter(lambda value: len(value.strip()) >= 8 and len(value.splitlines()) == 1)


def spellings(value: str) -> list[str]:
    """The value as programs write it; in base64 after no, one and two other bytes."""
    content = value.encode()
    quoted = [urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)]
    return [
        value,
        *quoted,
        quoted[0].lower() if value.islower() else quoted[0],
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        html.escape(value),
        shlex.quote(value),
        *(
            encode(b"user:"[:before] + content + after).decode()
            for before in range(3)
            for after in (b"", b"\n", b"@host")
            for encode in (base64.b64encode, base64.urlsafe_b64encode)
        ),
        base64.encodebytes(b"a line that comes before it, and more: " + content).decode(),
    ]


def traces(value: str) -> list[str]:
    """The parts of a spelling that would remain if it were not masked."""
    content = value.encode()
    cores = []
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + content).decode().rstrip("=")
        cores.append(encoded[4 if before else 0 : -1])
    return [value, *cores, *(core.replace("+", "-").replace("/", "_") for core in cores)]


@settings(max_examples=4, deadline=None)
@given(VALUES)
def test_every_usual_spelling_of_a_value_is_masked(value: str) -> None:
    check_spellings(value)


@pytest.mark.torture
@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_every_usual_spelling_of_many_values_is_masked(value: str) -> None:
    check_spellings(value)


def check_spellings(value: str) -> None:
    value = value.strip()
    mask = Mask({"KEY": value})
    for spelled in spellings(value):
        masked = mask.text(f"before {spelled} after")
        assert "[secret KEY]" in masked or "***" in masked
        for trace in traces(value):
            assert trace not in masked.replace("\n", "")
        assert mask.data(f"before {spelled} after".encode()) == masked.encode()


@pytest.mark.parametrize("value", [TOKEN, AWKWARD])
def test_the_text_around_a_secret_stays(value: str) -> None:
    mask = Mask({"KEY": value})
    assert mask.text(f"a {value}, b") == "a [secret KEY], b"
    assert mask.value({"k": [f"x{json.dumps(value)[1:-1]}y", 1, None, True]}) == {
        "k": ["x[secret KEY]y", 1, None, True]
    }
    assert mask.text("nothing of it here") == "nothing of it here"


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*spellings(TOKEN), "text ", "\n", TOKEN[:7]]), max_size=6),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_a_stream_masks_pieces_like_the_whole_text(parts: list[str], cuts: list[int]) -> None:
    mask = Mask({"KEY": TOKEN, "OTHER": "text that never comes"})
    content = "".join(parts).encode()
    places = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    stream = mask.byte_stream()
    pieces = [stream.feed(content[a:b]) for a, b in pairwise(places)]
    assert b"".join([*pieces, stream.close()]) == mask.data(content)


def test_a_stream_holds_back_little_of_other_text() -> None:
    stream = Mask({"KEY": TOKEN}).text_stream()
    for line in ("It was a dark and stormy night\n", "g\n", "gh", "ghp", "\n"):
        shown = stream.feed(line)
        # `ghp` begins TOKEN.
        assert shown == {"gh": "", "ghp": "gh", "\n": "ghp\n"}.get(line, line)


def test_a_stream_waits_for_the_longer_of_two_values_that_begin_alike() -> None:
    stream = Mask({"A": "abcd-efgh", "B": "abcd-efgh-ijkl"}).text_stream()
    shown = [stream.feed(piece) for piece in ("abcd-", "efgh", "-ijkl.")]
    assert "".join([*shown, stream.close()]) == "[secret B]."


def test_each_longer_line_of_a_value_is_a_secret_itself() -> None:
    mask = Mask({"PEM": PEM})
    line = PEM.splitlines()[3]
    assert mask.text(f"| {line} |") == "| [secret PEM] |"
    assert mask.text(PEM) == "[secret PEM]\n"
    assert "-----BEGIN PRIVATE KEY-----" in mask.text("-----BEGIN PRIVATE KEY-----\nother")
    for spelled in (
        json.dumps({"key": PEM}),
        PEM.replace("\n", "\r\n"),
        base64.encodebytes(PEM.encode()).decode(),
        "\n".join(textwrap.wrap(base64.b64encode(b"x" + PEM.encode()).decode(), 64)),
    ):
        masked = mask.text(spelled)
        assert "[secret PEM]" in masked
        assert len(masked) < 60


def test_each_of_two_longer_lines_is_a_secret_itself() -> None:
    first, second = "first-line-of-it", "second-line-of-it"
    mask = Mask({"S": f"{first}\n{second}"})
    assert mask.text(f"a {first} b") == "a [secret S] b"
    assert mask.text(f"a {second} b") == "a [secret S] b"


@pytest.mark.parametrize("nul", ["\0", r"\u0000", r"\x00"])
def test_a_value_with_a_nul_between_its_characters_is_masked(nul: str) -> None:
    # As UTF-16 looks to who reads it as another encoding, or as JSON of that.
    mask = Mask({"S": "Kw7-hidden-value"})
    assert "idden" not in mask.text(nul.join("Kw7-hidden-value")).replace(nul, "")


def test_the_longer_of_two_values_is_masked_first() -> None:
    mask = Mask({"SHORT": "abcdefgh", "LONG": "abcdefgh-and-more"})
    assert mask.text("abcdefgh-and-more abcdefgh") == "[secret LONG] [secret SHORT]"


def test_a_number_that_contains_a_secret_becomes_a_string() -> None:
    mask = Mask({"PIN": "12345678"})
    assert mask.value([12345678, 1.5, True]) == ["[secret PIN]", 1.5, True]


def test_a_value_that_occurs_in_its_label_is_replaced_by_stars() -> None:
    assert Mask({"PASSWORD": "PASSWORD"}).text("my PASSWORD") == "my ***"


def test_short_values_are_not_masked_and_an_empty_mask_changes_nothing() -> None:
    assert not Mask({"KEY": "short"})
    text = "a text"
    assert NO_MASK.text(text) is text
    assert NO_MASK.byte_stream().feed(b"a") == b"a"
    assert NO_MASK.find(text) is None
    assert Mask({"KEY": TOKEN}).find(f"x {TOKEN}") == "KEY"
