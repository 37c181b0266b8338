"""The contract between the scheduler and every API for batches: many requests now, replies later.

A batch is a set of requests that the server answers within a day, for less money. Each request has
a custom id, which the scheduler chooses and the results repeat. Nothing here retries or waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from orc.providers.contract import Reply, Request
from orc.providers.errors import PermanentError, ProviderError, TransientError

Ending = Literal["completed", "expired", "cancelled", "failed"]
"""How the server ended a batch. `failed`: it refused the whole batch after it was submitted."""

TakeEntry = Callable[[str, Reply | ProviderError], None]
"""Called with the custom id of a result, and its reply or its error."""


class BatchLimits(Struct, frozen=True):
    """The published limits of one batch."""

    requests_max: int
    bytes_max: int


class BatchState(Struct, frozen=True):
    """A batch as its server describes it; nothing in it is trusted but `server_id` and `ending`.

    `results` are what the server needs to give the results. With `ending`, the batch has ended, and
    `message` says why if it failed. Without `is_named`, the server does not say which batch of the
    sender it is; then only its results do. With `may_retry`, a failed one may be accepted later.
    """

    server_id: str
    ending: Ending | None = None
    answered: int = 0
    failed: int = 0
    total: int = 0
    message: str = ""
    results: tuple[str, ...] = ()
    is_named: bool = True
    may_retry: bool = False

    def failure(self) -> ProviderError:
        """The error of each request of a batch that the server refused after it was submitted."""
        message = f"the server refused the batch: {self.message or 'it does not say why'}"
        if self.may_retry:
            return TransientError("rate_limit", message, unsent=True)
        error = PermanentError("bad_request", message)
        error.unsent = True
        return error


class BatchApi(Protocol):
    """The batches of one model API, at one address. Each method raises ProviderError only."""

    limits: BatchLimits

    def encode(self, custom_id: str, request: Request) -> bytes:
        """The request as an entry of a batch. Raises PermanentError if the API cannot express it."""

    async def submit(self, name: str, entries: Sequence[bytes]) -> BatchState:
        """Submit the entries as one batch, under a name of the sender.

        An error with `unsent` or a refusal means that there is no batch; after any other, `find` tells.
        """

    async def look(self, server_id: str) -> BatchState:
        """The present state of a batch."""

    async def find(self, name: str, *, since: float) -> list[BatchState]:
        """The batches that may be that of this name, which was submitted after `since`.

        `since` is in seconds since 1970. A batch that surely is it has `is_named`.
        """

    async def first_id(self, state: BatchState) -> str | None:
        """The first custom id in the results of an ended batch; None without results."""

    async def read(
        self, state: BatchState, requests: Mapping[str, Request], take: TakeEntry
    ) -> None:
        """Pass each result for one of the requests to `take`, in any order, and ignore others.

        The first result for a custom id counts. A result that cannot be read is an error for its
        request. Raises ProviderError if the results end before their end.
        """

    async def cancel(self, server_id: str) -> None:
        """Ask the server to answer no more requests of the batch."""


@runtime_checkable
class Batching(Protocol):
    """A provider whose API has batches."""

    def open_batches(self) -> BatchApi:
        """The batches at the provider's address."""
