"""The formats of `orc export`: one entry each, which the command, its help and its checks read.

Plain data and two imports: a format's module is loaded where it is used.
"""

from __future__ import annotations

from importlib import import_module

from msgspec import Struct

from orc.projections.exports.source import ExportSource


class Format(Struct, frozen=True):
    """A format by name.

    `about` says what it is, for the help. `suffix` is the end of its file's name; None for a
    format that is a folder. `content` is whether it includes prompts, replies and files by
    default; None for a format without that choice. A format of one file is the function
    `render_NAME(source)` in `exports/NAME.py`, with the argument `content` if there is a choice.
    """

    name: str
    about: str
    suffix: str | None = None
    content: bool | None = None


_FORMATS = (
    Format("folder", "the run folder"),
    Format("html", "a page", suffix="html", content=True),
    Format("otel", "an OpenTelemetry trace", suffix="otel.json", content=False),
    Format("ro-crate", "a research object"),
    Format("junit", "a test report", suffix="junit.xml"),
)

FORMATS: dict[str, Format] = {form.name: form for form in _FORMATS}
"""The formats by name, in the order in which people are shown them."""


def render(form: Format, source: ExportSource, *, content: bool) -> str:
    """The text of a format that is one file: ASCII, with nothing in it that a terminal obeys."""
    function = getattr(import_module(f"orc.projections.exports.{form.name}"), f"render_{form.name}")
    options = {} if form.content is None else {"content": content}
    return str(function(source, **options))
