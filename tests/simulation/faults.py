"""The faults in the lives (processes) of a simulated job, drawn from the seed before the run."""

from __future__ import annotations

from random import Random

from msgspec import Struct

_APPENDING = (
    "ledger.before_begin",
    "ledger.after_insert",
    "ledger.after_commit",
    "ledger.after_apply",
)
_CALLING = ("call.before_send", "call.after_reply")
_PUBLISHING = ("file.after_write", "file.after_fsync", "publish.before_rename", "file.after_rename")
_JUMPS_S = (-3600.0, -90.0, -1.5, 0.75, 60.0, 7200.0, 2.0**25, -(2.0**25), 2.0**28)
"""Seconds, hours, a year, and eight of them: sums that binary fractions hold exactly."""


class Blow(Struct, frozen=True):
    """A fault at a place in the code, when it is reached for the `count`-th time in a life."""

    place: str
    count: int
    deed: str
    """`die`, or the name of what the disk says."""

    def __str__(self) -> str:
        return f"{self.deed} at {self.place}@{self.count}"


class Happening(Struct, frozen=True):
    """An external event after the job has run for some time."""

    at_s: float
    what: str
    """`die`, `jump` (of the wall's clock), `cancel`, `stop`, `decide` (what is asked)."""
    jump_s: float = 0.0

    def __str__(self) -> str:
        jump = f" by {self.jump_s}" if self.what == "jump" else ""
        return f"{self.what}{jump} at {self.at_s}"


class Life(Struct, frozen=True):
    """One process of the job: its faults, and what happens before the next process starts.

    `asked`: another process cancels the job while it is not running. That process dies after it
    sent the signal (`said`), or cancels the job (`done`).
    """

    blows: tuple[Blow, ...] = ()
    happenings: tuple[Happening, ...] = ()
    idle_s: float = 0.0
    jump_s: float = 0.0
    asked: str = ""

    def __str__(self) -> str:
        told = [*map(str, self.blows), *map(str, self.happenings)]
        told += [f"then {self.asked} a signal to cancel"] if self.asked else []
        told += [f"then the clock jumps by {self.jump_s}"] if self.jump_s else []
        return ", ".join(told) or "calm"


class Faults(Struct, frozen=True):
    """The lives with faults, in order; later lives have none.

    `insists`: a failed job is resumed as long as faults are left.
    """

    lives: tuple[Life, ...]
    insists: bool = False


def random_faults(chance: Random, *, publishes: bool) -> Faults:
    """Sometimes no faults; otherwise up to five lives with up to three faults each."""
    lives = tuple(
        _life(chance, publishes=publishes) for _ in range(chance.choice((0, 1, 2, 2, 3, 5)))
    )
    return Faults(lives, insists=chance.random() < 0.5)


def _life(chance: Random, *, publishes: bool) -> Life:
    blows: list[Blow] = []
    happenings: list[Happening] = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        match chance.randint(0, 10):
            case 0 | 1 | 2 | 3:
                # Often early, so that lives end during a resume.
                count = (
                    chance.choice((1, 1, 2, 3)) if chance.random() < 0.4 else chance.randint(1, 14)
                )
                places = (*_APPENDING, *_CALLING, *(_PUBLISHING if publishes else ()))
                blows.append(Blow(chance.choice(places), count, "die"))
            case 4:
                blows.append(Blow(_disk_place(chance, publishes), chance.randint(1, 12), "ENOSPC"))
            case 5:
                blows.append(Blow(_disk_place(chance, publishes), chance.randint(1, 12), "EIO"))
            case 6:
                happenings.append(Happening(_moment(chance), "die"))
            case 7:
                # Not at 0.0, when the runner may have read the clock or not: the life before may
                # end with a jump.
                at_s = max(_moment(chance), 1 / 64)
                happenings.append(Happening(at_s, "jump", chance.choice(_JUMPS_S)))
            case 8:
                happenings.append(Happening(_moment(chance), "stop"))
            case 9:
                happenings.append(Happening(_moment(chance), "decide"))
            case _:
                at_s = _moment(chance)
                happenings.append(Happening(at_s, "cancel"))
                if chance.random() < 0.5:
                    # Between the signal and the next poll, or just after.
                    happenings.append(Happening(at_s + chance.randint(0, 20) / 64, "die"))
    return Life(
        tuple(blows),
        tuple(sorted(happenings, key=lambda happening: happening.at_s)),
        idle_s=chance.choice((0.0, 0.125, 2.0, 60.0, 3600.0)),
        jump_s=chance.choice(_JUMPS_S) if chance.random() < 0.2 else 0.0,
        asked=chance.choice(("said", "done")) if chance.random() < 0.08 else "",
    )


def _disk_place(chance: Random, publishes: bool) -> str:
    if publishes and chance.random() < 0.5:
        return chance.choice(_PUBLISHING)
    return chance.choice(_APPENDING[:3])


def _moment(chance: Random) -> float:
    """A time, more often early, since most jobs are short. In 64ths, which floats hold exactly."""
    return min(chance.randint(0, 64 * 6), chance.randint(0, 64 * 6)) / 64
