"""The addresses of the pages: none in an exported page, and those of the server in Datasette."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from datasette.utils import tilde_encode


class Links:
    """The addresses of a ledger's pages. An empty address means no link; all are empty here."""

    name = ""

    def home(self, **query: str | None) -> str:
        """The page of all jobs, with filters for the values that are not None."""
        return ""

    def job(self, job_id: str, *, at: int | None = None) -> str:
        """A job, in its current state or in the state after its event `at`."""
        return ""

    def step(self, job_id: str, step: str) -> str:
        """A step of a job."""
        return ""

    def items(self, job_id: str, step: str, **query: str | None) -> str:
        """A step of a job, with a part of the table of the steps inside it."""
        return ""

    def events(self, job_id: str, **query: str | None) -> str:
        """The events of a job."""
        return ""

    def results(self, job_id: str, **query: str | None) -> str:
        """The scores of a job as a grid."""
        return ""

    def compare(self, *jobs: str, **query: str | None) -> str:
        """The comparison of jobs; without any, the address for a form."""
        return ""

    def charts(self, project: str) -> str:
        """The charts of a project over its jobs."""
        return ""

    def chart(self, name: str, project: str) -> str:
        """The download of one of these charts: `cost.svg`, `cost.csv`."""
        return ""

    def file(self, job_id: str, path: str) -> str:
        """A file of a job, with its origin."""
        return ""

    def raw(self, job_id: str, path: str) -> str:
        """The download of a file."""
        return ""

    def preview(self, job_id: str, path: str) -> str:
        """The bytes of an image or a document, for a browser to show."""
        return ""

    def file_part(self, job_id: str, path: str, **query: str | None) -> str:
        """A file, with a part of its table, or as source."""
        return ""

    def blob(self, digest: str) -> str:
        """A blob's row, with its whole content."""
        return ""

    def table(self, name: str, **query: str) -> str:
        """A table of Datasette, with filters."""
        return ""

    def row(self, table: str, key: str) -> str:
        """A row of a table of Datasette."""
        return ""

    def search(self, **query: str | None) -> str:
        """The search page."""
        return ""

    def decide(self, job_id: str) -> str:
        """The page for human review of a job; empty unless decisions are allowed."""
        return ""

    def score(self, job_id: str) -> str:
        """Where a form with a person's score is sent; empty unless decisions are allowed."""
        return ""

    def act(self, job_id: str, **query: str | None) -> str:
        """The page with the actions of a job; empty unless actions are allowed."""
        return ""

    def specs(self) -> str:
        """The list of specs that may be started; empty unless there is a folder of them."""
        return ""

    def spec(self, name: str) -> str:
        """The form of one of these specs."""
        return ""


class DatasetteLinks(Links):
    """The addresses of one database in a Datasette, below its `base_url`."""

    def __init__(
        self,
        datasette: Any,
        name: str,
        *,
        can_decide: bool = False,
        can_act: bool = False,
        has_specs: bool = False,
    ) -> None:
        self.name = name
        self._can_act = can_act
        self._has_specs = has_specs
        self._urls = datasette.urls
        self._route = tilde_encode(datasette.get_database(name).route)
        self._can_decide = can_decide

    def home(self, **query: str | None) -> str:
        """See `Links`."""
        return self._ours("", query)

    def job(self, job_id: str, *, at: int | None = None) -> str:
        """See `Links`."""
        return self._ours(f"/{tilde_encode(job_id)}", {"at": None if at is None else str(at)})

    def step(self, job_id: str, step: str) -> str:
        """See `Links`."""
        return self.items(job_id, step)

    def items(self, job_id: str, step: str, **query: str | None) -> str:
        """See `Links`."""
        return self._ours(f"/{tilde_encode(job_id)}/step/{tilde_encode(step)}", query)

    def events(self, job_id: str, **query: str | None) -> str:
        """See `Links`."""
        return self._ours(f"/{tilde_encode(job_id)}/events", query)

    def results(self, job_id: str, **query: str | None) -> str:
        """See `Links`."""
        return self._ours(f"/{tilde_encode(job_id)}/results", query)

    def compare(self, *jobs: str, **query: str | None) -> str:
        """See `Links`."""
        address = self._ours("/compare")
        given = [(name, value) for name, value in query.items() if value]
        pairs = [*(("job", job_id) for job_id in jobs), *given]
        return f"{address}?{urlencode(pairs)}" if pairs else address

    def charts(self, project: str) -> str:
        """See `Links`."""
        return self._ours("/charts", {"project": project})

    def chart(self, name: str, project: str) -> str:
        """See `Links`."""
        return self._ours(f"/charts/{name}", {"project": project})

    def file(self, job_id: str, path: str) -> str:
        """See `Links`."""
        return self._ours(f"/{tilde_encode(job_id)}/file/{tilde_encode(path)}")

    def raw(self, job_id: str, path: str) -> str:
        """See `Links`."""
        return self._ours(f"/{tilde_encode(job_id)}/raw/{tilde_encode(path)}")

    def preview(self, job_id: str, path: str) -> str:
        """See `Links`."""
        return self._ours(f"/{tilde_encode(job_id)}/preview/{tilde_encode(path)}")

    def file_part(self, job_id: str, path: str, **query: str | None) -> str:
        """See `Links`."""
        return self._ours(f"/{tilde_encode(job_id)}/file/{tilde_encode(path)}", query)

    def blob(self, digest: str) -> str:
        """See `Links`."""
        return self.row("blobs", digest)

    def table(self, name: str, **query: str) -> str:
        """See `Links`."""
        address = str(self._urls.table(self.name, name))
        return f"{address}?{urlencode(query)}" if query else address

    def row(self, table: str, key: str) -> str:
        """See `Links`."""
        return str(self._urls.row(self.name, table, tilde_encode(key)))

    def search(self, **query: str | None) -> str:
        """See `Links`."""
        return self._ours("/search", query)

    def decide(self, job_id: str) -> str:
        """See `Links`."""
        return self._ours(f"/decide/{tilde_encode(job_id)}") if self._can_decide else ""

    def score(self, job_id: str) -> str:
        """See `Links`."""
        return self._ours(f"/score/{tilde_encode(job_id)}") if self._can_decide else ""

    def act(self, job_id: str, **query: str | None) -> str:
        """See `Links`."""
        return self._ours(f"/act/{tilde_encode(job_id)}", query) if self._can_act else ""

    def specs(self) -> str:
        """See `Links`."""
        return self._ours("/specs") if self._has_specs else ""

    def spec(self, name: str) -> str:
        """See `Links`."""
        return self._ours(f"/specs/{tilde_encode(name)}") if self._has_specs else ""

    def database(self) -> str:
        """Datasette's page of the database: tables and queries."""
        return str(self._urls.database(self.name))

    def static(self, name: str, digest: str) -> str:
        """A style sheet or script; the address contains the digest of its content."""
        return str(self._urls.path(f"-/orc-static/{quote(digest)}/{quote(name)}"))

    def _ours(self, path: str, query: dict[str, str | None] | None = None) -> str:
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        address = str(self._urls.path(f"-/orc/{self._route}{path}"))
        return f"{address}?{urlencode(given)}" if given else address
