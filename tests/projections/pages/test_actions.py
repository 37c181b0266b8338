"""The pages with actions: which forms they have, what the forms ask for, and who may send them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasette.utils import tilde_encode

from orc.ledger.events import ApprovalRequested
from orc.ledger.files.runner_log import new_runner_log
from orc.ledger.reader import LedgerReader
from orc.projections.pages.actions import (
    ForkRequest,
    InputField,
    PageActions,
    SpecForm,
    StartRequest,
)
from orc.projections.pages.decisions import DecisionRequest, RequestRefused
from tests.builders import JOB, step
from tests.projections.pages.visits import FOREIGN, HOME, FakeActions, Visit, visit
from tests.projections.served import HOSTILE
from tests.projections.support import begun, open_in, write

ACT = f"/-/orc/runs/act/{JOB}"
JOB_PAGE = f"/-/orc/runs/{JOB}"
SPECS = "/-/orc/runs/specs"
NAME = "sub/<b>.yaml"
SPEC = f"{SPECS}/{tilde_encode(NAME)}"
FIELDS = (
    InputField("topic", "text", "string", "tea\n</textarea><b>", True, "What <i>it</i> is"),
    InputField("loud", "boolean", "boolean", "true", False),
    InputField("mood", "choice", "string", "1", False, options=("calm", "<wild>")),
    InputField("size", "number", "integer", "3", False, is_integer=True),
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A ledger of a job that waits: a step that has succeeded, one that asks, and dependents."""
    first, gate = step("first"), step("gate", kind="approval", needs="first")
    story = begun(first, gate, step("last", needs="gate")).start("first").succeed("first", "x")
    story.start("gate").record(
        ApprovalRequested(step="gate", attempt=1, message="May I?", options=("yes", "no"))
    )
    with open_in(tmp_path) as ledger:
        write(ledger, story)
    return tmp_path / "runs.db"


def sent(
    database: Path, actions: PageActions, address: str, form: dict[str, Any]
) -> tuple[int, str, str]:
    """The status, the location and the text of the answer to a form."""
    found: list[tuple[int, str, str]] = []

    async def then(visitor: Visit) -> None:
        page = await visitor.post(form)
        found.append((page.status_code, page.headers.get("location", ""), page.text))

    visit(database, address, actions, then)
    return found[0]


def seen(database: Path, actions: PageActions | None, address: str) -> str:
    found: list[str] = []

    async def then(visitor: Visit) -> None:
        found.append((await visitor.see()).text)

    visit(database, address, actions, then)
    return found[0]


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ({"action": "resume"}, ("resume", JOB)),
        ({"action": "cancel", "reason": " too dear \r\n"}, ("cancel", JOB, "too dear")),
        ({"action": "cancel", "reason": ""}, ("cancel", JOB, None)),
        ({"action": "rerun", "step": ["first", "gate"]}, ("rerun", JOB, ("first", "gate"))),
        ({"action": "rerun", "step": tilde_encode("a b")}, ("rerun", JOB, ("a b",))),
    ],
)
def test_a_form_asks_for_its_action_and_leads_to_the_job(
    form: dict[str, Any], asked: object, database: Path
) -> None:
    actions = FakeActions()
    assert sent(database, actions, ACT, form)[:2] == (303, JOB_PAGE)
    assert actions.asked == [asked]


def test_the_form_of_a_fork_sends_the_texts_of_its_fields(database: Path) -> None:
    actions = FakeActions(fields=FIELDS)
    form = {"action": "fork", "step": "gate", "sets": "a=1\r\n\r\n b=2 ", "once": "o"}
    fields = {"in.topic": "a\r\nb", "in.loud": ["false", "true"], "in.mood": "", "in.a~20b": "x"}
    status, location, _ = sent(database, actions, ACT, {**form, **fields})
    assert (status, location) == (303, "/-/orc/runs/job_fork00000000")
    inputs = {"topic": "a\r\nb", "loud": "true", "mood": "", "a b": "x"}
    assert actions.asked == [ForkRequest(JOB, "gate", ("a=1", "b=2"), inputs, "o")]


def test_the_form_of_a_spec_starts_it(database: Path) -> None:
    actions = FakeActions(specs=[SpecForm(NAME, "text", FIELDS)])
    form = {"in.topic": "x", "provider": " replay ", "once": "o"}
    assert sent(database, actions, SPEC, form)[:2] == (303, "/-/orc/runs/job_new000000000")
    assert actions.asked == [StartRequest(NAME, {"topic": "x"}, "replay", "o")]
    assert f'href="{SPEC}"' in seen(database, actions, SPECS)


