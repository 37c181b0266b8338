"""`orc search`: its results, its options, and what is refused."""

from __future__ import annotations

from pathlib import Path

from orc.ledger.digest import digest_bytes
from orc.projections.search.file import index_path
from tests.cli.command_line import orc, submit
from tests.cli.conftest import Kept

SECRET = "a-secret-of-the-owl " * 100
SPEC = f"""\
project: owls
steps:
  told: {{run: "echo {SECRET}"}}
  other: {{run: "echo the kestrel", needs: told}}
"""


def test_a_search_names_the_step_and_shows_the_hit(kept: Kept) -> None:
    said = orc("search", "reason", "--db", kept.database)
    assert said.code == 0
    first, second = said.out.splitlines()[:2]
    assert first.startswith(f"{kept.failed} broken attempt 1 log ")
    assert second.strip() == "[reason]"
    (hit,) = orc("search", "reason", "--what", "log", "--json", "--db", kept.database).json()[
        "hits"
    ]
    assert (hit["job_id"], hit["step"], hit["what"]) == (kept.failed, "broken", "log")
    assert hit["pieces"][0] == {"text": "reason", "hit": True}


def test_a_search_can_be_limited_to_a_job_and_a_number(kept: Kept) -> None:
    database = ("--db", kept.database)
    everywhere = orc("search", "one", "--json", *database).json()
    here = orc("search", "one", "--job", kept.passed, "--json", *database).json()
    assert {hit["job_id"] for hit in here["hits"]} == {kept.passed}
    assert 0 < here["count"] < everywhere["count"]
    said = orc("search", "one", "-n", "1", *database)
    assert "1 shown; -n shows more" in said.err
    assert len(said.out.splitlines()) == 2


def test_a_search_without_results_exits_with_0(kept: Kept) -> None:
    said = orc("search", "zzzz", "--db", kept.database)
    assert (said.code, said.out) == (0, "")
    assert "nothing found" in said.err


def test_a_search_without_words_or_with_an_unknown_kind_is_refused(kept: Kept) -> None:
    database = ("--db", kept.database)
    assert "give at least one word" in orc("search", *database, "--", "-only").err
    said = orc("search", "x", "--what", "repl", *database)
    assert said.code == 2
    assert "did you mean 'reply'" in said.err
    assert orc("search", "x", "--job", "job_nowhere", *database).code == 6
    assert orc("search", "x", "--db", "missing.db").code == 6


def test_a_redaction_and_a_pruning_remove_the_index(here: Path) -> None:
    job = submit(SPEC)
    index = index_path(here / "runs.db")
    assert orc("search", "owl", "--json").json()["count"] == 1
    assert index.exists()
    digest = digest_bytes(SECRET.strip().encode())
    also = orc("redact", digest, "--json").json()["also_in_blobs"]
    assert index.exists(), "nothing was removed yet"
    assert orc("redact", digest, *also, "--yes").code == 0
    assert not index.exists()
    assert orc("search", "owl", "--json").json()["count"] == 0
    assert orc("search", "kestrel", "--json").json()["count"] == 1
    assert orc("prune", "--job", job, "--yes").code == 0
    assert not index.exists()


def test_a_backup_and_a_bundle_do_not_carry_the_index(kept: Kept, here: Path) -> None:
    assert orc("search", "one", "--db", kept.database).code == 0
    assert orc("backup", "copy.db", "--db", kept.database).code == 0
    assert orc("bundle", kept.passed, "job.orc", "--db", kept.database).code == 0
    assert list(here.glob("*.search")) == []
