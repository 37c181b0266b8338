"""Model APIs behind one contract. Vendor packages load when their provider is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from providers.contract import Message as Message
    from providers.contract import OnDelta as OnDelta
    from providers.contract import Provider as Provider
    from providers.contract import Reply as Reply
    from providers.contract import Request as Request
    from providers.contract import Tool as Tool
    from providers.contract import ToolCall as ToolCall
    from providers.contract import Usage as Usage
    from providers.errors import PermanentError as PermanentError
    from providers.errors import ProviderError as ProviderError
    from providers.errors import TransientError as TransientError
    from providers.registry import REGISTRY as REGISTRY
    from providers.registry import ProviderEntry as ProviderEntry
    from providers.registry import build_provider as build_provider

_HOMES = {
    "Message": "contract",
    "OnDelta": "contract",
    "PermanentError": "errors",
    "Provider": "contract",
    "ProviderEntry": "registry",
    "ProviderError": "errors",
    "REGISTRY": "registry",
    "Reply": "contract",
    "Request": "contract",
    "Tool": "contract",
    "ToolCall": "contract",
    "TransientError": "errors",
    "Usage": "contract",
    "build_provider": "registry",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
