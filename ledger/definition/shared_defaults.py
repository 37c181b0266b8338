"""Empty defaults that all models of a class share.

Pydantic copies a default that has no hash for each model, which took a quarter of the time to read a
spec. Models are frozen: none of them changes its defaults.
"""

from __future__ import annotations

from typing import Any, Final

_MESSAGE = "a default that all models share cannot be changed"


class _NoEntries(dict[str, Any]):
    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError(_MESSAGE)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """That of a plain mapping, for the default in a JSON Schema."""
        return handler(dict[str, Any])


class _NoItems(list[Any]):
    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def append(self, value: Any) -> None:
        raise TypeError(_MESSAGE)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """That of a plain list, for the default in a JSON Schema."""
        return handler(list[Any])


NO_ENTRIES: Final[Any] = _NoEntries()
NO_ITEMS: Final[Any] = _NoItems()
