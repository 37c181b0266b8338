"""A model of mlx-lm in memory: its chat template, its samplers and its generation.

`orc.providers.mlx_store` imports mlx-lm and creates the models.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from orc.providers.contract import Tool
from orc.providers.errors import PermanentError
from orc.providers.http import safe_text
from orc.providers.mlx_text import Marks

_SAMPLING = {"temperature": "temp", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p"}
_PENALTIES = {
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_SAMPLING_OPTIONS = ("min_tokens_to_keep", "xtc_probability", "xtc_threshold")
_PENALTY_OPTIONS = (
    "repetition_context_size",
    "presence_context_size",
    "frequency_context_size",
)
_GENERATION_OPTIONS = (
    "max_kv_size",
    "prefill_step_size",
    "kv_bits",
    "kv_group_size",
    "quantized_kv_start",
)
_TEMPLATE = "chat_template_kwargs"
OPTIONS = frozenset((_TEMPLATE, *_SAMPLING_OPTIONS, *_PENALTY_OPTIONS, *_GENERATION_OPTIONS))


class Generated(Protocol):
    """The text of one token, and the counts so far; the last one has a `finish_reason`."""

    text: str
    prompt_tokens: int
    generation_tokens: int
    finish_reason: str | None


class LocalModel(Protocol):
    """A model in memory, for one thread at a time.

    `thought` and `call` are the marks around its thinking and its tool calls, if it has them.
    `context_max` is the maximum number of tokens, if it is known.
    """

    thought: Marks | None
    call: Marks | None
    context_max: int | None

    def render(
        self, messages: list[dict[str, Any]], tools: list[Any], options: Mapping[str, Any]
    ) -> list[int]:
        """The tokens of the conversation, from the model's chat template.

        Raises PermanentError (bad_request) if the template refuses the conversation.
        """

    def begins_with_thought(self, prompt: Sequence[int]) -> bool:
        """Whether the prompt ends inside a thought, so that the reply begins with one."""

    def generate(
        self,
        prompt: list[int],
        params: Mapping[str, Any],
        options: Mapping[str, Any],
        checkpoint: Callable[[], None],
    ) -> Generator[Generated, None, None]:
        """Generate a reply; `checkpoint` is called between blocks of the prompt and may raise."""

    def parse_call(self, text: str, tools: Sequence[Tool]) -> Any:
        """The tool call in the text, or a list of calls. Raises what the model's parser raises."""


class MlxModel:
    """A model of mlx-lm with its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any, config: Mapping[str, Any]) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.thought: Marks | None = None
        if tokenizer.has_thinking:
            self.thought = (tokenizer.think_start, tokenizer.think_end)
        self.call: Marks | None = None
        if tokenizer.has_tool_calling:
            self.call = (tokenizer.tool_call_start, tokenizer.tool_call_end)
        known = config.get("max_position_embeddings")
        self.context_max = known if isinstance(known, int) and known > 0 else None

    def render(
        self, messages: list[dict[str, Any]], tools: list[Any], options: Mapping[str, Any]
    ) -> list[int]:
        """See `LocalModel.render`."""
        unknown = sorted(set(options) - OPTIONS)
        if unknown:
            raise PermanentError(
                "bad_request",
                f"mlx-lm has no option {safe_text(unknown[0])!r}; it has "
                f"{', '.join(sorted(OPTIONS))}",
            )
        extra = options.get(_TEMPLATE, {})
        try:
            tokens = self._tokenizer.apply_chat_template(
                messages, tools=tools or None, add_generation_prompt=True, **extra
            )
        except Exception as error:
            # A template can raise any exception, for example for an unknown role.
            raise PermanentError(
                "bad_request",
                f"the model's chat template refuses the conversation: {safe_text(str(error))}",
            ) from error
        return list(tokens)

    def begins_with_thought(self, prompt: Sequence[int]) -> bool:
        """See `LocalModel.begins_with_thought`."""
        marks = self._tokenizer.think_start_tokens if self.thought is not None else None
        if not marks:
            return False
        end = self._tokenizer.rfind_think_end(list(prompt))
        return bool(self._tokenizer.rfind_think_start(list(prompt)) > end)

    def generate(
        self,
        prompt: list[int],
        params: Mapping[str, Any],
        options: Mapping[str, Any],
        checkpoint: Callable[[], None],
    ) -> Generator[Generated, None, None]:
        """See `LocalModel.generate`."""
        tools = import_module("mlx_lm.sample_utils")
        if params.get("seed") is not None:
            import_module("mlx.core").random.seed(params["seed"])
        sampling = _renamed(params, _SAMPLING) | _chosen(options, _SAMPLING_OPTIONS)
        penalties = _renamed(params, _PENALTIES) | _chosen(options, _PENALTY_OPTIONS)
        written: Generator[Generated, None, None] = import_module("mlx_lm").stream_generate(
            self._model,
            self._tokenizer,
            prompt,
            max_tokens=params["max_tokens"],
            sampler=tools.make_sampler(**sampling),
            logits_processors=tools.make_logits_processors(**penalties),
            prompt_progress_callback=lambda done, total: checkpoint(),
            **_chosen(options, _GENERATION_OPTIONS),
        )
        return written

    def parse_call(self, text: str, tools: Sequence[Tool]) -> Any:
        """See `LocalModel.parse_call`."""
        return self._tokenizer.tool_parser(
            text, [{"type": "function", "function": dict(tool)} for tool in tools]
        )


def _renamed(params: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {theirs: params[ours] for ours, theirs in names.items() if params.get(ours) is not None}


def _chosen(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}
