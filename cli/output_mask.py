"""The mask that hides secrets in everything that this process prints.

`main.py` sets it to the keys of providers in the environment. The use cases widen it when they
read a job's secrets, and `terminal/text.py` applies it. The process has one mask, since
it has one terminal. Imports nothing that loads slowly.
"""

from __future__ import annotations

import sys

from orc.ledger.secrets.masking import Mask

_mask = Mask({})


def widen_output_mask(mask: Mask) -> None:
    """Hide the secrets of this mask too, in all later output.

    Of a secret on the command line, its beginning is hidden as well: messages name that of an
    argument.
    """
    global _mask
    _mask = _mask.joined(mask).joined(mask.beginnings_in(sys.argv[1:]))


def mask_output(text: str) -> str:
    """The text with every secret of the mask replaced."""
    return _mask.text(text)
