"""Parts of a key that a server repeats are masked."""

from __future__ import annotations

import pytest

from orc.providers.http import safe_text

KEY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize(
    "said",
    [
        f"Incorrect API key provided: {KEY}.",
        "Incorrect API key provided: sk-canar************cdef. Find yours at the dashboard.",
        "Incorrect API key provided: sk-c...cdef.",
        "key sk-can\u2026cdef is wrong",
        "not authorised (sk-canary-01)",
    ],
)
def test_shortened_forms_of_a_key_are_masked(said: str) -> None:
    shown = safe_text(said, secrets=(KEY,))
    assert "sk-c" not in shown
    assert "cdef" not in shown
    assert "***" in shown


def test_other_words_are_not_masked() -> None:
    said = "risk-free **bold** and so on... sk is no key"
    assert safe_text(said, secrets=(KEY, "short")) == said
