"""The run folder as a fold of a job's events: paths and bytes. `publish.py` writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any

from msgspec import Struct

from orc.ledger import LedgerReader, Recorded
from orc.ledger.digest import Digest, canonical_json, digest_bytes
from orc.ledger.errors import RemovedBlob
from orc.ledger.events import (
    FileRef,
    LlmResponded,
    Payload,
    StoredEvent,
)
from orc.ledger.files.modes import bits_of
from orc.ledger.step_names import log_name
from orc.ledger.stored_struct import dump
from orc.projections.folder.jsonl import event_line
from orc.projections.folder.manifest import Manifest
from orc.projections.folder.pretty_json import render_pretty
from orc.projections.folder.stored_lines import stored_lines
from orc.projections.folds.owned_files import (
    OwnedFiles,
    Superseded,
    artifact_path,
    output_path,
    reused_log_path,
)
from orc.projections.money.prices import NO_PRICES, PriceTable

_READ_AT_ONCE = 500
_FEW_EVENTS = 200
"""Up to here, the lines of events cost less than what makes lines of their data."""

FOLDERS = ("inputs", "outputs", "logs", "artifacts", ".cache")


class File(Struct, frozen=True):
    """A file of the run folder: its path, its size, and its bytes in parts.

    `read_digest` gives the digest of its bytes. `mode` are the permission bits; None for an ordinary
    file.
    """

    path: str
    size_bytes: int
    parts: Callable[[], Iterable[bytes]]
    read_digest: Callable[[], Digest]
    mode: int | None = None

    @property
    def sha256(self) -> Digest:
        """The digest of the bytes."""
        return self.read_digest()


Make = Callable[[], File | None]
"""Makes a file; None if one of its blobs was removed. Raises LedgerError."""


class LostFile(Struct, frozen=True):
    """A file that cannot be made again, since a blob was removed.

    `blobs` are the digests of the blobs that the file was made of, and `why` names the removed one.
    `whole` is the digest of the file itself, if the file is one blob.
    """

    blobs: frozenset[str]
    why: str
    whole: Digest | None


class _Source(Struct, frozen=True):
    """What a file is made of: its blobs, and a function that reads its bytes.

    `whole` is the blob that is the file itself; its bytes are then read in parts.
    """

    content: Callable[[], bytes] | None
    blobs: tuple[Digest | None, ...]
    whole: Digest | None = None
    mode: int | None = None


class _EventLines:
    """The lines of `events.jsonl`, with their size and digest; if they are not kept, only these."""

    def __init__(self, *, are_kept: bool) -> None:
        self._are_kept = are_kept
        self._parts: list[bytes] = []
        self._digest = hashlib.sha256()
        self._size_bytes = 0

    def add(self, lines: bytes) -> None:
        self._digest.update(lines)
        self._size_bytes += len(lines)
        if self._are_kept:
            self._parts.append(lines)

    def file(self) -> File:
        digest = Digest(self._digest.hexdigest())
        content = b"".join(self._parts)
        self._parts = [content]

        def parts() -> Iterable[bytes]:
            assert self._are_kept
            return (content,)

        return File("events.jsonl", self._size_bytes, parts, lambda: digest)


class RunFolder:
    """The files of `runs/<job_id>/` after the events that were applied, in order.

    Bytes are read only when the files are asked for, so that of several versions of a file only
    the last counts, whether the events were applied at once or one by one.

    `lost` has the files whose bytes were removed from the ledger, by path. Published copies of them
    are kept: they may be the last ones. Without `keeps_lines`, the size and the digest of
    `events.jsonl` are known, and its bytes are not: those of a large job are most of its memory.
    """

    def __init__(
        self, ledger: LedgerReader, *, prices: PriceTable = NO_PRICES, keeps_lines: bool = True
    ) -> None:
        self._ledger = ledger
        self._owned = OwnedFiles()
        self._shared: tuple[Payload, Any] | None = None
        self._manifest = Manifest(self._read_spec, prices=prices, owned=self._owned)
        self._lines = _EventLines(are_kept=keeps_lines)
        self._requests: dict[tuple[str, int, int], Payload] = {}
        self._changed: dict[str, None] = {}
        self._known: dict[str, None] = {}
        self._sources: dict[str, _Source] = {}
        self.lost: dict[str, LostFile] = {}
        self.version = 0

    def use(self, ledger: LedgerReader) -> None:
        """Read from now on with another connection to the same ledger."""
        self._ledger = ledger

    def apply_stored(self, stored: Sequence[StoredEvent]) -> None:
        """Apply the next events, which are committed."""
        for recorded, _ in stored:
            self._fold(recorded)
        if self.version > _FEW_EVENTS:
            self._lines.add(stored_lines(stored))
        else:
            for recorded, _ in stored:
                self._lines.add(f"{event_line(recorded)}\n".encode())

    def read(self, job_id: str) -> None:
        """Apply the events of the ledger that come after those that were applied."""
        # Closed at once: an error keeps its frames, and a cursor in them keeps the ledger's files open.
        with closing(self._ledger.read_stored(job_id, after=self.version)) as events:
            while stored := list(islice(events, _READ_AT_ONCE)):
                self.apply_stored(stored)

    def applying(self, stored: Iterator[StoredEvent]) -> Iterator[Recorded]:
        """The next events, each of which is applied when a later one, or the end, is asked for."""
        while batch := list(islice(stored, _READ_AT_ONCE)):
            for recorded, _ in batch:
                yield recorded
            self.apply_stored(batch)

    def read_spec(self, payload: Payload) -> Any:
        """The spec in an event that is applied next: it is parsed once for the caller and the folder."""
        value = self._ledger.read_payload(payload)
        self._shared = payload, value
        return value

    def _read_spec(self, payload: Payload) -> Any:
        if self._shared is None or self._shared[0] != payload:
            return self._ledger.read_payload(payload)
        (_, value), self._shared = self._shared, None
        return value

    def _fold(self, recorded: Recorded) -> None:
        self.version = recorded.version
        event = recorded.event
        self._manifest.apply(recorded)
        # Most events of a large job are of these two types, and change no file.
        if event.type == "step.started" and not self._owned.artifacts:
            return
        if (
            event.type == "step.succeeded"
            and event.log is None
            and not self._owned.is_changed_by(event)
        ):
            return
        for path in self._owned.apply(recorded):
            self.lost.pop(path, None)
            self._changed[path] = None
        match event.type:
            case "step.succeeded" | "step.failed" | "step.interrupted":
                if event.log is not None:
                    name = f"logs/{log_name(event.step, event.attempt)}"
                    self._add(name, self._text(event.log))
            case "job.submitted" | "job.amended":
                self._add("inputs/spec.yaml", self._text(event.source))
                self._add("inputs/inputs.json", self._json(event.inputs))
                for path, file in self._manifest.inputs.files.items():
                    self._add(path, _Source(None, (file.sha256,), file.sha256))
            case "hook.ended" if event.log is not None:
                # In a folder of their own: a step may have any name.
                name = f"logs/hooks/{event.hook}.{event.occasion}.log"
                self._add(name, self._text(event.log))
            case "llm.requested":
                self._requests[event.step, event.attempt, event.call] = event.request
            case "llm.responded":
                request = self._requests.pop((event.step, event.attempt, event.call), None)
                self._add(f".cache/{event.request_sha256}.json", self._exchange(request, event))
            case _:
                pass

    def look_again(self) -> None:
        """Have all files changed, as if nothing had asked for them yet."""
        self._changed = self._known | self._changed

    def changed(self) -> Iterator[File]:
        """The current files at the paths that have changed since the last call."""
        for _, make in self._changed_files():
            file = make()
            if file is not None:
                yield file

    def changes(self, *, with_summaries: bool) -> Iterator[tuple[str, Make]]:
        """The path of each of these files, and of the summaries, with a function that makes it."""
        yield from self._changed_files()
        if with_summaries:
            yield "events.jsonl", self._lines.file
            yield "manifest.json", self._summary

    def tails(self) -> dict[str, bytes]:
        """The end of each summary by its path: it names the last event, as that of no other version."""
        last = self._manifest.last
        if last is None:
            return {}
        line = f"{event_line(last)}\n".encode()
        return {"events.jsonl": line, "manifest.json": self._manifest.tail()}

    def _changed_files(self) -> Iterator[tuple[str, Make]]:
        changed, self._changed = self._changed, {}
        self._known |= changed
        logs = {reused_log_path(step): log for step, log in self._owned.reused_logs.items()}
        artifacts = {
            artifact_path(step, file): file
            for step, files in self._owned.artifacts.items()
            for file in files
        }
        for path in changed:
            output = self._owned.outputs.get(path.removeprefix(output_path("")))
            if path in self._sources:
                yield path, partial(self._made, path, self._sources[path])
            elif path in logs:
                yield path, partial(self._made, path, self._text(logs[path]))
            elif path in artifacts:
                yield path, partial(self._made, path, self._file(artifacts[path]))
            elif output is not None and path == output_path(output.file.path):
                yield path, partial(self._made, path, self._file(output.file))

    def superseded(self) -> Iterator[Superseded]:
        """The files that an earlier publication may have written, and that no step owns any more."""
        yield from self._owned.superseded()
        yield from self._manifest.inputs.superseded()

    def folders(self) -> list[str]:
        """The paths of the empty folders that belong to steps' results, sorted."""
        return sorted(map(output_path, self._owned.outputs.folders))

    def summaries(self) -> Iterator[File]:
        """`events.jsonl` and `manifest.json`, which depend on all events so far."""
        yield self._lines.file()
        yield self._summary()

    def _summary(self) -> File:
        return _in_memory("manifest.json", self._manifest.render())

    def _add(self, path: str, source: _Source) -> None:
        self._sources[path] = source
        self._changed[path] = None

    def _exchange(self, request: Payload | None, event: LlmResponded) -> _Source:
        def content() -> bytes:
            return pretty_file(
                {
                    "request": self._ledger.read_payload(request),
                    "reply": self._ledger.read_payload(event.reply),
                    "model": event.model,
                    "finish_reason": event.finish_reason,
                    "usage": None if event.usage is None else dump(event.usage),
                }
            )

        return _Source(content, (None if request is None else request.sha256, event.reply.sha256))

    def _file(self, file: FileRef) -> _Source:
        return _Source(None, (file.sha256,), file.sha256, bits_of(file.mode))

    def _text(self, payload: Payload) -> _Source:
        digest = payload.sha256
        if digest is not None:
            return _Source(None, (digest,), digest)
        return _Source(lambda: self._ledger.read_payload_bytes(payload), ())

    def _json(self, payload: Payload) -> _Source:
        return _Source(lambda: pretty_file(self._ledger.read_payload(payload)), (payload.sha256,))

    def _made(self, path: str, source: _Source) -> File | None:
        """The file; None if one of its blobs was removed, which is noted in `lost`."""
        self.lost.pop(path, None)
        try:
            return self._make(path, source)
        except RemovedBlob as error:
            named = frozenset(digest for digest in source.blobs if digest is not None)
            self.lost[path] = LostFile(named, str(error), source.whole)
            return None

    def _make(self, path: str, source: _Source) -> File:
        digest = source.whole
        if digest is None:
            assert source.content is not None
            return _in_memory(path, source.content())
        size_bytes = self._ledger.blob_size(digest)
        chunks = partial(self._ledger.blob_chunks, digest)
        return File(path, size_bytes, chunks, lambda: digest, source.mode)


