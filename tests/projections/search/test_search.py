"""Search: queries, hits, and an index that can always be made again."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orc.ledger import JobId, OwnerLock
from orc.ledger.digest import digest_bytes
from orc.ledger.errors import StorageError
from orc.ledger.files.lock_paths import locks_dir
from orc.ledger.files.locks import FileLock
from orc.ledger.removal import blobs_of_job, remove_blobs
from orc.ledger.values import Payload
from orc.projections.search import index as search_index
from orc.projections.search.file import index_path, remove_index
from orc.projections.search.index import open_index
from orc.projections.search.query import TOKENIZER, match_expression, plain_text, spaced
from orc.projections.search.search import PAGE_HITS, SearchQuery, SearchResults, search
from orc.projections.search.snippets import pieces_of
from tests.builders import JOB, step
from tests.projections.support import OTHER, Story, begun, open_in, write

LONG = "A tale of the heron and the well-known fox. " * 40


def told(job_id: JobId = JOB) -> Story:
    """A job with a prompt and its reply, a command with output, and a command that failed."""
    story = begun(step("talk", prompt="?"), step("a"), step("b"), job_id=job_id)
    story.start("talk").call("talk", number=1, ends="replied", text=LONG).succeed("talk", LONG)
    story.start("a").succeed("a", "printed by a kestrel", log=Payload(value="a warning of rain"))
    return story.start("b").fail("b", message="the ostrich stumbled")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A ledger with two such jobs."""
    with open_in(tmp_path) as ledger:
        write(ledger, told(), told(OTHER))
    return tmp_path / "runs.db"


def places(found: SearchResults) -> set[tuple[str, str, str]]:
    """The job, step and kind of each hit."""
    return {(hit.job_id, hit.step, hit.what) for hit in found.hits}


def marked(found: SearchResults) -> str:
    """The texts of the hits, with matches in brackets."""
    return "\n".join(
        "".join(f"[{text}]" if is_hit else text for text, is_hit in hit.pieces)
        for hit in found.hits
    )


def test_prompts_replies_outputs_logs_and_failures_are_found(database: Path) -> None:
    here = SearchQuery("heron", job_id=JOB)
    assert places(search(database, here)) == {(JOB, "talk", "prompt"), (JOB, "talk", "reply")}
    assert places(search(database, SearchQuery("kestrel", job_id=JOB))) == {(JOB, "a", "output")}
    assert places(search(database, SearchQuery("RAIN"))) == {(JOB, "a", "log"), (OTHER, "a", "log")}
    found = search(database, SearchQuery("ostrich", what="failure"))
    assert found.is_complete
    assert (found.count, found.has_more) == (2, False)
    (hit, _) = found.hits
    assert (hit.job_id, hit.step, hit.attempt, hit.call) == (OTHER, "b", 1, None)
    assert marked(found).splitlines() == ["the [ostrich] stumbled"] * 2
    assert search(database, SearchQuery("ostrich", what="prompt")).count == 0


def test_a_snippet_is_the_part_around_the_hit(database: Path) -> None:
    (hit,) = search(database, SearchQuery('"well known" tal*', job_id=JOB, what="reply")).hits
    assert ("well-known", True) in hit.pieces
    assert ("tale", True) in hit.pieces
    assert sum(len(text) for text, _ in hit.pieces) < len(LONG) / 2


@pytest.mark.parametrize(
    ("typed", "expression"),
    [
        ("fox heron", '"fox" AND "heron"'),
        ('"the fox" her*', '"the fox" AND "her" *'),
        ("fox -heron -owl", '("fox") NOT ("heron" OR "owl")'),
        ("well-known", '"well-known"'),
        ('un"balanced OR (', '"un balanced" AND "OR"'),
        ("NEAR(a) text:b ^c", '"NEAR(a)" AND "text:b" AND "^c"'),
        ("-heron", None),
        ('!! "" * -', None),
        ("", None),
    ],
)
def test_what_is_typed_becomes_quoted_terms(typed: str, expression: str | None) -> None:
    assert match_expression(typed) == expression


