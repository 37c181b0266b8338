"""How durations, costs, counts and sizes are worded for people, and how texts are made visible.

Terminal, pages, exports, messages and logs use these functions, and no other code words
such a value. Machine outputs (`--json`, the manifest, the tables' columns) hold numbers.

- A duration: `0 ms`, `< 1 ms`, `850 ms`, `1.2 s`, `42 s`, `2 m 05 s`, `3 h 12 m`, `4 d 2 h`.
  It is rounded to the last unit that is shown before the unit is chosen, so that 59.96 s is
  `1 m 00 s`. A whole number of seconds, such as a limit of a spec, has no decimal: `5 s`. A negative
  duration (a clock was set back) is `0 ms`.
- A time of the past, in lists for people: `just now`, `14 s ago`, `3 m ago`, `5 h ago`, `2 d ago`.
  The exact time is in `--json`, and where one thing is shown in detail.
- An amount of money: `$0.0042`, `$1.23`, `$1,204.50`. Four decimals below one dollar, two from
  one dollar on; an amount below a tenth of a cent has two significant digits, `$0.000031`.
- A cost: such an amount, `free` for 0, `unknown` where no part of it is known, and
  `at least $1.23` where a part is.
- The cost of some calls: empty if none of them costs anything, known or not, so that `free` always
  means answers that cost nothing. A call that failed without a count of tokens has no cost.
- The steps of a job: how many of them have succeeded, `4 of 5 steps`, in a table `4/5`.
- A number of tokens in a table: `1,204`, and `-` where no use of tokens was reported.
- A count: `1 token`, `1,204 tokens`, `0 tokens`.
- A size: `812 B`, `3.4 KiB`, `64 MiB`; a unit is 1,024 of the one before it.

`None` is an empty text where it says that something has not ended (a duration), and `unknown`
where the value exists and is not known.

This module uses the standard library only. The pages' script words the duration of what is
still running by the same rules (`durationText` in `orc.js`); a test compares the two.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from math import floor, isfinite

UNKNOWN = "unknown"
FREE = "free"
NOT_REPORTED = "-"

_NANO_PER_USD = 1_000_000_000
_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def duration_text(seconds: float | None) -> str:
    """A duration in seconds; empty for None."""
    if seconds is None:
        return ""
    if not isfinite(seconds):
        return UNKNOWN
    # Halves are rounded up, as JavaScript does: the pages' script gives the same texts.
    seconds = max(0.0, seconds)
    milliseconds = floor(seconds * 1000 + 0.5)
    if milliseconds < 1 and seconds > 0:
        return "< 1 ms"
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    tenths = floor(seconds * 10 + 0.5)
    if tenths < 100 and seconds != floor(seconds):
        return f"{tenths // 10}.{tenths % 10} s"
    whole = floor(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    minutes = floor(seconds / 60 + 0.5)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} m"
    hours = floor(seconds / 3600 + 0.5)
    return f"{number_text(hours // 24)} d {hours % 24} h"


def ago_text(seconds: float) -> str:
    """How long ago something was, in one unit, rounded down; a clock that was set back is `just now`."""
    if not isfinite(seconds):
        return UNKNOWN
    whole = floor(seconds)
    if whole < 1:
        return "just now"
    for unit, length in (("s", 60), ("m", 60), ("h", 24)):
        if whole < length:
            return f"{whole} {unit} ago"
        whole //= length
    return f"{number_text(whole)} d ago"


def cost_text(
    known_nano_usd: int | None, calls_unpriced: int | None = None, *, brief: bool = False
) -> str:
    """A cost in US dollars, so that a part of it never looks like the whole.

    `known_nano_usd` is the sum of the known costs in nano-dollars, and `calls_unpriced` the number of
    calls that it lacks; without that number the cost is one value, and None is an unknown one. The
    brief form does not say how many calls have no price.
    """
    if calls_unpriced is None:
        calls_unpriced = int(known_nano_usd is None)
    if not calls_unpriced:
        return usd_text(known_nano_usd) if known_nano_usd else FREE
    if not known_nano_usd:
        return UNKNOWN
    if brief:
        return f"at least {usd_text(known_nano_usd)}"
    unpriced = count_text(calls_unpriced, "call with an unknown price", "calls with unknown prices")
    return f"at least {usd_text(known_nano_usd)} ({unpriced})"


def calls_cost_text(
    calls: int, known_nano_usd: int | None, calls_unpriced: int, *, brief: bool = False
) -> str:
    """The cost of this number of calls, as `cost_text`; empty if no call has a cost, known or not."""
    has_cost = calls and (calls_unpriced or known_nano_usd is not None)
    return cost_text(known_nano_usd, calls_unpriced, brief=brief) if has_cost else ""


def used_text(
    calls: int, tokens: tuple[int, int], known_nano_usd: int | None, calls_unpriced: int
) -> str:
    """What calls to models used: `2 calls, 30 tokens in, 7 out, cost $0.0012`.

    `tokens` are those of the input and of the output; two zeros mean that none were reported.
    """
    read, written = tokens
    counted = f"{count_text(read, 'token')} in, {number_text(written)} out"
    cost = calls_cost_text(calls, known_nano_usd, calls_unpriced)
    used = counted if read + written else "no tokens reported"
    return ", ".join(filter(None, (count_text(calls, "call"), used, cost and f"cost {cost}")))


def steps_text(succeeded: int, total: int, *, brief: bool = False) -> str:
    """How many of a job's steps have succeeded: `4 of 5 steps`; brief, for a table, `4/5`."""
    if brief:
        return f"{number_text(succeeded)}/{number_text(total)}"
    return f"{number_text(succeeded)} of {count_text(total, 'step')}"


