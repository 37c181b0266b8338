"""Model APIs behind one contract. A vendor's package loads when its provider is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orc.providers.catalogue import REGISTRY as REGISTRY
    from orc.providers.catalogue import ProviderEntry as ProviderEntry
    from orc.providers.contract import Embedder as Embedder
    from orc.providers.contract import Message as Message
    from orc.providers.contract import OnDelta as OnDelta
    from orc.providers.contract import Provider as Provider
    from orc.providers.contract import Reply as Reply
    from orc.providers.contract import Request as Request
    from orc.providers.contract import Tool as Tool
    from orc.providers.contract import ToolCall as ToolCall
    from orc.providers.contract import Usage as Usage
    from orc.providers.contract import Vectors as Vectors
    from orc.providers.errors import PermanentError as PermanentError
    from orc.providers.errors import ProviderError as ProviderError
    from orc.providers.errors import TransientError as TransientError
    from orc.providers.registry import build_provider as build_provider
    from orc.providers.registry import build_server as build_server

_HOMES = {
    "Embedder": "contract",
    "Message": "contract",
    "OnDelta": "contract",
    "PermanentError": "errors",
    "Provider": "contract",
    "ProviderEntry": "catalogue",
    "ProviderError": "errors",
    "REGISTRY": "catalogue",
    "Reply": "contract",
    "Request": "contract",
    "Tool": "contract",
    "ToolCall": "contract",
    "TransientError": "errors",
    "Usage": "contract",
    "Vectors": "contract",
    "build_provider": "registry",
    "build_server": "registry",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