class ExpectedFiles(Struct, frozen=True):
    """The digest of every file of a run folder by path, and the files that cannot be made again.

    `superseded` are files that an earlier publication may have written. `modes` are the permission
    bits of the files that are not ordinary ones. `folders` are the paths of empty folders.
    """

    files: dict[str, Digest]
    lost: dict[str, LostFile]
    superseded: tuple[Superseded, ...]
    modes: dict[str, int]
    folders: list[str]


def expected_files(
    ledger: LedgerReader, job_id: str, *, prices: PriceTable = NO_PRICES
) -> ExpectedFiles:
    """The files that the job's run folder should have after its last event."""
    folder = RunFolder(ledger, prices=prices, keeps_lines=False)
    folder.read(job_id)
    return expected_of(folder)


def expected_of(folder: RunFolder) -> ExpectedFiles:
    """The files of a folder to which all events of its job were applied."""
    found: dict[str, Digest] = {}
    modes: dict[str, int] = {}
    for files in (folder.changed(), folder.summaries()):
        for file in files:
            found[file.path] = file.sha256
            if file.mode is not None:
                modes[file.path] = file.mode
    return ExpectedFiles(found, folder.lost, tuple(folder.superseded()), modes, folder.folders())


def _in_memory(path: str, content: bytes) -> File:
    return File(path, len(content), lambda: (content,), lambda: digest_bytes(content))


def pretty_file(value: Any) -> bytes:
    """The bytes of a file in the run folder that is a JSON value."""
    # Canonical first, so that equal values give equal bytes.
    return render_pretty(json.loads(canonical_json(value))).encode() + b"\n"
