"""Reads the lines of result files: which request each is for, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orc.providers.batches.batch_http import BatchClient
from orc.providers.batches.contract import TakeEntry
from orc.providers.contract import Reply, Request
from orc.providers.errors import PermanentError, ProviderError
from orc.providers.http import parse_document
from orc.providers.sdk_errors import Failures

ReadEntry = Callable[[dict[str, Any], Request], Reply]
"""The reply in a line of results to the request. Raises ProviderError."""


class ResultLines:
    """Takes the lines of one batch, and passes on the first for each request.

    A line that is no JSON object, or whose custom id is unknown or was there before, is ignored.
    """

    def __init__(
        self,
        requests: Mapping[str, Request],
        take: TakeEntry,
        read: ReadEntry,
        failures: Failures,
    ) -> None:
        self._left = dict(requests)
        self._take = take
        self._read = read
        self._failures = failures

    def take(self, line: bytes) -> bool:
        """Take a line; returns whether a request has no result yet."""
        found = read_object(line)
        custom_id = found.get("custom_id")
        request = self._left.pop(custom_id, None) if isinstance(custom_id, str) else None
        if request is not None and isinstance(custom_id, str):
            self._take(custom_id, self._result(found, request))
        return bool(self._left)

    def _result(self, found: dict[str, Any], request: Request) -> Reply | ProviderError:
        try:
            return self._read(found, request)
        except ProviderError as error:
            return error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return self._failures.translate(error)


def read_object(line: bytes) -> dict[str, Any]:
    """The JSON object in a line; empty for anything else."""
    try:
        found = parse_document(line.decode("utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def first_custom_id(line: bytes) -> str | None:
    """The custom id in a line of results."""
    found = read_object(line).get("custom_id")
    return found if isinstance(found, str) else None


async def find_first_id(client: BatchClient, paths: Iterable[str]) -> str | None:
    """The custom id in the first line of the files of results; None if they are empty."""
    found: list[str | None] = []

    def take(line: bytes) -> bool:
        found.append(first_custom_id(line))
        return False

    for path in paths:
        await client.read_lines(path, take)
        if found:
            return found[0]
    return None


def check_entry(entry: bytes, bytes_max: int) -> bytes:
    """The entry, if it fits a batch. Raises PermanentError."""
    if len(entry) > bytes_max:
        raise PermanentError("bad_request", "the request is too large for a batch")
    return entry
