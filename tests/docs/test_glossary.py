"""The glossary: sorted, used, and linked where a word first occurs in a page."""

from __future__ import annotations

import re
from itertools import pairwise

from tests.docs.conftest import PAGES, ROOT, read_page
from tests.docs.test_generated import load_generator
from tests.each_case import each_case

PAGE = "docs/glossary.md"
ENTRY = re.compile(r"^### (?P<word>.+)\n\n(?P<text>.+)\n", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\([\w./]*glossary\.md#([\w-]+)\)")

generate = load_generator()
words = [match["word"] for match in ENTRY.finditer(read_page(PAGE))]


def test_the_entries_are_sorted_and_each_word_has_one() -> None:
    assert len(words) == len(re.findall(r"^#{2,} ", read_page(PAGE), re.MULTILINE))
    assert all(one < other for one, other in pairwise(words))


def test_an_entry_is_one_to_three_sentences() -> None:
    for match in ENTRY.finditer(read_page(PAGE)):
        sentences = re.findall(r"[.?](?= |$)", re.sub(r"`[^`]*`", "x", match["text"]))
        assert 1 <= len(sentences) <= 3, match["word"]


def test_every_entry_is_a_word_of_the_code_or_of_another_page() -> None:
    folders = ("cli", "ledger", "projections", "providers", "scheduler")
    texts = [
        path.read_text("utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py")
    ]
    texts += [read_page(page) for page in PAGES if page != PAGE]
    everything = "\n".join(texts).lower()
    stems = {word: word.removesuffix("e").replace(" ", "[ _]") for word in words}
    unused = [word for word, stem in stems.items() if not re.search(rf"\b{stem}", everything)]
    assert unused == []


@each_case("page", generate.linked_pages())
def test_every_link_to_the_glossary_names_an_entry_and_stands_once(page: str) -> None:
    anchors = [anchor for _, anchor in LINK.findall(read_page(page))]
    assert set(anchors) <= {word.replace(" ", "-") for word in words}
    assert len(anchors) == len(set(anchors))
    # A list of links, and a decision about packaging, have none of our words.
    is_list = page in ("docs/index.md", "docs/decisions.md")
    assert anchors or page == PAGE or is_list or page.startswith("docs/decisions/")


def test_a_word_is_linked_where_it_first_occurs_in_prose() -> None:
    link_words = generate.link_words
    text = "# A step\n\n`step` of a STEP, or [a step](x.md): the Steps, in doubt; a step.\n"

    linked = link_words("docs/x.md", text)

    assert "the [Steps](glossary.md#step), [in doubt](glossary.md#in-doubt); a step." in linked
    assert linked.count("glossary.md") == 2
    assert link_words("docs/x.md", linked) == linked
    assert "](docs/glossary.md#step)" in link_words("README.md", text)


def test_a_word_in_another_meaning_is_not_linked() -> None:
    text = "# A page\n\nThe tool calls of a reply, and then a call.\n"

    assert "The tool calls of a" in generate.link_words("docs/x.md", text)
    assert "then a [call](glossary.md#call)." in generate.link_words("docs/x.md", text)
    assert generate.link_words("docs/mcp.md", text).count("(glossary.md#call)") == 0
