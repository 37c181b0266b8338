"""Parameters that are meant for one provider: those under its name in `params`."""

from __future__ import annotations

PROVIDER_SECTIONS = ("openai", "anthropic", "ollama", "mlx")


def section_of(provider: str) -> str:
    """The section that a provider reads: both of OpenAI's APIs have one."""
    return provider.partition("-")[0]
