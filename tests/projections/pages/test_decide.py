"""Human review on a page: only if it is allowed, and only from a form of that page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from datasette.utils import tilde_encode

from orc.ledger.events import ApprovalRequested
from orc.projections.pages.decisions import (
    DecisionRequest,
    RequestRefused,
    ScoreRequest,
    allow_decisions,
)
from orc.projections.pages.forms import BODY_BYTES_MAX
from tests.builders import JOB, step
from tests.projections.pages.visits import FOREIGN, HOME
from tests.projections.served import HOSTILE
from tests.projections.support import begun, open_in, write

PAGE = f"/-/orc/runs/decide/{JOB}"
MESSAGE = "May <b>I</b>\nplease? \x1b[2J"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A ledger of a job with an approval step and a step without one."""
    story = begun(step("gate", kind="approval"), step("other")).start("gate", "other")
    story.record(
        ApprovalRequested(step="gate", attempt=1, message=MESSAGE, options=("yes", "<no>"))
    )
    with open_in(tmp_path) as ledger:
        write(ledger, story)
    return tmp_path / "runs.db"


class Visit:
    """A browser on the page: it keeps the cookie and fills in the form."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.token = ""

    async def see(self) -> Any:
        page = await self.client.get(PAGE, headers=HOME)
        found = re.search(r'name="csrftoken" value="([^"]+)"', page.text)
        self.token = found[1] if found else ""
        self.cookies = {"ds_csrftoken": page.cookies.get("ds_csrftoken", self.token)}
        return page

    async def post(
        self, headers: dict[str, str] = HOME, *, cookies: dict[str, str] | None = None, **form: str
    ) -> Any:
        form = {"csrftoken": self.token, "step": "gate", "option": "yes", **form}
        given = self.cookies if cookies is None else cookies
        cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in given.items())}
        return await self.client.post(
            PAGE, data=form, headers={**headers, **(cookie if given else {})}
        )


def refuse_score(wanted: ScoreRequest) -> None:
    raise AssertionError(wanted)


def visit(
    database: Path,
    then: Callable[[Visit], Awaitable[None]],
    *,
    refusal: RequestRefused | None = None,
) -> list[DecisionRequest]:
    """Visit the page with decisions allowed; return the decisions."""
    decided: list[DecisionRequest] = []

    def decide(wanted: DecisionRequest) -> None:
        decided.append(wanted)
        if refusal is not None:
            raise refusal

    async def go() -> None:
        datasette = Datasette([str(database)])
        allow_decisions(datasette, decide=decide, score=refuse_score)
        visitor = Visit(datasette.client)
        await visitor.see()
        await then(visitor)

    asyncio.run(asyncio.wait_for(go(), 30))
    return decided


def test_a_question_is_shown_with_a_button_for_each_option(database: Path) -> None:
    async def then(visitor: Visit) -> None:
        page = await visitor.see()
        assert "May &lt;b&gt;I&lt;/b&gt;\nplease? \\x1b[2J" in page.text
        assert '<button name="option" value="yes">yes</button>' in page.text
        assert f'value="{tilde_encode("<no>")}">&lt;no&gt;</button>' in page.text
        assert 'method="post"' in page.text
        assert page.headers["cache-control"] == "private, no-store"

    assert visit(database, then) == []


def test_a_form_of_the_page_decides_and_redirects_to_the_page(database: Path) -> None:
    async def then(visitor: Visit) -> None:
        done = await visitor.post(option="<no>", comment=" later \r\n")
        assert done.status_code == 303
        assert done.headers["location"] == f"{PAGE}?decided=gate"
        assert (await visitor.post()).status_code == 303

    expected = [
        DecisionRequest(JOB, "gate", "<no>", "later"),
        DecisionRequest(JOB, "gate", "yes", None),
    ]
    assert visit(database, then) == expected


@pytest.mark.parametrize("post", [post for _, post in FOREIGN], ids=[name for name, _ in FOREIGN])
def test_a_form_of_another_origin_is_refused(post: dict[str, Any], database: Path) -> None:
    async def then(visitor: Visit) -> None:
        assert (await visitor.post(**post)).status_code == 403

    assert visit(database, then) == []


def test_a_request_that_is_no_form_or_too_large_is_refused(database: Path) -> None:
    async def then(visitor: Visit) -> None:
        headers = {**HOME, "content-type": "application/json"}
        answer = await visitor.client.post(PAGE, content=b"{}", headers=headers)
        assert answer.status_code == 415
        huge = await visitor.post(comment="x" * BODY_BYTES_MAX)
        assert huge.status_code == 413
        for method in ("PUT", "DELETE", "PATCH"):
            answer = await visitor.client.request(method, PAGE, headers=HOME)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")

    assert visit(database, then) == []


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"option": "maybe"}, 400, "maybe is not an option of gate"),
        ({"option": "\x1b"}, 400, "\\x1b is not an option"),
        ({"step": "<i>"}, 404, "no step &lt;i&gt;"),
        ({"step": "other"}, 409, "other does not ask for a decision"),
    ],
)
def test_the_page_shows_why_an_impossible_decision_is_refused(
    form: dict[str, Any], status: int, said: str, database: Path
) -> None:
    async def then(visitor: Visit) -> None:
        page = await visitor.post(comment="keep <this>", **form)
        assert page.status_code == status
        assert said in page.text
        assert ("keep &lt;this&gt;</textarea>" in page.text) == ("step" not in form)

    assert visit(database, then) == []


def test_the_page_shows_a_refusal_of_the_decide_function(database: Path) -> None:
    async def then(visitor: Visit) -> None:
        page = await visitor.post()
        assert page.status_code == 409
        assert "already decided by another person &lt;b&gt;" in page.text

    refusal = RequestRefused("already decided by another person <b>", status=409)
    assert len(visit(database, then, refusal=refusal)) == 1


def test_without_permission_or_for_an_unknown_job_there_is_no_page(database: Path) -> None:
    async def go() -> None:
        client = Datasette([str(database)]).client
        assert (await client.get(PAGE)).status_code == 404
        assert (await client.post(PAGE, headers=HOME)).status_code == 404

    asyncio.run(asyncio.wait_for(go(), 30))

    async def then(visitor: Visit) -> None:
        assert (await visitor.client.get("/-/orc/runs/decide/nobody")).status_code == 404

    assert visit(database, then) == []


def test_the_files_of_the_steps_before_are_shown_in_their_forms(tmp_path: Path) -> None:
    needed = step("made")
    story = begun(needed, step("gate", kind="approval", needs="made")).start("made")
    files = {
        "demo/z.csv": f"id;text\n1;{HOSTILE}\n".encode(),
        "demo/a.md": f"# Title\n\n{HOSTILE}\n".encode(),
        "demo/<b>.txt": HOSTILE.encode(),
        "demo/large.txt": b"x" * 1_100_000,
    }
    story.succeed("made", "done", files=files).start("gate")
    story.record(
        ApprovalRequested(
            step="gate", attempt=1, message="Is z.csv right?", options=("yes", "<no>")
        )
    )
    with open_in(tmp_path) as ledger:
        write(ledger, story)

    async def then(visitor: Visit) -> None:
        page = await visitor.see()
        shown = re.findall(r'<details class="about"[^>]*><summary>(.*?)</summary>', page.text)
        assert shown[0] == "demo/z.csv"
        assert sorted(shown) == ["demo/&lt;b&gt;.txt", "demo/a.md", "demo/z.csv"]
        assert re.search(r"<h\d[^>]*>Title</h\d>", page.text)
        assert '<table class="grid">' in page.text
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "demo/large.txt</a>" in page.text

    assert visit(tmp_path / "runs.db", then) == []
