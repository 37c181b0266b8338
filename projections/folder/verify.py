"""Verifies a run folder against the ledger: the heads that it names, and each of its files."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from orc.ledger import LedgerError, LedgerReader
from orc.ledger.command_lines import quoted_command
from orc.ledger.digest import Digest, canonical_json, digest_bytes
from orc.ledger.events import Recorded, StepConfigured, StoredEvent
from orc.ledger.files.folder import Folder
from orc.ledger.kinds import JOB_ENDED
from orc.ledger.money import NANO_PER_USD
from orc.ledger.stored import UNEXPECTED, parse_object
from orc.ledger.wording import count_text
from orc.projections.folder.jsonl import event_line, event_object, render_line
from orc.projections.folder.manifest import (
    INPUTS_KEY,
    MONEY_KEYS,
    PLACED_KEY,
    TOLERATED_KEY,
    WRITTEN_KEY,
    Manifest,
    render_manifest,
)
from orc.projections.folder.run_folder import (
    RunFolder,
    expected_files,
    expected_of,
    pretty_file,
)
from orc.projections.folder.stored_lines import stored_lines
from orc.projections.folds.owned_files import find_superseded
from orc.projections.money.prices import PriceTable

_END_BYTES = 16 * 1024
"""How much of the end of a file is read for its last line; more only if that is longer."""


class KnownHead(Struct, frozen=True):
    """The last event that a published file names; `version` is 0 if the file cannot be read."""

    source: str
    version: int
    hash: str

    def problems(self, ledger: LedgerReader, job_id: str, count: int) -> Iterator[str]:
        """How this head contradicts the ledger, in which the job has `count` events."""
        if self.version == 0:
            yield f"{self.source} was changed in the run folder"
        elif self.version > count:
            yield f"{self.source} has event {self.version}, but the ledger ends at event {count}"
        elif self.hash:
            row = ledger.connection.execute(
                "SELECT hash FROM events WHERE job_id = ? AND version = ?", (job_id, self.version)
            ).fetchone()
            if row is None or row[0] != self.hash:
                yield f"event {self.version} of {self.source} is not the ledger's event {self.version}"


def heads_in(path: Path) -> list[KnownHead]:
    """The heads in the folder's manifest and in the last line of its `events.jsonl`."""
    folder = Folder(path)
    found = []
    manifest = folder.read("manifest.json")
    if manifest is not None:
        found.append(_manifest_head(manifest))
    last = _last_line(folder, "events.jsonl")
    if last is not None:
        found.append(_head("events.jsonl", last, (None, "seq", "hash")))
    return found


class _Place(Struct):
    version: int
    hash: str


class _Manifest(Struct):
    ledger_head: _Place


_decode_manifest = Decoder(_Manifest).decode


def _manifest_head(text: bytes) -> KnownHead:
    try:
        # The rest, which is large, is only skipped.
        place = _decode_manifest(text).ledger_head
    except (MsgspecError, UnicodeError, RecursionError):
        return _head("manifest.json", text, ("ledger_head", "version", "hash"))
    return KnownHead("manifest.json", place.version, place.hash)


def _last_line(folder: Folder, relative: str) -> bytes | None:
    """The last line of a file, without newlines; None if it is empty, or cannot be read."""
    there = folder.stat(relative)
    size = 0 if there is None else there.st_size
    count = _END_BYTES
    while size:
        end = folder.read(relative, offset=max(0, size - count))
        if end is None:
            return None
        _, newline, last = end.rstrip(b"\n").rpartition(b"\n")
        if newline or count >= size:
            return last
        count *= 8
    return None


def is_behind(ledger: LedgerReader, job_id: str, path: Path) -> bool:
    """Whether the run folder does not tell of the job's last event yet, or cannot be read."""
    versions = [head.version for head in heads_in(path)]
    return len(versions) < 2 or min(versions) < ledger.head(job_id).version


