"""Does the ledger still say what it said? Chain, blobs, and the published files against it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger import LedgerError, LedgerReader
from ledger.connection import storage_errors
from ledger.digest import digest_bytes
from ledger.folder import Folder
from ledger.store import chain_hash
from projections.manifest import MONEY_KEYS, Manifest, render_manifest
from projections.prices import NO_PRICES, PriceTable
from projections.run_folder import expected_files


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying one job found: how far its chain goes, and every difference."""

    job_id: str
    events: int
    head: str
    problems: tuple[str, ...]


def verify_job(
    ledger: LedgerReader, job_id: str, *, folder: Path | None, prices: PriceTable = NO_PRICES
) -> Verdict:
    """Walk the job's chain, check each blob that its events name, and its folder if it is there.

    A cut-off tail shows only against a head that is known from elsewhere: the
    manifest in the folder has one. Costs are no part of the ledger: those of a
    manifest that was made with other prices are not checked.
    """
    problems: list[str] = []
    head = ""
    count = 0
    for problem, digest in _walk_chain(ledger, job_id):
        count += 1
        head = digest
        if problem:
            problems.append(problem)
    problems += _check_blobs(ledger, job_id)
    if not problems and folder is not None and folder.is_dir():
        problems += _check_folder(ledger, job_id, folder, head_version=count, prices=prices)
    return Verdict(job_id, count, head, tuple(problems))


def _walk_chain(ledger: LedgerReader, job_id: str) -> Iterator[tuple[str, str]]:
    """For each event a problem, or an empty text, and its hash."""
    previous = ""
    expected = 1
    with storage_errors(ledger.path):
        rows = ledger.connection.execute(
            "SELECT job_id, version, type, step, attempt, recorded_at, data, hash "
            "FROM events WHERE job_id = ? ORDER BY version",
            (job_id,),
        )
        for *columns, stored in rows:
            version = columns[1]
            problem = ""
            if version != expected:
                problem = f"event {expected} is missing"
            elif chain_hash(previous, columns) != stored:
                problem = f"event {version} was changed: its hash does not fit"
            yield problem, stored
            previous = stored
            expected = version + 1


def _check_blobs(ledger: LedgerReader, job_id: str) -> Iterator[str]:
    checked: set[str] = set()
    with storage_errors(ledger.path):
        rows = ledger.connection.execute(
            "SELECT version, data FROM events WHERE job_id = ? AND instr(data, 'sha256')", (job_id,)
        )
        for version, data in rows:
            try:
                digests = set(_named_blobs(json.loads(data)))
            except ValueError:
                continue  # The chain has said so.
            for digest in sorted(digests - checked):
                checked.add(digest)
                try:
                    content = ledger.read_blob(digest)
                except LedgerError:
                    yield f"event {version} names blob {digest[:12]}..., which is missing"
                    continue
                if hashlib.sha256(content).hexdigest() != digest:
                    yield f"blob {digest[:12]}... was changed"


def _named_blobs(value: Any) -> Iterator[str]:
    """Digests of blobs in an event's data: the `sha256` of payloads and files."""
    if isinstance(value, dict):
        digest = value.get("sha256")
        if isinstance(digest, str) and "size_bytes" in value:
            yield digest
        for item in value.values():
            yield from _named_blobs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named_blobs(item)


def _check_folder(
    ledger: LedgerReader, job_id: str, path: Path, *, head_version: int, prices: PriceTable
) -> Iterator[str]:
    folder = Folder(path)
    published = folder.read("manifest.json")
    if published is not None:
        try:
            known = json.loads(published)["ledger_head"]["version"]
        except (ValueError, KeyError, TypeError):
            yield "manifest.json was changed"
            known = 0
        if isinstance(known, int) and known > head_version:
            yield f"the manifest knows event {known}, and the ledger ends at {head_version}"
            return
        if isinstance(known, int) and known < head_version:
            yield f"the folder shows event {known} of {head_version}; `orc export` brings it up"
            return
    for relative, digest in sorted(expected_files(ledger, job_id, prices=prices).items()):
        content = folder.read(relative)
        if content is None:
            yield f"{relative} is missing from the run folder"
        elif digest_bytes(content) == digest:
            continue
        elif relative != "manifest.json" or not _has_other_prices(ledger, job_id, content, prices):
            yield f"{relative} was changed in the run folder"


def _has_other_prices(
    ledger: LedgerReader, job_id: str, content: bytes, prices: PriceTable
) -> bool:
    """Whether a manifest says what the ledger does, but for costs of another table of prices."""
    manifest = Manifest(ledger.read_payload, prices=prices)
    for recorded in ledger.read_stream(job_id):
        manifest.apply(recorded)
    published, expected = json.loads(content), manifest.value()
    if published.get("prices_sha256") == expected["prices_sha256"]:
        return False
    for key in MONEY_KEYS:
        # A manifest of an older version has fewer of them.
        if key in published:
            expected[key] = published[key]
        else:
            del expected[key]
    return render_manifest(expected) == content
