"""The routes of the pages that the plugin adds to Datasette, and their HTTP methods.

The pages themselves are in `projections/pages`. They exist only for ledgers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from datasette.utils import tilde_decode
from datasette.utils.asgi import NotFound, Response

from orc.ledger.command_lines import quoted_command
from orc.projections.pages.actions import PageActions, actions_of
from orc.projections.pages.decisions import are_decisions_allowed
from orc.projections.pages.routes import PAGES
from orc.projections.pages.views import Page, answer, static

_IsLedger = Callable[[Any, str], bool]
_Shown = Callable[[Any, Any, str], Awaitable[Any]]

_READS = ("GET", "HEAD")


def routes(datasette: Any, is_ledger: _IsLedger) -> list[tuple[str, Callable[..., Any]]]:
    """The routes for the hook `register_routes`. Only the pages with forms of a person take POST."""
    found: list[tuple[str, Callable[..., Any]]] = [
        (r"^/-/orc-static/[^/]+/(?P<name>[^/]+)$", static)
    ]
    for address, page in PAGES:
        found.append((rf"^/-/orc/(?P<database>[^/]+){address}/?$", _for_ledger(page, is_ledger)))
    for address, shown in _BY_PERSONS:
        by_person = _checked(shown, is_ledger, _READS if shown is _specs else (*_READS, "POST"))
        found.insert(0, (rf"^/-/orc/(?P<database>[^/]+)/{address}/?$", by_person))
    home = _home(PAGES[0][1], is_ledger)
    return [(r"^/$", home), *found]


def _for_ledger(page: Page, is_ledger: _IsLedger) -> Callable[..., Any]:
    async def shown(request: Any, datasette: Any, name: str) -> Any:
        return await answer(page, request, datasette, name)

    return _checked(shown, is_ledger, _READS)


async def _decide(request: Any, datasette: Any, name: str) -> Any:
    _require_permission(datasette)
    # Imported late: it loads pydantic, for which Datasette's start need not wait.
    from orc.projections.pages.decide import decide_page

    return await decide_page(request, datasette, name)


async def _score(request: Any, datasette: Any, name: str) -> Any:
    _require_permission(datasette)
    from orc.projections.pages.score import score_page

    return await score_page(request, datasette, name)


def _require_actions(datasette: Any) -> PageActions:
    actions = actions_of(datasette)
    if actions is None:
        raise NotFound(
            f"actions are not allowed here: start {quoted_command('browse', '--allow-actions')}"
        )
    return actions


def _require_specs(datasette: Any) -> PageActions:
    actions = _require_actions(datasette)
    if not actions.has_specs:
        raise NotFound(
            "there is no folder of specs: start "
            f"{quoted_command('browse', '--allow-actions', '--specs', 'DIR')}"
        )
    return actions


async def _act(request: Any, datasette: Any, name: str) -> Any:
    actions = _require_actions(datasette)
    from orc.projections.pages.acting.act import act_page

    return await act_page(request, datasette, name, actions)


async def _specs(request: Any, datasette: Any, name: str) -> Any:
    actions = _require_specs(datasette)
    from orc.projections.pages.acting.specs import specs_page

    return await specs_page(request, datasette, name, actions)


async def _spec(request: Any, datasette: Any, name: str) -> Any:
    actions = _require_specs(datasette)
    from orc.projections.pages.acting.specs import spec_page

    return await spec_page(request, datasette, name, actions)


_BY_PERSONS: tuple[tuple[str, _Shown], ...] = (
    ("decide/(?P<job>[^/]+)", _decide),
    ("score/(?P<job>[^/]+)", _score),
    ("act/(?P<job>[^/]+)", _act),
    ("specs/(?P<spec>[^/]+)", _spec),
    ("specs", _specs),
)
"""The paths after `/-/orc/<ledger>/` of the pages with forms of a person."""


def _require_permission(datasette: Any) -> None:
    if not are_decisions_allowed(datasette):
        raise NotFound(
            "decisions and scores are not allowed here: start "
            f"{quoted_command('browse', '--allow-decisions')}"
        )


def _checked(shown: _Shown, is_ledger: _IsLedger, methods: tuple[str, ...]) -> Callable[..., Any]:
    async def answered(request: Any, datasette: Any) -> Any:
        if request.method not in methods:
            return Response.text("not allowed\n", status=405, headers={"allow": ", ".join(methods)})
        try:
            name = datasette.get_database(route=tilde_decode(request.url_vars["database"])).name
        except KeyError:
            raise NotFound("there is no such database") from None
        if not is_ledger(datasette, name):
            raise NotFound("the database is not a ledger of orc")
        return await shown(request, datasette, name)

    return answered


def _home(page: Page, is_ledger: _IsLedger) -> Callable[..., Any]:
    """The page of jobs if there is one database and it is a ledger; else Datasette's own page."""

    async def answered(request: Any, datasette: Any, send: Any) -> Any:
        names = [name for name in datasette.databases if not name.startswith("_")]
        if len(names) == 1 and is_ledger(datasette, names[0]) and request.method in _READS:
            return await answer(page, request, datasette, names[0])
        from datasette.views.index import IndexView

        request.scope["url_route"]["kwargs"]["format"] = None
        return await IndexView.as_view(datasette)(request, send)

    return answered