def _head(source: str, text: bytes, names: tuple[str | None, str, str]) -> KnownHead:
    inside, version, link = names
    try:
        value = json.loads(text)
        place = value if inside is None else value[inside]
        # Older versions of orc wrote lines without a hash.
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
    applied: RunFolder | None = None,
) -> Iterator[str]:
    """A message for each file that is missing or changed.

    Appends to `notes` what is not a problem: files whose bytes were removed from the ledger.
    `applied` is the folder to which all events of the job were applied, if the caller has read them.
    """
    folder = Folder(path)
    found = heads_in(path)
    version = min((known.version for known in found), default=0)
    if version < head_version:
        behind = f"the run folder has event {version} of {head_version}"
        if not _has_ended(ledger, job_id):
            notes.append(
                f"{behind}, and was not compared; {quoted_command('resume', job_id)} updates it"
            )
            return
        if found:
            yield f"{behind}; {quoted_command('export', job_id)} updates it"
            return
    expected = expected_of(applied) if applied else expected_files(ledger, job_id, prices=prices)
    for relative, digest in sorted(expected.files.items()):
        there, found_digest = folder.stat(relative), folder.digest(relative)
        if there is None or found_digest is None:
            yield f"{relative} is missing from the run folder"
        elif found_digest != digest and not (
            _is_older_exchange(relative, folder, digest)
            or _is_older_form(ledger, job_id, relative, folder, prices)
        ):
            yield f"{relative} was changed in the run folder"
        elif (mode := expected.modes.get(relative)) not in (None, stat.S_IMODE(there.st_mode)):
            now = stat.S_IMODE(there.st_mode)
            yield f"{relative} has the mode {now:03o} in the run folder; {mode:03o} was recorded"
    for relative in expected.folders:
        if not folder.has_folder(relative):
            yield f"the folder {relative} is missing from the run folder"
    for relative, lost in sorted(expected.lost.items()):
        found_digest = folder.digest(relative) if lost.whole is not None else None
        if found_digest is not None and found_digest != lost.whole:
            yield f"{relative} was changed in the run folder"
    for former in find_superseded(folder, expected.superseded):
        yield (
            f"{former.path} is not a file of the job any more; "
            f"{quoted_command('export', job_id)} removes it"
        )
    if expected.lost:
        notes.append(removed_note(len(expected.lost)))


def _has_ended(ledger: LedgerReader, job_id: str) -> bool:
    """Whether the job has ended. Until then, its folder may be behind: a killed process left it."""
    row = ledger.connection.execute(
        "SELECT type FROM events WHERE job_id = ? AND type GLOB 'job.*' "
        "AND type <> 'job.cancelling' ORDER BY version DESC LIMIT 1",
        (job_id,),
    ).fetchone()
    return row is not None and row[0] in _ENDS


_ENDS = tuple(f"job.{status}" for status in JOB_ENDED)


def removed_note(count: int) -> str:
    """A note for people: this number of files cannot be made again."""
    files = count_text(count, "file")
    return f"{files} of the run folder cannot be made again: bytes were removed from the ledger"


def _is_older_exchange(relative: str, folder: Folder, expected: Digest) -> bool:
    """Whether the file is a call of an older version, and else as expected."""
    if not relative.startswith(".cache/"):
        return False
    content = folder.read(relative) or b""
    try:
        found = parse_object(content.decode())
        is_whole = pretty_file(found) == content and WRITTEN_KEY not in found["usage"]
        now = pretty_file(found | {"usage": found["usage"] | {WRITTEN_KEY: 0}})
    except (LedgerError, UnicodeError, *UNEXPECTED):
        return False
    return is_whole and digest_bytes(now) == expected


def _is_older_form(
    ledger: LedgerReader, job_id: str, relative: str, folder: Folder, prices: PriceTable
) -> bool:
    """Whether the file is what orc also gives: in an older version, or with other prices."""
    if relative == "events.jsonl":
        return _has_older_lines(folder.read(relative) or b"", list(ledger.read_stored(job_id)))
    return relative == "manifest.json" and _is_older_manifest(
        ledger, job_id, folder.read(relative) or b"", prices
    )


def _has_older_lines(content: bytes, stored: Sequence[StoredEvent]) -> bool:
    """Whether each line is that of an event, in some version of orc.

    The data of another program may have other forms of the same values.
    """
    found = content.decode("utf-8", "replace").splitlines(keepends=True)
    return len(found) == len(stored) and (
        content == stored_lines(stored)
        or all(
            _is_line(line, recorded, data)
            for line, (recorded, data) in zip(found, stored, strict=True)
        )
    )


def _is_line(line: str, recorded: Recorded, data: str) -> bool:
    now = f"{event_line(recorded)}\n"
    if line in (now, now.replace(f', "{WRITTEN_KEY}": 0', "")):
        return True
    if isinstance(recorded.event, StepConfigured) and _is_reordered(line, now):
        return True
    return any(
        line == line_as_stored(recorded, data, with_hash=with_hash) for with_hash in (True, False)
    )


