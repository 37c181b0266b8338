"""A job as one self-contained HTML page without scripts, which can be sent by mail.

It uses the templates, pictures and values of the pages in the browser. Links lead to places
within the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from markupsafe import Markup, escape
from msgspec import Struct
from msgspec.structs import replace

from orc.ledger.events import Recorded
from orc.ledger.kinds import NOT_LIVE
from orc.ledger.wording import visible
from orc.projections.exports.source import ExportSource
from orc.projections.history.turns import AttemptTurn, ShownText, read_attempts, read_output
from orc.projections.pages.job import read_moment, read_values
from orc.projections.pages.links import Links
from orc.projections.pages.render import render, shorten
from orc.projections.pages.shown_file import ShownFile, read_shown
from orc.projections.pages.static import read_static
from orc.projections.pages.step import CALLS_MAX
from orc.projections.tables.job_view import read_calls, read_files
from orc.projections.tables.rows import FileRow, StepRow

TEXT_BYTES_MAX = 15_000_000
"""The size limit of all prompts, replies, logs and files in the page, as escaped ASCII.

Texts above the limit are left out. A character takes up to ten bytes: `&#128512;`.
"""
_FRAME_BYTES = 200
"""The approximate size of the markup around a text."""
_ROWS_MAX = 50
_IMAGE_BYTES_MAX = 256_000


class StepPart(Struct, frozen=True):
    """A step with its attempts. `is_left_out` is true if their texts exceed the limit of the page.

    `calls_left` is the number of calls that are not shown.
    """

    step: StepRow
    anchor: str
    attempts: tuple[AttemptTurn, ...] = ()
    output: ShownText | None = None
    is_left_out: bool = False
    calls_left: int = 0


class FilePart(Struct, frozen=True):
    """A file with the beginning of its content; None if that exceeds the limit of the page."""

    file: FileRow
    anchor: str
    content: ShownFile | None = None


def render_html(source: ExportSource, *, content: bool) -> str:
    """The page, in ASCII. Without `content` it has no prompts, replies, logs or files.

    Raises LedgerError.
    """
    files = read_files(source.reader.connection, source.job_id)
    links = _Anchors(source, files)
    moment = read_moment(source.reader, source.job_id, source.head.version, source.head.version)
    values = read_values(source.reader, source.view, source.status, links, moment, now=source.as_of)
    limit = _SizeLimit(TEXT_BYTES_MAX if content else 0)
    values |= {
        "css": Markup(read_static("orc.css")),  # noqa: S704
        "source": source,
        "content": content,
        "steps": list(_steps(source, links, limit, content=content)),
        "files": files,
        "file_parts": [
            FilePart(file, links.file("", file.path)[1:], _file(source, file, limit))
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


class _SizeLimit:
    """The number of bytes that texts may still take."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes

    def take(self, texts: Iterable[str]) -> bool:
        """Take the bytes of these texts, shortened as on a page; False if they do not fit."""
        shown = [shorten(text) for text in texts]
        # A character takes at least one byte: texts that cannot fit are not escaped first.
        if sum(map(len, shown)) > self.size_bytes:
            return False
        return self.take_written(*map(_written_bytes, shown))

    def take_written(self, *sizes_bytes: int) -> bool:
        """Take these bytes; False if they do not fit."""
        wanted = sum(sizes_bytes)
        if wanted > self.size_bytes:
            return False
        self.size_bytes -= wanted
        return True


def _written_bytes(text: str) -> int:
    written = escape(visible(text, kept="\n\t")).encode("ascii", "xmlcharrefreplace")
    return len(written) + _FRAME_BYTES


def _steps(
    source: ExportSource, links: _Anchors, limit: _SizeLimit, *, content: bool
) -> Iterator[StepPart]:
    reader, view = source.reader, source.view
    events: dict[str, list[Recorded]] = {}
    for recorded in reader.read_stream(source.job_id) if content else ():
        events.setdefault(getattr(recorded.event, "step", None) or "", []).append(recorded)
    is_live = source.status not in NOT_LIVE
    for step, _ in view.in_order():
        # Called without events and calls, so that the attempts have no texts.
        bare: tuple[AttemptTurn, ...] = ()
        if step.attempts:
            bare = tuple(read_attempts(reader, view, step, [], [], is_live=is_live))
        part = StepPart(step, links.step(source.job_id, step.name)[1:], bare)
        mine = events.get(step.name, [])
        if not content or (not mine and not step.attempts):
            yield part
            continue
        calls = read_calls(reader.connection, step.step_id)
        shown = calls[:CALLS_MAX]
        attempts = tuple(read_attempts(reader, view, step, mine, shown, is_live=is_live))
        output = read_output(reader, mine)
        if limit.take((*_texts(attempts), *_shown_texts(output))):
            left = max(0, len(calls) - CALLS_MAX)
            yield replace(part, attempts=attempts, output=output, calls_left=left)
        else:
            yield replace(part, is_left_out=True)


def _file(source: ExportSource, file: FileRow, limit: _SizeLimit) -> ShownFile | None:
    if limit.size_bytes < _FRAME_BYTES:
        return None
    found = read_shown(source.reader, file, rows=_ROWS_MAX, embedded_bytes_max=_IMAGE_BYTES_MAX)
    return found if limit.take_written(*_written_of(found)) else None


def _written_of(shown: ShownFile) -> Iterator[int]:
    """The bytes of what the page shows of a file; a table counts with its markup."""
    if shown.grid is not None:
        for cell in (*shown.grid.columns, *(cell for row in shown.grid.rows for cell in row)):
            yield _written_bytes(cell) - _FRAME_BYTES + len("<td></td>")
    elif shown.address:
        yield len(shown.address)
    elif shown.html is not None:
        yield len(shown.html.encode("ascii", "xmlcharrefreplace"))
    else:
        yield _written_bytes(shown.text.text)
    yield _FRAME_BYTES


def _texts(attempts: Iterable[AttemptTurn]) -> Iterator[str]:
    for attempt in attempts:
        yield from _shown_texts(attempt.log)
        for call in attempt.calls:
            yield call.exchange.system or ""
            for turn in (*call.exchange.turns, *filter(None, (call.exchange.reply,))):
                yield turn.text
                yield turn.reasoning
                yield from (arguments for _, arguments in turn.tool_calls)
            for tool in call.tools:
                yield from (*_shown_texts(tool.arguments), *_shown_texts(tool.result))


def _shown_texts(text: ShownText | None) -> tuple[str, ...]:
    return () if text is None else (text.text,)
