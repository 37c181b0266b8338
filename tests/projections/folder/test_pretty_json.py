"""The indented JSON of the run folder is that of Python."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orc.projections.folder.pretty_json import render_pretty

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_keys = st.text() | st.integers() | st.booleans() | st.none()
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(), inner)
        | st.dictionaries(_keys, inner)
    ),
)


@given(_values)
def test_the_text_is_that_of_python(value: Any) -> None:
    assert render_pretty(value) == json.dumps(value, indent=2, ensure_ascii=True)
