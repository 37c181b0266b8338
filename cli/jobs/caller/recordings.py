"""Recordings on disk: reading recorded replies, and writing the replies of a run as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.ledger import LedgerReader
from orc.ledger.folder import Folder
from orc.projections.history.recording import build_recording


def check_target(path: Path, *, force: bool) -> None:
    """Refuse a place that a recording cannot be written to, before anything is spent.

    Raises UsageProblem.
    """
    if not path.parent.is_dir():
        raise UsageProblem(f"--record {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UsageProblem(f"--record {path}: is a folder; name a file")
    if path.exists() and not force:
        raise UsageProblem(f"--record {path}: is there already; name another, or add --force")


def write_recording(ledger: LedgerReader, job_id: str, path: Path) -> int:
    """Write the job's replies to the file, JSON where it ends in `.json`, else YAML; their number.

    Raises OSError.
    """
    document = build_recording(ledger.read_stream(job_id), ledger.read_payload)
    folder = Folder(path.absolute().parent)
    folder.write(path.name, dump(document, as_json=path.suffix == ".json").encode())
    return sum(len(replies) for replies in document["replies"].values())


def dump(document: dict[str, Any], *, as_json: bool) -> str:
    """The recording as text."""
    if as_json:
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes every value out: a reader may refuse what aliases stand for."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    text: str = yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text
