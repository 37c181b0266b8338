"""The secrets that this process hides in whatever it prints.

The use cases set the mask when they read a job's secrets, and the terminal applies it. There is
one mask for the process, since there is one terminal. Free of imports that cost.
"""

from __future__ import annotations

from orc.ledger.masking import NO_MASK, Mask

_mask = NO_MASK


def hide(mask: Mask) -> None:
    """From now on, no text that this process prints contains one of these secrets."""
    global _mask
    _mask = mask


def hides_anything() -> bool:
    """Whether a mask with secrets is in effect."""
    return bool(_mask)


def hidden(text: str) -> str:
    """The text as it may be printed."""
    return _mask.text(text)
