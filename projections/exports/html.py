"""A job as one page that can be mailed: nothing from elsewhere is loaded, and nothing in it acts.

The templates, the pictures and what they show are those of the pages in the browser;
links lead to places within the page, or nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

from orc.ledger.events import Recorded
from orc.ledger.visible import visible
from orc.projections.exports.source import ExportSource
from orc.projections.pages.file import read_content
from orc.projections.pages.job import read_moment, read_values
from orc.projections.pages.links import Links
from orc.projections.pages.render import render, shorten
from orc.projections.pages.static import read_static
from orc.projections.pages.step import CALLS_MAX, AttemptTurn, ShownText, read_attempts, read_output
from orc.projections.tables.job_view import read_calls, read_files
from orc.projections.tables.rows import FileRow, StepRow

TEXT_BYTES_MAX = 15_000_000
"""How much of prompts, replies, logs and files is in the page, as it is written there.

Later ones are left out. A character is up to ten bytes there: `&#128512;`.
"""
_FRAME_BYTES = 200
"""About how much markup stands around a text."""


@dataclass(frozen=True, slots=True)
class StepPart:
    """A step with its attempts; `is_left_out` where their texts no longer fit.

    `calls_left` counts the calls that are not among those shown.
    """

    step: StepRow
    anchor: str
    attempts: tuple[AttemptTurn, ...] = ()
    output: ShownText | None = None
    is_left_out: bool = False
    calls_left: int = 0


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file with the first of its content, where that still fits."""

    file: FileRow
    anchor: str
    content: ShownText | None = None


def render_html(source: ExportSource, *, content: bool) -> str:
    """The page, in ASCII. Without `content` no prompt, reply, log or file is in it.

    Raises LedgerError.
    """
    files = read_files(source.reader.connection, source.job_id)
    links = _Anchors(source, files)
    moment = read_moment(source.reader, source.job_id, source.head.version, source.head.version)
    values = read_values(source.reader, source.view, source.status, links, moment, now=source.as_of)
    room = _Room(TEXT_BYTES_MAX if content else 0)
    values |= {
        "css": Markup(read_static("orc.css")),  # noqa: S704
        "source": source,
        "content": content,
        "steps": list(_steps(source, links, room, content=content)),
        "files": files,
        "file_parts": [
            FilePart(file, links.file("", file.path)[1:], _file(source, file, room))
            for file in files
        ],
    }
    return render("export.html", values).encode("ascii", "xmlcharrefreplace").decode()


class _Anchors(Links):
    """Links to places in the page."""

    def __init__(self, source: ExportSource, files: list[FileRow]) -> None:
        self._job_id = source.job_id
        steps = enumerate(source.view.in_order(), start=1)
        self._steps = {step.name: f"#step-{number}" for number, (step, _) in steps}
        self._files = {file.path: f"#file-{number}" for number, file in enumerate(files, start=1)}

    def step(self, job_id: str, step: str) -> str:
        return self._steps.get(step, "") if job_id == self._job_id else ""

    def file(self, job_id: str, path: str) -> str:
        return self._files.get(path, "")


class _Room:
    """How many bytes of texts still fit."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes

    def take(self, texts: Iterable[str]) -> bool:
        """Whether these fit, of each what a page shows; if they do, the room is theirs."""
        shown = [shorten(text) for text in texts]
        # Every character is a byte at least: what cannot fit is not measured.
        if sum(map(len, shown)) > self.size_bytes:
            return False
        wanted = sum(map(_written_bytes, shown))
        if wanted > self.size_bytes:
            return False
        self.size_bytes -= wanted
        return True


def _written_bytes(text: str) -> int:
    written = escape(visible(text, kept="\n\t")).encode("ascii", "xmlcharrefreplace")
    return len(written) + _FRAME_BYTES


def _steps(
    source: ExportSource, links: _Anchors, room: _Room, *, content: bool
) -> Iterator[StepPart]:
    reader, view = source.reader, source.view
    events: dict[str, list[Recorded]] = {}
    for recorded in reader.read_stream(source.job_id) if content else ():
        events.setdefault(getattr(recorded.event, "step", None) or "", []).append(recorded)
    for step, _ in view.in_order():
        # Without events and calls, the attempts have no texts.
        bare = tuple(read_attempts(reader, view, step, [], [])) if step.attempts else ()
        part = StepPart(step, links.step(source.job_id, step.name)[1:], bare)
        mine = events.get(step.name, [])
        if not content or (not mine and not step.attempts):
            yield part
            continue
        calls = read_calls(reader.connection, step.step_id)
        attempts = tuple(read_attempts(reader, view, step, mine, calls[:CALLS_MAX]))
        output = read_output(reader, mine)
        if room.take((*_texts(attempts), *_of(output))):
            left = max(0, len(calls) - CALLS_MAX)
            yield replace(part, attempts=attempts, output=output, calls_left=left)
        else:
            yield replace(part, is_left_out=True)


def _file(source: ExportSource, file: FileRow, room: _Room) -> ShownText | None:
    if room.size_bytes < _FRAME_BYTES:
        return None
    found = read_content(source.reader, file)
    return found if room.take(_of(found)) else None


def _texts(attempts: Iterable[AttemptTurn]) -> Iterator[str]:
    for attempt in attempts:
        yield from _of(attempt.log)
        for call in attempt.calls:
            yield call.exchange.system or ""
            for turn in (*call.exchange.turns, *filter(None, (call.exchange.reply,))):
                yield turn.text
                yield from (arguments for _, arguments in turn.tool_calls)
            for tool in call.tools:
                yield from (*_of(tool.arguments), *_of(tool.result))


def _of(text: ShownText | None) -> tuple[str, ...]:
    return () if text is None else (text.text,)
