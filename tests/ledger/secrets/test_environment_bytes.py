"""A secret of the environment whose bytes are no UTF-8 is masked where its bytes are."""

from __future__ import annotations

import os

from orc.ledger.secrets.masking import Mask

_BYTES = b"pass\xff\xfeword"


def test_a_secret_that_is_no_utf_8_is_masked_in_bytes() -> None:
    mask = Mask({"TOKEN": os.fsdecode(_BYTES)})

    masked = mask.data(b"before " + _BYTES + b" after")

    assert _BYTES not in masked
    assert masked.startswith(b"before ")
    assert masked.endswith(b" after")
