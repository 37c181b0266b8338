"""A job as one page that can be mailed: nothing from elsewhere is loaded, and nothing in it acts.

The templates, the pictures and what they show are those of the pages in the browser;
links lead to places within the page, or nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from markupsafe import Markup

from ledger.events import Recorded
from projections.exports.source import Source, in_order
from projections.job_view import FileRow, StepRow, read_calls, read_files
from projections.pages.file import read_content
from projections.pages.job import read_moment, read_values
from projections.pages.render import render
from projections.pages.static import read_static
from projections.pages.step import (
    CALLS_MAX,
    AttemptTurn,
    Text,
    read_attempts,
    read_output,
)

TEXT_CHARS_MAX = 15_000_000
"""How much of prompts, replies, logs and files is in the page; later ones are left out."""


@dataclass(frozen=True, slots=True)
class StepPart:
    """A step with its attempts; `is_left_out` where its texts no longer fit."""

    step: StepRow
    anchor: str
    attempts: tuple[AttemptTurn, ...] = ()
    output: Text | None = None
    is_left_out: bool = False


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file with the first of its content, where that still fits."""

    file: FileRow
    anchor: str
    content: Text | None = None


def render_html(source: Source, *, content: bool) -> str:
    """The page, in ASCII. Without `content` no prompt, reply, log or file is in it.

    Raises LedgerError.
    """
    files = read_files(source.reader.connection, source.job_id)
    links = _Anchors(source, files)
    moment = read_moment(source.reader, source.job_id, source.head.version, source.head.version)
    values = read_values(source.reader, source.view, source.status, links, moment, now=source.as_of)
    room = _Room(TEXT_CHARS_MAX if content else 0)
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


class _Anchors:
    """Links to places in the page."""

    name = ""

    def __init__(self, source: Source, files: list[FileRow]) -> None:
        self._job_id = source.job_id
        steps = enumerate(in_order(source.view), start=1)
        self._steps = {step.name: f"#step-{number}" for number, step in steps}
        self._files = {file.path: f"#file-{number}" for number, file in enumerate(files, start=1)}

    def step(self, job_id: str, step: str) -> str:
        return self._steps.get(step, "") if job_id == self._job_id else ""

    def file(self, job_id: str, path: str) -> str:
        return self._files.get(path, "")

    def home(self, **query: str | None) -> str:
        return ""

    def job(self, job_id: str, *, at: int | None = None) -> str:
        return ""

    def raw(self, job_id: str, path: str) -> str:
        return ""

    def blob(self, digest: str) -> str:
        return ""

    def table(self, name: str, **query: str) -> str:
        return ""

    def row(self, table: str, key: str) -> str:
        return ""

    def search(self, **query: str | None) -> str:
        return ""

    def decide(self, job_id: str) -> str:
        return ""


class _Room:
    """How many characters of texts still fit."""

    def __init__(self, chars: int) -> None:
        self.chars = chars

    def take(self, chars: int) -> bool:
        """Whether so many fit; if they do, they are taken."""
        if chars > self.chars:
            return False
        self.chars -= chars
        return True


def _steps(source: Source, links: _Anchors, room: _Room, *, content: bool) -> Iterator[StepPart]:
    events: dict[str, list[Recorded]] = {}
    for recorded in source.reader.read_stream(source.job_id) if content else ():
        events.setdefault(getattr(recorded.event, "step", None) or "", []).append(recorded)
    for step in in_order(source.view):
        part = StepPart(step, links.step(source.job_id, step.name)[1:])
        mine = events.get(step.name, [])
        if not content or (not mine and not step.attempts):
            yield part
            continue
        calls = read_calls(source.reader.connection, step.step_id)[:CALLS_MAX]
        attempts = tuple(read_attempts(source.reader, source.view, step, mine, calls))
        output = read_output(source.reader, mine)
        fits = room.take(sum(map(_attempt_chars, attempts)) + _chars(output))
        full = replace(part, attempts=attempts, output=output)
        yield full if fits else replace(part, is_left_out=True)


def _file(source: Source, file: FileRow, room: _Room) -> Text | None:
    if not room.take(1):
        return None
    found = read_content(source.reader, file)
    return found if room.take(_chars(found)) else None


def _attempt_chars(turn: AttemptTurn) -> int:
    total = _chars(turn.log)
    for call in turn.calls:
        texts = (*call.exchange.turns, *filter(None, (call.exchange.reply,)))
        total += len(call.exchange.system or "") + sum(len(text.text) for text in texts)
        total += sum(_chars(tool.arguments) + _chars(tool.result) for tool in call.tools)
    return total


def _chars(text: Text | None) -> int:
    return 0 if text is None else len(text.text)