def usd_text(nano_usd: int) -> str:
    """Nano-dollars as US dollars, of which 0 is `$0.00`: a limit, a price, what was saved."""
    sign = "-" if nano_usd < 0 else ""
    amount = abs(nano_usd)
    if amount == 0 or round(amount, -5) >= _NANO_PER_USD:
        return f"{sign}${_decimals(amount, 2)}"
    # Rounded to two digits first: 0.00099996 is 0.001, which needs one decimal less.
    rounded = round(amount, 2 - len(str(amount)))
    return f"{sign}${_decimals(amount, max(4, 11 - len(str(rounded))))}"


def _decimals(nano_usd: int, decimals: int) -> str:
    """Nano-dollars in dollars with this number of decimals; halves are rounded to the even digit."""
    whole, rest = divmod(round(nano_usd, decimals - 9), _NANO_PER_USD)
    # One more digit: a single nano-dollar is $0.0000000010.
    return f"{whole:,}.{f'{rest:09d}0'[:decimals]}"


def limit_text(limit: str, amount: int) -> str:
    """An amount that a budget counts, by the limit's key: `max_cost_usd`, `max_tokens`, `max_calls`.

    Money is in nano-dollars.
    """
    if limit == "max_cost_usd":
        return usd_text(amount)
    return count_text(amount, limit.removeprefix("max_").removesuffix("s"))


def count_text(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things: `1 step`, `1,204 steps`, `2 replies`."""
    return f"{number_text(number)} {noun if number == 1 else plural or _plural(noun)}"


def batch_text(status: str, requests: int, answered: int, failed: int) -> str:
    """Where a batch of requests stands: `in progress, 3 of 10 answered`."""
    if status == "submitted":
        return f"submitted, {count_text(requests, 'request')}"
    said = "in progress" if status == "accepted" else status
    failures = f", {number_text(failed)} failed" if failed else ""
    return f"{said}, {number_text(answered)} of {number_text(requests)} answered{failures}"


def decision_text(option: str, by: str | None) -> str:
    """A decision, and who made it: `approve, by ada`; without a person, `reject, by its timeout`."""
    return f"{option}, by {by or 'its timeout'}"


def number_text(number: int | None) -> str:
    """A whole number with its thousands apart: `1,204`."""
    return UNKNOWN if number is None else f"{number:,}"


def score_text(value: float | None) -> str:
    """A score, or a mean of scores, with at most four significant digits: `0.9333`."""
    return UNKNOWN if value is None else f"{value:.4g}"


def rate_text(rate: float | None) -> str:
    """A part of a whole, in percent: `93 %`; empty if there is none."""
    return "" if rate is None else f"{100 * rate:.3g} %"


def tokens_text(tokens: int) -> str:
    """A number of tokens in a table; `-` if no use of tokens was reported."""
    return number_text(tokens) if tokens else NOT_REPORTED


def size_text(size_bytes: int | None) -> str:
    """A size in bytes, in the unit that fits it; one decimal below ten, unless it is 0."""
    if size_bytes is None:
        return UNKNOWN
    if size_bytes < 1024:
        return f"{number_text(size_bytes)} B"
    for power, unit in enumerate(_SIZE_UNITS[1:], start=1):
        tenths = floor(size_bytes / 1024**power * 10 + 0.5)
        whole = floor(size_bytes / 1024**power + 0.5)
        if whole < 1024 or unit == _SIZE_UNITS[-1]:
            break
    shown = number_text(whole) if tenths >= 100 or tenths % 10 == 0 else f"{tenths / 10:.1f}"
    return f"{shown} {unit}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def key_path(path: Iterable[str | int]) -> str:
    """A place in a document: `steps.build.files[0]`; empty for the whole of it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def visible(text: str, *, kept: str = "") -> str:
    """The text with every control, format, surrogate and separator character escaped.

    Spaces and the characters in `kept` stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in kept else _escape(character)
        for character in text
    )


def field_text(text: str) -> str:
    """The text in a field of a form, which sends it back as it is shown there.

    So only controls and surrogates are escaped, which no form can send, and line ends are `\\n`.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if lines.isprintable():
        return lines
    return "".join(
        _escape(character)
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"
        else character
        for character in lines
    )


def _escape(character: str) -> str:
    if character.isascii():
        return f"\\x{ord(character):02x}"
    if unicodedata.category(character)[0] in "CZ" and character not in "\u00a0\u3000":
        return character.encode("unicode_escape").decode()
    return character
