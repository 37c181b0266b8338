"""Canonical JSON, compared with the standard library: hashes of stored events depend on its bytes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orc.ledger.digest import canonical_json

_FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(min_value=0, max_value=1000),
    st.sampled_from((1e-4, math.nextafter(1e-4, 0), 9.99e-5, 1e16, math.nextafter(1e16, 0), -0.0)),
)
_SCALARS = st.none() | st.booleans() | st.integers() | _FLOATS | st.text()
_VALUES = st.recursive(
    _SCALARS,
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=40,
)


def expected(value: Any) -> str:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_VALUES)
@example({"\U00010000": 1, "\uffff": 2, "a": 3})
@example({"duration_s": 0.00001, "retry_at": -1e300, "output": {"value": [1e300, -1e-7]}})
@example(['\x00\x1f\x7f\x80\u2028"\\/', 2**64, -(2**63) - 1])
def test_canonical_json_is_that_of_the_standard_library(value: Any) -> None:
    assert canonical_json(value) == expected(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_json_cannot_hold_is_refused_at_any_depth(value: float) -> None:
    for given_value in (value, [value], {"output": {"value": value}}):
        with pytest.raises(ValueError, match="Out of range"):
            canonical_json(given_value)


def test_keys_that_are_no_texts_become_the_same_as_in_the_standard_library() -> None:
    for value in ({1: "a", 2: "b"}, {"in": {True: 1}}, {None: 0}, {0.5: 1}):
        assert canonical_json(value) == expected(value)


def test_a_half_of_a_character_stays_in_the_text() -> None:
    value = {"message": "\ud800"}
    assert canonical_json(value) == expected(value)


def test_an_error_leaves_nothing_behind() -> None:
    inside: dict[str, Any] = {"value": math.nan}
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"output": inside})
    inside["value"] = 1
    assert canonical_json({"output": inside}) == expected({"output": inside})


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        canonical_json({"value": {1, 2}})
    around: list[Any] = []
    around.append(around)
    with pytest.raises(RecursionError):
        canonical_json(around)