@given(st.text(alphabet=st.sampled_from('ab "*-()^:+\0\x01\x02é中'), max_size=30) | st.text())
def test_no_input_is_a_syntax_error(typed: str) -> None:
    expression = match_expression(typed)
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(f"CREATE VIRTUAL TABLE t USING fts5(text, tokenize='{TOKENIZER}')")
        memory.execute("INSERT INTO t VALUES (?)", (spaced(plain_text(typed)),))
        if expression is not None:
            memory.execute("SELECT * FROM t WHERE t MATCH ?", (expression,)).fetchall()


FILLER = "far away words that nobody looks for here at all " * 8


@pytest.mark.parametrize(
    ("text", "asked", "shown"),
    [
        ("a [secret API_KEY] b", "secret", "a [[secret API_KEY]] b"),
        ("a [secret API_KEY] b", "key", "a [[secret API_KEY]] b"),
        ("a [secret API_KEY] b", "api key", "a [[secret API_KEY]] b"),
        ("a [secret API_KEY] b", '"a secret"', "[a [secret API_KEY]] b"),
        ("a [secret API_KEY] b", '"key b"', "a [[secret API_KEY] b]"),
        ("a [secret API_KEY] b", '"a secret api key b"', "[a [secret API_KEY] b]"),
        ("a [secret other thing] b", "secret", "a [[secret] other thing] b"),
        ("a [secret ONE] and [secret TWO]", "two", "a [secret ONE] and [[secret TWO]]"),
    ],
)
def test_the_label_of_a_secret_is_marked_as_a_whole(
    text: str, asked: str, shown: str, tmp_path: Path
) -> None:
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a")).start("a").succeed("a", text))
    (line,) = marked(search(tmp_path / "runs.db", SearchQuery(asked, what="output"))).splitlines()
    assert line == shown


@pytest.mark.parametrize("words", range(12))
def test_the_label_of_a_secret_is_not_cut_at_the_ends_of_a_snippet(
    words: int, tmp_path: Path
) -> None:
    near = " ".join(["x"] * words)
    label = "[secret LONG_NAME_OF_IT]"
    text = (
        f"{FILLER}{label} {near} " + "y " * (40 - words) + f"needle {near} {label}{label} {FILLER}"
    )
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a")).start("a").succeed("a", text))
    shown = marked(search(tmp_path / "runs.db", SearchQuery("needle", what="output")))
    assert "needle" in shown
    assert not any(
        piece in shown.replace(label, "") for piece in ("secret", "LONG", "NAME_", "OF_IT", "[s")
    )


def test_the_label_of_a_secret_is_not_cut_in_a_long_piece() -> None:
    label = "[secret LONG_NAME_OF_IT]"
    for before in range(90, 130):
        text = f"{'x' * before}{label}{'y' * 100}{label}{'z' * before}"
        for snippet in (None, text):
            pieces = "".join(piece for piece, _ in pieces_of(snippet, text))
            assert "LONG" not in pieces.replace(label, "")
    long = "x" * 590 + label
    assert "".join(piece for piece, _ in pieces_of(None, long)).endswith(label)


def test_a_word_within_unspaced_script_is_found_and_shown_as_it_was(tmp_path: Path) -> None:
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a")).start("a").succeed("a", "東京の天気は晴れ"))
    found = search(tmp_path / "runs.db", SearchQuery("天気"))
    assert marked(found) == "東京の[天気]は晴れ"


def test_reserved_characters_in_a_text_have_no_effect(tmp_path: Path) -> None:
    hostile = "\x02<b>fox\x03\x01\x00 \ud800 and a fox"
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a")).start("a").fail("a", message=hostile.replace("\ud800", "")))
    found = search(tmp_path / "runs.db", SearchQuery("and"))
    assert [is_hit for hit in found.hits for _, is_hit in hit.pieces] == [False, True, False]
    assert not set("\0\x01\x02\x03") & set(marked(found))
    assert plain_text(hostile).encode()


def test_a_very_long_word_is_shown_shortened(tmp_path: Path) -> None:
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("a")).start("a").succeed("a", "fox " + "x" * 100_000))
    assert len(marked(search(tmp_path / "runs.db", SearchQuery("fox")))) < 600


