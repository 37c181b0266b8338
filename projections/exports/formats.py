"""The formats of `orc export`: one entry each, which the command, its help and its checks read.

Plain data and two imports: a format's module is loaded where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from orc.projections.exports.source import ExportSource


@dataclass(frozen=True, slots=True)
class Format:
    """A format by name.

    `suffix` is what the name of its file ends in; None for one that is a folder. `content` is
    whether prompts, replies and files are in it by default; None where nobody is asked. A
    format of one file is `render_NAME(source)` in `exports/NAME.py`, with the argument
    `content` where somebody is asked.
    """

    name: str
    suffix: str | None = None
    content: bool | None = None


_FORMATS = (
    Format("folder"),
    Format("html", suffix="html", content=True),
    Format("otel", suffix="otel.json", content=False),
    Format("ro-crate"),
    Format("junit", suffix="junit.xml"),
)

FORMATS: dict[str, Format] = {form.name: form for form in _FORMATS}
"""The formats by name, in the order in which people are shown them."""


def render(form: Format, source: ExportSource, *, content: bool) -> str:
    """The text of a format that is one file: ASCII, with nothing in it that a terminal obeys."""
    function = getattr(import_module(f"orc.projections.exports.{form.name}"), f"render_{form.name}")
    options = {} if form.content is None else {"content": content}
    return str(function(source, **options))