def _is_reordered(line: str, expected: str) -> bool:
    """Whether two lines differ only by the order of settings, which older versions did not keep."""
    try:
        value = parse_object(line)
        same = canonical_json(value) == canonical_json(parse_object(expected))
    except (LedgerError, *UNEXPECTED):
        return False
    return same and f"{render_line(value)}\n" == line


def _is_older_manifest(
    ledger: LedgerReader, job_id: str, content: bytes, prices: PriceTable
) -> bool:
    """Whether a manifest differs only in costs by another table of prices, or by its older form.

    An older one has another order of the steps, does not count tolerated failures or tokens that were
    written to a cache, or does not name workers or the files of inputs.
    """
    manifest = Manifest(ledger.read_payload, prices=prices)
    for recorded in ledger.read_stream(job_id):
        manifest.apply(recorded)
    try:
        published = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(published, dict) and any(
        _in_form_of(published, manifest.value(as_recorded=as_recorded)) == content
        for as_recorded in (False, True)
    )


def _in_form_of(published: dict[str, Any], expected: dict[str, Any]) -> bytes:
    """The expected manifest, with the costs of the published one if its prices are others."""
    for key in (TOLERATED_KEY, INPUTS_KEY):
        if key not in published:
            expected.pop(key, None)
    steps = published.get("steps")
    if not any(PLACED_KEY in step for step in (steps.values() if isinstance(steps, dict) else ())):
        for step in expected["steps"].values():
            step.pop(PLACED_KEY, None)
    if WRITTEN_KEY not in (published.get("usage") or {}):
        for counted in (expected, *expected["steps"].values()):
            counted["usage"].pop(WRITTEN_KEY, None)
    _take_unrounded_costs(published, expected)
    if published.get("prices_sha256") == expected["prices_sha256"]:
        return render_manifest(expected)
    for key in MONEY_KEYS:
        # A manifest of an older version of orc has fewer of these keys.
        if key in published:
            expected[key] = published[key]
        else:
            del expected[key]
    return render_manifest(expected)


def _take_unrounded_costs(published: dict[str, Any], expected: dict[str, Any]) -> None:
    """Take the costs that differ only because older versions did not round a call to nano-dollars."""
    steps, found = expected["steps"], published.get("steps")
    pairs = [(published, expected, sum(step["provider_calls"] for step in steps.values()))]
    doubts: list[tuple[Any, dict[str, Any]]] = [(published, expected)]
    if isinstance(found, dict):
        doubts += [(found.get(name), step) for name, step in steps.items()]
    for old, new in doubts:
        in_doubt = old.get("in_doubt") if isinstance(old, dict) else None
        if isinstance(in_doubt, dict) and "in_doubt" in new:
            pairs.append((in_doubt, new["in_doubt"], new["in_doubt"]["calls"]))
    for old, new, calls in pairs:
        for key in new.keys() & {
            "cost_usd",
            "cost_known_usd",
            "cost_usd_max",
            "cost_known_usd_max",
        }:
            then, now = old.get(key), new[key]
            is_near = isinstance(then, float) and now is not None
            if is_near and abs(then - now) <= calls * 1.01 / NANO_PER_USD:
                new[key] = then


def line_as_stored(recorded: Recorded, data: str, *, with_hash: bool) -> str:
    """A line of `events.jsonl` as older versions of orc published it: in the stored event's shape."""
    shown = _as_stored(event_object(recorded, with_hash=with_hash), parse_object(data))
    return f"{render_line(shown)}\n"


def _as_stored(shown: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """The fields in their order, with the names and values of `stored` as far as it has them."""
    found: dict[str, Any] = {}
    for name, value in shown.items():
        older = name.replace("_nano_usd", "_usd")
        if name in stored and canonical_json(value) == canonical_json(stored[name]):
            # In the order of its fields.
            found[name] = value
        elif name in stored:
            both = isinstance(value, dict) and isinstance(stored[name], dict)
            found[name] = _as_stored(value, stored[name]) if both else stored[name]
        elif older in stored:
            found[older] = stored[older]
        elif name not in ("v", WRITTEN_KEY):
            found[name] = value
    return found
