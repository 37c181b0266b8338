"""A new ledger that is a copy: creating its tables takes longer than most of what tests do with it."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from orc.ledger import open_ledger
from orc.ledger.secrets.masking import NO_MASK
from orc.projections import ReadModel


def copy_empty_ledger(path: Path) -> None:
    """Put an empty ledger there. All of them in this process have one id."""
    shutil.copyfile(_empty_ledger(), path)


@cache
def _empty_ledger() -> Path:
    path = Path(tempfile.mkdtemp(prefix="orc-empty-")) / "runs.db"
    open_ledger(path, projector=ReadModel(), mask=NO_MASK).close()
    return path
