"""The page of a step whose attempt runs shows the end of what the attempt has printed so far."""

from __future__ import annotations

from pathlib import Path

from orc.ledger import OwnerLock
from orc.projections.history.turns import TEXT_CHARS
from orc.projections.pages.growing_log import growing_size
from tests.builders import JOB, step
from tests.projections.served import Get, browse
from tests.projections.support import begun, open_in, write

PAGE = f"/-/orc/runs/{JOB}/step/talk"


def page_of(folder: Path) -> str:
    found: list[str] = []

    async def look(get: Get) -> None:
        found.append((await get(PAGE)).text)

    browse(folder / "runs.db", then=look)
    return found[0]


def test_the_log_of_a_running_attempt_is_shown_and_grows(tmp_path: Path) -> None:
    with open_in(tmp_path) as ledger:
        write(ledger, begun(step("talk")).start("talk"))
    lock = OwnerLock(tmp_path / "runs.db", JOB)
    lock.acquire()
    try:
        assert "Log so far" not in page_of(tmp_path)
        logs = tmp_path / "runs" / JOB / "logs"
        logs.mkdir(parents=True)
        log = logs / "talk.1.log"
        log.write_bytes(b"\x1b[31mone <b>\x1b[0m\n")
        page = page_of(tmp_path)
        assert "data-running><summary>Log so far</summary>" in page
        assert '<span class="l"><span class="a-f1">one &lt;b&gt;</span></span>' in page
        log.write_bytes(b"first\n" + b"x" * TEXT_CHARS + b"\nlast \xff\n")
        page = page_of(tmp_path)
        assert "this is the end of 20 KiB" in page
        assert (
            '<pre class="text lines tail" tabindex="0"><span class="l">last \ufffd</span></pre>'
            in page
        )
        log.unlink()
        log.symlink_to("/etc/hostname")
        assert growing_size(tmp_path / "runs.db", JOB, "talk", 1) == 0
        assert "Log so far" not in page_of(tmp_path)
    finally:
        lock.release()
    assert "Log so far" not in page_of(tmp_path)
