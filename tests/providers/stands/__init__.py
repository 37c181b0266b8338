"""The stand of each provider by name: it builds the provider and a server or model that plays acts.

Every contract test runs on the providers that are listed here. A stand builds the provider so that
its n-th call gets the n-th act. Stands of providers with a server use the fault server, and are
also listed in `WIRED`.
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