@pytest.mark.parametrize("post", [post for _, post in FOREIGN], ids=[name for name, _ in FOREIGN])
@pytest.mark.parametrize("address", [ACT, SPEC])
def test_a_form_of_another_origin_does_nothing(
    post: dict[str, Any], address: str, database: Path
) -> None:
    actions = FakeActions(specs=[SpecForm(NAME, "text", ())])

    async def then(visitor: Visit) -> None:
        answer = await visitor.post({"action": "resume"}, **post)
        assert answer.status_code == 403

    visit(database, address, actions, then)
    assert actions.asked == []


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({}, 400, "reload the page"),
        ({"action": "<b>"}, 400, "reload the page"),
        ({"action": "rerun"}, 400, "choose a step"),
        ({"action": "fork", "sets": "a=1\n" * 200}, 400, "at most 100 changes"),
        ({f"in.{number}": "x" for number in range(3000)}, 413, "too many fields"),
        ({"action": "resume", "reason": "x" * 100_000}, 413, "too long"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(
    form: dict[str, Any], status: int, said: str, database: Path
) -> None:
    actions = FakeActions()
    found = sent(database, actions, ACT, form)
    assert (found[0], actions.asked) == (status, [])
    assert said in found[2]


def test_a_refusal_is_shown_with_the_texts_that_were_typed(database: Path) -> None:
    refusal = RequestRefused(f"no: `orc show {HOSTILE}`", status=409, lines=("a <b>", "  ^"))
    actions = FakeActions(fields=FIELDS, refusal=refusal)
    form = {"action": "fork", "in.topic": HOSTILE, "in.mood": "0", "sets": HOSTILE}
    status, _, text = sent(database, actions, ACT, form)
    assert status == 409
    assert "<code>orc show &lt;script&gt;" in text
    assert "a &lt;b&gt;\n  ^</pre>" in text
    assert text.count("&lt;script&gt;alert(&#39;owned&#39;)") == 3
    assert '<option value="0" selected>calm</option>' in text
    assert "<script>alert" not in text


def test_a_refused_form_has_each_text_as_it_was_typed(database: Path) -> None:
    actions = FakeActions(fields=FIELDS, refusal=RequestRefused("no", status=409))
    typed = "one\r\ntwo \u200d\u202e \x1b"
    form = {"action": "fork", "in.topic": typed, "sets": typed}
    _, _, text = sent(database, actions, ACT, form)
    assert text.count("\none\ntwo &#8205;&#8238; \\x1b</textarea>") == 2


def test_fields_have_the_types_and_the_values_of_the_inputs(database: Path) -> None:
    text = seen(database, FakeActions(specs=[SpecForm(NAME, "<u>", FIELDS)]), SPEC)
    assert "\ntea\n&lt;/textarea&gt;&lt;b&gt;</textarea>" in text
    assert "What &lt;i&gt;it&lt;/i&gt; is" in text
    assert 'name="in.loud" value="true" checked>' in text
    assert '<option value="1" selected>&lt;wild&gt;</option>' in text
    assert 'type="number" id="in-4" name="in.size" value="3" step="1">' in text


def test_an_invalid_spec_shows_its_problems_and_no_form(database: Path) -> None:
    lines = ("a.yaml:3:1: unknown key <x>", "    3 | <x>: 1", "      | ^")
    text = seen(database, FakeActions(specs=[SpecForm(NAME, "", (), lines)]), SPEC)
    assert "    3 | &lt;x&gt;: 1\n      | ^</pre>" in text
    assert "<form action" not in text.partition("<main")[2]


def test_without_permission_there_are_commands_and_no_forms(database: Path) -> None:
    text = seen(database, None, JOB_PAGE)
    assert f"orc rerun {JOB} STEP" in text
    assert 'method="post"' not in text

    async def then(visitor: Visit) -> None:
        for address in (ACT, SPECS, SPEC):
            assert (await visitor.client.get(address)).status_code == 404
            answer = await visitor.client.post(address, headers=HOME, data={"action": "resume"})
            assert answer.status_code in (404, 405)

    visit(database, JOB_PAGE, None, then)


def test_the_page_of_a_job_has_the_buttons_that_its_state_allows(database: Path) -> None:
    text = seen(database, FakeActions(), JOB_PAGE)
    # The story has not ended its owner's run: no process has it, so it was interrupted.
    assert '<button name="action" value="resume">' in text
    assert f"{ACT}?do=cancel#cancel" in text
    assert f'{ACT}?do=rerun&amp;step=gate#rerun">Run this step again' in seen(
        database, FakeActions(), f"{JOB_PAGE}/step/gate"
    )
    page = seen(database, FakeActions(), ACT)
    assert 'value="first"> first <span class="note">and gate, last</span>' in page
    assert "do=cancel" not in seen(database, FakeActions(), f"{JOB_PAGE}?at=1")


def test_a_decision_can_continue_the_job(database: Path) -> None:
    actions = FakeActions()
    address = f"/-/orc/runs/decide/{JOB}"

    async def then(visitor: Visit) -> None:
        form = {"step": "gate", "option": "yes"}
        done = await visitor.post({**form, "continue": "yes"})
        assert (done.status_code, done.headers["location"]) == (303, JOB_PAGE)
        done = await visitor.post(form)
        assert done.headers["location"] == f"{address}?decided=gate"

    asked = [DecisionRequest(JOB, "gate", "yes", None)] * 2
    assert visit(database, address, actions, then) == asked
    assert actions.asked == [("resume", JOB)]


def note_runner(database: Path, printed: str, *, version: int) -> Any:
    log = new_runner_log(
        database, JOB, command=["orc"], version=version, started_at="2026-01-02T03:04:05.000000Z"
    )
    assert log is not None
    log.write(printed)
    return log


def head(database: Path) -> int:
    with LedgerReader.open(database) as reader:
        return reader.head(JOB).version


def test_the_page_shows_the_runner_and_what_it_printed(database: Path) -> None:
    log = note_runner(database, HOSTILE + "\x1b[2J", version=head(database))
    text = seen(database, FakeActions(), JOB_PAGE)
    assert "is starting to run the job, since" in text
    assert 'value="resume"' not in text
    log.close()
    text = seen(database, FakeActions(), JOB_PAGE)
    assert "did not run the job" in text
    assert "&lt;script&gt;alert(&#39;owned&#39;)" in text
    assert "\\x1b[2J" in text
    assert 'value="resume"' in text
    note_runner(database, "later", version=1).close()
    assert "What the last process in the background printed" in seen(
        database, FakeActions(), JOB_PAGE
    )
    assert "printed" not in seen(database, None, JOB_PAGE)
