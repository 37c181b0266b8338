"""Many cases in one test: pytest spends milliseconds on a test, which most cases do not take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

_LISTED = 20

Test = Callable[..., None]


def each_case(names: str, cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Run the body of a test once for each case, as one test; all run, and those that fail are named.

    The names are separated by commas, and a case has a value for each of them, as for
    `pytest.mark.parametrize`. All cases get the same fixtures, so that none may change them.
    """
    every = list(cases)
    wanted = [name.strip() for name in names.split(",")]
    assert every, f"a test without cases tests nothing: {names}"

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        kept = [one for name, one in signature.parameters.items() if name not in wanted]
        assert len(kept) + len(wanted) == len(signature.parameters), f"not in its test: {names}"

        @functools.wraps(test)
        def run(*arguments: Any, **fixtures: Any) -> None:
            failed: list[tuple[Any, Exception]] = []
            for case in every:
                values = [case] if len(wanted) == 1 else case
                try:
                    test(*arguments, **fixtures, **dict(zip(wanted, values, strict=True)))
                except Exception as error:
                    failed.append((case, error))
            if failed:
                _, first = failed[0]
                shown = "".join(f"\n  {case!r}" for case, _ in failed[:_LISTED])
                first.add_note(f"{len(failed)} of {len(every)} cases failed, first this:{shown}")
                raise first

        run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return run

    return decorate
