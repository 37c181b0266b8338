"""A folder with a random Llama of 64 dimensions: real files, real code, and nonsense for text."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

_TEMPLATE = (
    "{% for tool in tools or [] %}<tool>{{ tool['function']['name'] }}</tool>{% endfor %}"
    "{% for message in messages %}"
    "{% if message['role'] not in ('system', 'user', 'assistant', 'tool') %}"
    "{{ raise_exception('an unknown role') }}{% endif %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% for tool_call in message['tool_calls'] or [] %}"
    "<tool_call>{{ tool_call.name or tool_call.function.name }}</tool_call>{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "eos_token_id": 0,
}


def make_tiny_model(folder: Path) -> Path:
    """Write the model's files into the folder: less than a megabyte, the same each time."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _write_tokenizer(folder)
    config = {**_CONFIG, "vocab_size": vocabulary}
    (folder / "config.json").write_text(json.dumps(config))
    _write_weights(folder, config)
    return folder


def _write_tokenizer(folder: Path) -> int:
    tokenizers = import_module("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
    vocabulary = {token: index for index, token in enumerate([*special, *alphabet])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|end|>",
        "chat_template": _TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(vocabulary)


def _write_weights(folder: Path, config: dict[str, object]) -> None:
    mx = import_module("mlx.core")
    utils = import_module("mlx.utils")
    llama = import_module("mlx_lm.models.llama")
    mx.random.seed(7)
    model = llama.Model(llama.ModelArgs.from_dict(config))
    mx.save_safetensors(
        str(folder / "model.safetensors"),
        dict(utils.tree_flatten(model.parameters())),
        metadata={"format": "mlx"},
    )
