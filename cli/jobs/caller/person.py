"""Who gives the command: the name that is recorded with decisions, scores, tags and notes."""

from __future__ import annotations

import getpass

from orc.ledger.digest import clean_text

_CHARS_MAX = 100


def user_name() -> str | None:
    """The name of the user of this process; None if it has none."""
    try:
        return clean_text(getpass.getuser())[:_CHARS_MAX]
    except (KeyError, OSError):
        return None
