"""The exported page: a whole job in one self-contained page without active content."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from orc.ledger import LedgerReader
from orc.ledger.definition import RetryDef
from orc.projections.exports import html as export
from orc.projections.exports.source import read_source
from tests.builders import JOB, step
from tests.projections.served import HOSTILE, hostile_story
from tests.projections.support import Story, begun, open_in, write


class Page(HTMLParser):
    """The names of elements and attributes, the ids, and the targets of links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]


def exported(folder: Path, story: Story, *, content: bool = True, status: str = "failed") -> str:
    """The page of a story."""
    with open_in(folder) as ledger:
        write(ledger, story)
    with LedgerReader.open(folder / "runs.db") as reader:
        source = read_source(reader, JOB, status=status, orc_version="1.2.3")
        return export.render_html(source, content=content)


def test_the_page_is_self_contained_and_has_no_active_content(tmp_path: Path) -> None:
    text = exported(tmp_path, hostile_story())
    page = Page(text)
    assert text.isascii()
    assert "default-src 'none'" in text
    assert not page.elements & {"script", "img", "iframe", "object", "form", "base"}
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
    assert all(link.startswith("#") or link == "data:," for link in page.links), page.links
    assert "&lt;script&gt;alert" in text


def test_every_link_leads_to_a_place_in_the_page(tmp_path: Path) -> None:
    page = Page(exported(tmp_path, hostile_story()))
    assert len(page.ids) == len(set(page.ids))
    places = {link[1:] for link in page.links if link.startswith("#")}
    assert len(places) > 2
    assert places <= set(page.ids)


def test_without_content_the_page_has_no_texts(tmp_path: Path) -> None:
    secret = "what only the model said"
    story = hostile_story_with(secret)
    (tmp_path / "a").mkdir()
    assert secret in exported(tmp_path / "a", story)
    (tmp_path / "b").mkdir()
    bare = exported(tmp_path / "b", story, content=False)
    assert secret not in bare
    assert "are left out" in bare
    assert 'data-step="a"' in bare


def hostile_story_with(said: str) -> Story:
    """A step whose model replied with `said`, which it also wrote into a file."""
    story = begun(step("a", prompt="?")).start("a")
    story.call("a", number=1, ends="replied", text=said)
    return story.succeed("a", said, files={"demo/said.txt": said.encode()})


def test_a_page_that_would_be_too_large_leaves_texts_out_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "TEXT_BYTES_MAX", 10)
    text = exported(tmp_path, hostile_story_with("long " * 50))
    assert "the page would be too large" in text
    assert "long long" not in text


@pytest.mark.parametrize("character", ["<", "\U0001f600", "\x1b", "\u202e"])
def test_the_size_limit_counts_escaped_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    monkeypatch.setattr(export, "TEXT_BYTES_MAX", 40_000)
    (tmp_path / "a").mkdir()
    around = len(exported(tmp_path / "a", hostile_story_with("x")))
    (tmp_path / "b").mkdir()
    text = exported(tmp_path / "b", hostile_story_with(character * 12_000))
    assert len(text) < around + 42_000
    assert "the page would be too large" in text


def test_the_beginning_of_a_long_text_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "TEXT_BYTES_MAX", 150_000)
    text = exported(tmp_path, hostile_story_with("long " * 100_000))
    assert "long long" in text
    assert "the page would be too large" not in text


def test_calls_that_are_left_out_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CALLS_MAX", 2)
    story = begun(step("a", prompt="?")).start("a")
    for number in range(1, 6):
        story.call("a", number=number, ends="replied", text=f"reply {number}")
    text = exported(tmp_path, story.succeed("a", "done"))
    assert "reply 2" in text
    assert "reply 3" not in text
    assert "3 more calls are left out" in text


@pytest.mark.parametrize("content", [True, False])
def test_attempts_are_shown_even_if_their_texts_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bool
) -> None:
    monkeypatch.setattr(export, "TEXT_BYTES_MAX", 10)
    story = begun(step("a", prompt="?", retry=RetryDef(max_attempts=2))).start("a")
    story.call("a", number=1, ends="replied", text="secret reply").fail("a", kind="timeout")
    text = exported(tmp_path, story.start("a").succeed("a", "x"), content=content)
    assert {"step-1-attempt-1", "step-1-attempt-2"} <= set(Page(text).ids)
    assert "secret reply" not in text


def test_an_unfinished_job_is_marked(tmp_path: Path) -> None:
    story = hostile_story_with("x")
    text = exported(tmp_path, story, status="interrupted")
    assert f"has not ended. This page shows its state after event {len(story.stream)}," in text
    assert HOSTILE not in text
