"""`--since`: how long ago, or from which day on. Starts fast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def parse_since(text: str | None, *, now: datetime | None = None) -> str | None:
    """The moment as UTC text that sorts like recorded times; none for none.

    `30m` and `2d` count back from `now`, by default the clock's; a day or a time is
    UTC, unless it says otherwise. Raises UsageProblem.
    """
    from orc.cli.errors import UsageProblem
    from orc.scheduler.core.durations import parse_duration

    if text is None:
        return None
    try:
        moment = (now or datetime.now(UTC)) - timedelta(seconds=parse_duration(text))
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise UsageProblem(
                f"--since {text!r} is neither a duration, such as 30m or 2d, nor a day, such as "
                "2026-11-01"
            ) from None
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    try:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (OverflowError, ValueError):
        raise UsageProblem(f"--since {text!r} is out of the calendar") from None