def test_a_later_call_of_an_attempt_is_found_by_what_is_new_in_it(tmp_path: Path) -> None:
    from orc.projections.search.texts import _asked

    said = [
        {"role": "user", "content": "question"},
        {"role": "assistant", "content": "", "tool_calls": []},
        {"role": "tool", "content": "told"},
        {"role": "user", "content": [{"type": "text", "text": "mend it"}]},
    ]
    assert _asked({"system": "be kind", "messages": said[:1]}, first=True) == "be kind\n\nquestion"
    assert _asked({"system": "be kind", "messages": said}, first=False) == "mend it"


def test_hits_come_newest_first_or_best_first_and_by_the_page(tmp_path: Path) -> None:
    story = begun(*(step(f"s{number}") for number in range(30)))
    for number in range(30):
        story.start(f"s{number}").succeed(
            f"s{number}", "fox " * (1 + number % 29) + "of many words"
        )
    with open_in(tmp_path) as ledger:
        write(ledger, story)
    database = tmp_path / "runs.db"
    first, second = (search(database, SearchQuery("fox", page=page)) for page in (1, 2))
    assert [hit.step for hit in (*first.hits, *second.hits)] == [f"s{n}" for n in range(29, -1, -1)]
    assert (first.count, first.pages, len(first.hits)) == (30, 2, PAGE_HITS)
    assert search(database, SearchQuery("fox", best_first=True)).hits[0].step == "s28"
    assert search(database, SearchQuery("fox", page=9)).hits == ()


def test_the_index_follows_the_ledger(database: Path) -> None:
    assert search(database, SearchQuery("pelican")).count == 0
    with open_in(database.parent) as ledger:
        write(
            ledger,
            begun(step("a"), job_id=JobId("job_000000000003"))
            .start("a")
            .fail("a", message="pelican"),
        )
        assert search(database, SearchQuery("pelican")).count == 1
    assert search(database, SearchQuery("heron")).count == 4, "and nothing twice"


def test_a_search_indexes_for_a_while_and_says_how_far_it_is(database: Path) -> None:
    seen: list[int] = []
    while not (found := search(database, SearchQuery("fox"), index_s=0)).is_complete:
        seen.append(found.indexed)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert found.count == search(database, SearchQuery("fox")).count == 4


def test_one_process_indexes_and_the_others_search_what_is_there(database: Path) -> None:
    search(database, SearchQuery("fox"), index_s=0)
    lock = FileLock(locks_dir(database) / "search")
    assert lock.try_acquire()
    found = search(database, SearchQuery("fox"))
    assert not found.is_complete
    lock.release()
    assert search(database, SearchQuery("fox")).is_complete


def test_only_the_owner_can_read_the_index_and_it_has_no_texts(database: Path) -> None:
    search(database, SearchQuery("fox"))
    assert stat.S_IMODE(os.stat(index_path(database)).st_mode) == 0o600
    assert b"ostrich stumbled" not in index_path(database).read_bytes()


def test_a_deleted_index_is_made_again(database: Path) -> None:
    before = search(database, SearchQuery("fox"))
    remove_index(database)
    assert not index_path(database).exists()
    assert search(database, SearchQuery("fox")) == before


