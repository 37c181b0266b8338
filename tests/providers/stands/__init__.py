"""The stand of each provider by name: it builds the provider and a server or model that plays acts.

A provider joins here, and every contract test runs on it. Its stand makes it, set up
so that its n-th call meets the n-th act. Those that speak to a server let the
fault server play the acts and are listed in `WIRED` too.
"""

from __future__ import annotations

from tests.providers.acts import Stand
from tests.providers.stands import anthropic, mlx, ollama, openai, openai_responses, replay

STANDS: dict[str, Stand] = {
    "replay": replay.stand,
    "ollama": ollama.stand,
    "anthropic": anthropic.stand,
    "openai": openai.stand,
    "openai-responses": openai_responses.stand,
    "mlx": mlx.stand,
}
WIRED = ["ollama", "anthropic", "openai", "openai-responses"]
