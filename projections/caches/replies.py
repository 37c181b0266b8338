"""The reply cache: finds the recorded reply to an equal request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orc.ledger import LedgerReader
from orc.ledger.definition import CacheScope
from orc.ledger.errors import RemovedBlob
from orc.ledger.events import CallRef, LlmRequested, LlmResponded
from orc.ledger.transport.imported import UNTRUSTED_JOBS
from orc.ledger.values import CachedReply

_ANSWERED = (
    "SELECT job_id, reply_version FROM llm_calls WHERE request_sha256 = ? AND status = 'answered' "
    "AND NOT rejected AND endpoint IS ? AND identity IS ? AND (? OR job_id = ?) "
    f"AND job_id NOT IN ({UNTRUSTED_JOBS}) ORDER BY llm_calls.rowid DESC LIMIT 1"
)
_NEAREST = (
    "SELECT llm_calls.job_id, request_version, llm_calls.status, rejected FROM llm_calls "
    "JOIN steps USING (step_id) JOIN jobs ON jobs.job_id = llm_calls.job_id "
    "WHERE steps.name = ? AND jobs.name = (SELECT name FROM jobs WHERE job_id = ?) "
    "AND (? OR llm_calls.job_id = ?) AND request_version IS NOT NULL "
    "ORDER BY llm_calls.rowid DESC LIMIT 1"
)


class ReplyCache:
    """The reply cache of one job. Newer replies come first."""

    def __init__(self, ledger: LedgerReader, job_id: str) -> None:
        self._ledger = ledger
        self._job_id = job_id

    def find(
        self,
        request_sha256: str,
        request: Mapping[str, Any],
        *,
        step: str,
        endpoint: str,
        identity: str | None,
        scope: CacheScope,
    ) -> CachedReply | tuple[str, ...]:
        """The recorded reply to an equal request.

        Without one, the parts in which the step's last request differs; empty if there is none. A
        part that begins with "nothing" is the reason why the reply to an equal request is not used.
        """
        anywhere = scope == "ledger"
        row = self._ledger.connection.execute(
            _ANSWERED, (request_sha256, endpoint or None, identity, anywhere, self._job_id)
        ).fetchone()
        if row is not None:
            try:
                return self._reply(*row)
            except RemovedBlob:
                return ("nothing: its reply was removed from the ledger",)
        row = self._ledger.connection.execute(
            _NEAREST, (step, self._job_id, anywhere, self._job_id)
        ).fetchone()
        if row is None:
            return ()
        job_id, version, status, rejected = row
        earlier = self._ledger.read_event(job_id, version).event
        assert isinstance(earlier, LlmRequested)
        try:
            changed = list(find_changes(self._ledger.read_payload(earlier.request), request))
        except RemovedBlob:
            return ()
        changed += ["endpoint"] * (earlier.endpoint != (endpoint or None))
        changed += ["model's identity"] * (earlier.identity != identity)
        if changed:
            return tuple(changed)
        if rejected:
            return ("nothing: the step rejected its reply",)
        return (f"nothing: its call has the status {status}",)

    def _reply(self, job_id: str, version: int) -> CachedReply:
        event = self._ledger.read_event(job_id, version).event
        assert isinstance(event, LlmResponded)
        return CachedReply(
            paid_by=CallRef(job_id=job_id, step=event.step, attempt=event.attempt, call=event.call),
            version=version,
            provider=event.provider,
            model=event.model,
            reply=self._ledger.read_payload(event.reply),
            finish_reason=event.finish_reason,
            usage=event.usage,
        )


def find_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """The names of the parts that differ, for example `system`, `messages[0]`, `params.temperature`."""
    for key in sorted(set(before) | set(after)):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            names = sorted(set(old) | set(new))
            yield from (f"{key}.{name}" for name in names if old.get(name) != new.get(name))
        elif isinstance(old, list) and isinstance(new, list):
            yield from (
                f"{key}[{place}]"
                for place in range(max(len(old), len(new)))
                if old[place : place + 1] != new[place : place + 1]
            )
        else:
            yield key
