"""The mask that hides secrets in everything that this process prints.

The use cases set the mask when they read a job's secrets, and `terminal/text.py` applies it. The
process has one mask, since it has one terminal. Imports nothing that loads slowly.
"""

from __future__ import annotations

from orc.ledger.secrets.masking import NO_MASK, Mask

_mask = NO_MASK


def set_output_mask(mask: Mask) -> None:
    """Hide the secrets of this mask in all later output. It replaces the mask before it."""
    global _mask
    _mask = mask


def has_output_mask() -> bool:
    """Whether a mask with at least one secret is set."""
    return bool(_mask)


def mask_output(text: str) -> str:
    """The text with every secret of the mask replaced."""
    return _mask.text(text)
