"""Does a published folder still say what the ledger says? Its heads, and each of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orc.ledger import LedgerReader
from orc.ledger.digest import digest_bytes
from orc.ledger.folder import Folder
from orc.ledger.wording import count_text
from orc.projections.folder.jsonl import event_line
from orc.projections.folder.manifest import MONEY_KEYS, Manifest, render_manifest
from orc.projections.folder.run_folder import expected_files
from orc.projections.folds.owned_files import find_left
from orc.projections.money.prices import PriceTable


@dataclass(frozen=True, slots=True)
class KnownHead:
    """What a published file says of the stream's end; `version` is 0 where it cannot be read."""

    source: str
    version: int
    hash: str

    def problems(self, ledger: LedgerReader, job_id: str, count: int) -> Iterator[str]:
        """What this head says against the ledger, which has so many events."""
        if self.version == 0:
            yield f"{self.source} was changed in the run folder"
        elif self.version > count:
            yield f"the {self._name} knows event {self.version}, and the ledger ends at {count}"
        elif self.hash:
            row = ledger.connection.execute(
                "SELECT hash FROM events WHERE job_id = ? AND version = ?", (job_id, self.version)
            ).fetchone()
            if row is None or row[0] != self.hash:
                yield f"the {self._name} knows another event {self.version} than the ledger"

    @property
    def _name(self) -> str:
        return "manifest" if self.source == "manifest.json" else "list of events"


def heads_in(path: Path) -> list[KnownHead]:
    """The heads that the folder's manifest and its last line of events know."""
    folder = Folder(path)
    found = []
    manifest = folder.read("manifest.json")
    if manifest is not None:
        found.append(_head("manifest.json", manifest, ("ledger_head", "version", "hash")))
    lines = folder.read("events.jsonl")
    if lines:
        last = lines.rstrip(b"\n").rpartition(b"\n")[2]
        found.append(_head("events.jsonl", last, (None, "seq", "hash")))
    return found


def _head(source: str, text: bytes, names: tuple[str | None, str, str]) -> KnownHead:
    inside, version, link = names
    try:
        value = json.loads(text)
        place = value if inside is None else value[inside]
        # Lines had no hash once.
        return KnownHead(source, int(place[version]), str(place.get(link, "")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return KnownHead(source, 0, "")


def check_folder(
    ledger: LedgerReader,
    job_id: str,
    path: Path,
    *,
    head_version: int,
    prices: PriceTable,
    notes: list[str],
) -> Iterator[str]:
    """Each file that is missing or changed. What is no part of the ledger is added to `notes`."""
    folder = Folder(path)
    for known in heads_in(path):
        if known.version < head_version:
            yield (
                f"the folder shows event {known.version} of {head_version}; `orc export` brings it up"
            )
            return
    expected = expected_files(ledger, job_id, prices=prices)
    for relative, digest in sorted(expected.files.items()):
        content = folder.read(relative)
        if content is None:
            yield f"{relative} is missing from the run folder"
        elif digest_bytes(content) != digest and not _is_of_then(
            ledger, job_id, relative, content, prices
        ):
            yield f"{relative} was changed in the run folder"
    for relative, lost in sorted(expected.lost.items()):
        content = folder.read(relative)
        if content is None:
            continue
        if lost.whole is not None and digest_bytes(content) != lost.whole:
            yield f"{relative} was changed in the run folder"
    for left in find_left(folder, expected.superseded):
        yield f"{left.path} is no file of the job any more; `orc export` removes it"
    if expected.lost:
        notes.append(removed_note(len(expected.lost)))


def removed_note(count: int) -> str:
    """That files cannot be made any more, for people."""
    files = count_text(count, "file")
    return f"{files} of the folder cannot be made again: bytes were removed from the ledger"


def _is_of_then(
    ledger: LedgerReader, job_id: str, relative: str, content: bytes, prices: PriceTable
) -> bool:
    """Whether an unexpected file is what another version, or another table of prices, made."""
    if relative == "events.jsonl":
        return content == _lines_without_hashes(ledger, job_id)
    return relative == "manifest.json" and _has_other_prices(ledger, job_id, content, prices)


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


def _lines_without_hashes(ledger: LedgerReader, job_id: str) -> bytes:
    """`events.jsonl` as older versions published it."""
    lines = (event_line(found, with_hash=False) for found in ledger.read_stream(job_id))
    return "".join(f"{line}\n" for line in lines).encode()
