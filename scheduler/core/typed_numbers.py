"""Numbers as people type them, on the command line and in the environment."""

from __future__ import annotations


def read_number(text: str) -> float:
    """The number in the text, without separators and in the digits 0 to 9.

    Python would take `1_000`, and digits of other scripts. Raises ValueError.
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is not a number in plain digits")
    return float(text)
