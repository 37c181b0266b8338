"""A browser on the pages of a Datasette in this process: it keeps the cookie and fills in forms."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from datasette.app import Datasette

from orc.projections.pages.actions import (
    ForkRequest,
    InputField,
    PageActions,
    SpecFile,
    SpecForm,
    StartRequest,
    allow_actions,
)
from orc.projections.pages.decisions import (
    DecisionRequest,
    RequestRefused,
    ScoreRequest,
    allow_decisions,
)

HOME = {"origin": "http://localhost", "host": "localhost"}

FOREIGN: list[tuple[str, dict[str, Any]]] = [
    ("another site", {"headers": {**HOME, "origin": "http://evil.example"}}),
    ("another port", {"headers": {**HOME, "origin": "http://localhost:3000"}}),
    ("no origin", {"headers": {"host": "localhost"}}),
    ("a null origin", {"headers": {**HOME, "origin": "null"}}),
    ("cross-site", {"headers": {**HOME, "sec-fetch-site": "cross-site"}}),
    ("same-site", {"headers": {**HOME, "sec-fetch-site": "same-site"}}),
    ("no cookie at all", {"cookies": {}}),
    ("another cookie", {"cookies": {"other": "1"}}),
    ("an unsigned cookie", {"cookies": {"ds_csrftoken": "x"}, "csrftoken": "x"}),
    ("no token", {"csrftoken": ""}),
    ("another token", {"csrftoken": "x"}),
    (
        "a bearer token, for which Datasette checks no form token",
        {"headers": {**HOME, "authorization": "Bearer x"}, "csrftoken": ""},
    ),
]
"""Requests that no form of the server's own pages sends; all are refused with status 403."""


class Visit:
    """The page `address`, where the visitor has the token of its forms."""

    def __init__(self, client: Any, address: str) -> None:
        self.client = client
        self.address = address
        self.token = ""
        self.cookies: dict[str, str] = {}

    async def see(self, query: str = "") -> Any:
        """The page, whose token is kept."""
        page = await self.client.get(self.address + query, headers=HOME)
        found = re.search(r'name="csrftoken" value="([^"]+)"', page.text)
        self.token = found[1] if found else ""
        self.cookies = {"ds_csrftoken": page.cookies.get("ds_csrftoken", self.token)}
        return page

    async def post(
        self,
        form: dict[str, Any],
        *,
        headers: dict[str, str] = HOME,
        cookies: dict[str, str] | None = None,
        csrftoken: str | None = None,
    ) -> Any:
        """The answer to a form; a list is a field that is there several times."""
        token = self.token if csrftoken is None else csrftoken
        given = self.cookies if cookies is None else cookies
        cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in given.items())}
        return await self.client.post(
            self.address,
            data={"csrftoken": token, **form},
            headers={**headers, **(cookie if given else {})},
        )


class FakeActions(PageActions):
    """Notes what the pages ask for. `refusal` is raised by each action, if there is one."""

    has_specs = True

    def __init__(
        self,
        *,
        fields: Sequence[InputField] = (),
        specs: Sequence[SpecForm] = (),
        refusal: RequestRefused | None = None,
    ) -> None:
        self.fields = tuple(fields)
        self.specs = {spec.name: spec for spec in specs}
        self.refusal = refusal
        self.asked: list[object] = []

    def _note(self, what: object) -> None:
        self.asked.append(what)
        if self.refusal is not None:
            raise self.refusal

    def resume(self, job_id: str) -> None:
        self._note(("resume", job_id))

    def cancel(self, job_id: str, reason: str | None) -> None:
        self._note(("cancel", job_id, reason))

    def rerun(self, job_id: str, steps: tuple[str, ...]) -> None:
        self._note(("rerun", job_id, steps))

    def fork_fields(self, job_id: str) -> tuple[InputField, ...]:
        return self.fields

    def fork(self, wanted: ForkRequest) -> str:
        self._note(wanted)
        return "job_fork00000000"

    def list_specs(self) -> list[SpecFile]:
        return [SpecFile(name, name, name, len(spec.problems)) for name, spec in self.specs.items()]

    def spec_form(self, name: str) -> SpecForm:
        if name not in self.specs:
            raise RequestRefused(f"there is no spec {name!r}", status=404)
        return self.specs[name]

    def start(self, wanted: StartRequest) -> str:
        self._note(wanted)
        return "job_new000000000"


def visit(
    database: Path,
    address: str,
    actions: PageActions | None,
    then: Callable[[Visit], Awaitable[None]],
) -> list[DecisionRequest]:
    """Visit a page of a server with these actions; what was decided meanwhile."""
    decided: list[DecisionRequest] = []

    def score(wanted: ScoreRequest) -> None:
        raise AssertionError(wanted)

    async def go() -> None:
        datasette = Datasette([str(database)])
        if actions is not None:
            allow_decisions(datasette, decide=decided.append, score=score)
            allow_actions(datasette, actions)
        visitor = Visit(datasette.client, address)
        await visitor.see()
        await then(visitor)

    asyncio.run(asyncio.wait_for(go(), 30))
    return decided
