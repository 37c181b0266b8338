"""Finds published files with bytes that were removed from the ledger.

Those of run folders are removed; copies elsewhere are only named, since the author owns them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from orc.ledger import LedgerReader, failpoints
from orc.ledger.files.folder import Folder
from orc.ledger.files.project_places import place_of
from orc.ledger.removal import has_bytes
from orc.ledger.stored import parse_json, parse_object
from orc.projections.folder.run_folder import expected_files
from orc.projections.folds.owned_files import find_superseded
from orc.projections.money.prices import PriceTable

_INPUTS = "inputs"


def remove_files(
    ledger: LedgerReader, job_id: str, digests: Collection[str], path: Path, prices: PriceTable
) -> Iterator[Path]:
    """Remove the files of the run folder that were made of the blobs; yields each removed path."""
    for found in find_files(ledger, job_id, digests, path, prices):
        Folder(path).remove(str(found.relative_to(path)))
        failpoints.hit("removal.after_file")
        yield found


def find_files(
    ledger: LedgerReader, job_id: str, digests: Collection[str], path: Path, prices: PriceTable
) -> Iterator[Path]:
    """The files of the run folder that were made of the blobs.

    Those of inputs are found by their bytes: the spec that names them may have been removed, too.
    """
    if not digests:
        return
    folder = Folder(path)
    expected = expected_files(ledger, job_id, prices=prices)
    for relative, lost in expected.lost.items():
        if not lost.blobs.isdisjoint(digests) and folder.stat(relative) is not None:
            yield path / relative
    for relative in folder.files(_INPUTS):
        is_known = relative in expected.lost or relative in expected.files
        if not is_known and folder.digest(relative) in digests:
            yield path / relative
    for former in find_superseded(folder, expected.superseded):
        if not former.digests.isdisjoint(digests):
            yield path / former.path


def files_with(path: Path, digests: Collection[str]) -> Iterator[Path]:
    """The files in a folder whose bytes are exactly those of one of the blobs."""
    folder = Folder(path)
    for relative in folder.files():
        if folder.digest(relative) in digests:
            yield path / relative


def delivered_files(ledger: LedgerReader, job_id: str, digests: Collection[str]) -> Iterator[Path]:
    """The copies in the job's `output_dir` with such bytes. Call it before the spec may be removed."""
    rows = ledger.connection.execute(
        "SELECT type, data FROM events WHERE job_id = ? AND type IN "
        "('job.submitted', 'job.amended', 'file.written', 'step.reused')",
        (job_id,),
    ).fetchall()
    target: Path | None = None
    project = ""
    paths: set[str] = set()
    for kind, data in rows:
        fields = parse_object(data)
        if "spec" in fields:
            project = fields.get("project", project)
            target = output_dir_of(ledger, fields["spec"]) or target
        refs = [fields] if kind == "file.written" else fields.get("files", ())
        paths |= {ref["path"] for ref in refs if ref["sha256"] in digests}
    if target is None:
        return
    for path in sorted(paths):
        relative = path.removeprefix(f"{project}/")
        if Folder(target).digest(relative) in digests:
            yield target / relative


def output_dir_of(ledger: LedgerReader, document: Mapping[str, Any]) -> Path | None:
    """The `output_dir` of a recorded spec; None if it has none, or was removed."""
    spec = document.get("value")
    if "sha256" in document:
        if not has_bytes(ledger.connection, document["sha256"]):
            return None
        spec = parse_json(ledger.read_blob(document["sha256"]))
    target = spec.get("output_dir") if isinstance(spec, dict) else None
    return None if target is None else place_of(target, ledger.path)