def test_the_index_of_another_ledger_is_made_again(database: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with open_in(other) as ledger:
        write(ledger, begun(step("a")).start("a").fail("a", message="a pelican"))
    search(database, SearchQuery("fox"))
    index_path(database).rename(index_path(other / "runs.db"))
    assert search(other / "runs.db", SearchQuery("fox")).count == 0
    assert search(other / "runs.db", SearchQuery("pelican")).count == 1


def test_a_ledger_that_was_restored_to_an_earlier_state_is_indexed_again(tmp_path: Path) -> None:
    story, database = told(), tmp_path / "runs.db"
    with open_in(tmp_path) as ledger:
        write(ledger, story)
    assert search(database, SearchQuery("ostrich")).count == 1
    database.unlink()
    with open_in(tmp_path) as ledger:
        write(ledger, story, batches=[story.stream[:-1]])
    assert search(database, SearchQuery("ostrich")).count == 0


@pytest.mark.parametrize("where", [100, 4096 + 8, 20_000])
def test_a_damaged_index_is_made_again(where: int, database: Path) -> None:
    before = search(database, SearchQuery("fox"))
    with index_path(database).open("r+b") as file:
        file.seek(where)
        file.write(b"\xa5" * 4096)
    assert search(database, SearchQuery("fox")) == before


def test_another_version_of_the_index_is_made_again(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = search(database, SearchQuery("fox"))
    monkeypatch.setattr(search_index, "VERSION", 99)
    assert search(database, SearchQuery("fox")) == before
    with open_index(database) as index:
        assert index._about()["version"] == "99"


@pytest.mark.parametrize("made", ["folder", "text", "database", "link"])
def test_another_file_is_left_alone_and_the_index_is_in_memory(made: str, database: Path) -> None:
    path = index_path(database)
    if made == "folder":
        path.mkdir()
    elif made == "text":
        path.write_text("notes of mine")
    elif made == "link":
        path.symlink_to(database.with_name("elsewhere"))
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE mine (id INTEGER)")
    found = search(database, SearchQuery("fox"))
    assert (found.count, found.is_kept) == (4, False)
    assert search(database, SearchQuery("fox")) == found, "and not indexed twice"
    remove_index(database)
    assert path.exists() or path.is_symlink()
    assert not database.with_name("elsewhere").exists()


def test_removed_texts_are_not_in_the_index(database: Path) -> None:
    assert search(database, SearchQuery("heron", job_id=JOB)).count == 2
    old = index_path(database).read_bytes()
    with open_in(database.parent) as ledger:
        blobs = blobs_of_job(ledger.connection, JOB)
        assert digest_bytes(LONG.encode()) in blobs
        removed = dict.fromkeys((str(JOB), str(OTHER)), blobs)
        remove_blobs(ledger, removed, cause="redact", at="2026-01-02T03:04:05.000006Z")
    # As after a crash: removed from the ledger, and not yet from the index.
    index_path(database).write_bytes(old)
    found = search(database, SearchQuery("heron"))
    assert (found.count, found.is_complete) == (0, True)
    assert search(database, SearchQuery("ostrich")).count == 2
    assert search(database, SearchQuery("heron"), index_s=0).is_complete, "made anew once"


def test_the_last_removal_is_found_without_reading_all_events(database: Path) -> None:
    with open_in(database.parent) as ledger, open_index(database) as index:
        index.follow(ledger, within_s=60)
        plans: list[str] = []
        ledger.connection.set_trace_callback(plans.append)
        index.follow(ledger, within_s=60)
        ledger.connection.set_trace_callback(None)
        asked = [query for query in plans if "blob.removed" in query]
        assert asked
        for query in asked:
            plan = ledger.connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            assert "USING INDEX events_blob_removed" in plan[0][-1]


def test_a_text_that_was_removed_after_indexing_is_not_shown(database: Path) -> None:
    with open_index(database) as index:
        search(database, SearchQuery("fox"))
        with open_in(database.parent) as ledger:
            blobs = blobs_of_job(ledger.connection, JOB)
            removed = dict.fromkeys((str(JOB), str(OTHER)), blobs)
            remove_blobs(ledger, removed, cause="prune", at="2026-01-02T03:04:05.000006Z")
        lock = index._lock
        assert lock.try_acquire()
        found = search(database, SearchQuery("heron"))
        lock.release()
    assert found.count == 4
    assert {hit.pieces for hit in found.hits} == {()}
    assert all("removed by orc prune" in (hit.lost or "") for hit in found.hits)


def test_a_search_works_while_a_process_runs_the_job(database: Path) -> None:
    lock = OwnerLock(database, OTHER)
    lock.acquire()
    assert search(database, SearchQuery("fox")).count == 4
    lock.release()


def test_a_disk_without_space_for_the_index_is_told_wherever_it_ends(database: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits file sizes with setrlimit")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    told: list[str] = []
    for bytes_max in range(1_000, 50_000, 1_000):
        remove_index(database)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
        try:
            search(database, SearchQuery("heron"))
        except StorageError as error:
            told.append(str(error))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(told) > 20
    assert {message for message in told if "the disk" not in message} == set()
    assert search(database, SearchQuery("heron", job_id=JOB)).count == 2
