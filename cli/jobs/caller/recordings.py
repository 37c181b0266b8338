"""Writes the replies of a run to a file of recorded replies (`orc run --record FILE`)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from orc.cli.errors import UsageProblem
from orc.ledger import LedgerReader
from orc.ledger.command_lines import quoted_command
from orc.ledger.errors import StorageError
from orc.ledger.files.descriptors import DASH
from orc.ledger.files.folder import Folder
from orc.ledger.files.temporary import sweep
from orc.projections.history.recording import build_recording


def check_target(path: Path, *, force: bool) -> None:
    """Raise UsageProblem if the file cannot be written, before anything is spent."""
    if path == DASH:
        raise UsageProblem("--record -: stdout has what the run prints; name a file")
    if not path.parent.is_dir():
        raise UsageProblem(f"--record {path}: the folder {path.parent} does not exist; create it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageProblem(
            f"--record {path}: you cannot create files in {path.absolute().parent}; name another one"
        )
    if path.is_dir():
        raise UsageProblem(f"--record {path}: this is a folder; name a file")
    if path.exists() and not path.is_file():
        raise UsageProblem(f"--record {path}: this is not a regular file; name a file")
    if path.exists() and not force:
        raise UsageProblem(
            f"--record {path}: the file exists already; name another file, or overwrite it with "
            "--force"
        )


def write_recording(ledger: LedgerReader, job_id: str, path: Path) -> int:
    """Write the job's replies to the file; the number of replies. Raises StorageError.

    The format is JSON if the name ends in `.json`, else YAML.
    """
    document = build_recording(ledger.read_stream(job_id), ledger.read_payload)
    folder = Folder(path.absolute().parent)
    sweep(folder.path, [path.name])
    try:
        folder.write(path.name, dump(document, as_json=path.suffix == ".json").encode())
    except OSError as error:
        raise StorageError(
            f"--record {path}: {error.strerror or error}; the replies are in the ledger, and "
            f"{quoted_command('replay', job_id)} answers from them"
        ) from error
    return sum(len(replies) for replies in document["replies"].values())


def dump(document: dict[str, Any], *, as_json: bool) -> str:
    """The recording as JSON or YAML text."""
    if as_json:
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    from orc.scheduler.core.source.yaml_text import write_yaml

    return write_yaml(document)
