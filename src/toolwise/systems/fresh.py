"""A tiny model from scratch: a tokenizer trained on the run's data, and fresh weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from toolwise.core import Message, seed_for
from toolwise.systems.recipe import FreshModel

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

CHAT_TEMPLATE = """\
{%- set opening = '' %}
{%- if messages and messages[0].role == 'system' %}{% set opening = messages[0].content or '' %}{% endif %}
{%- if tools or opening %}{{ '<|im_start|>system\\n' + opening }}
{%- if tools %}
{%- if opening %}{{ '\\n\\n' }}{% endif %}
{{- 'These tools can be called:\\n' }}
{%- for tool in tools %}{{ tool | tojson + '\\n' }}{% endfor %}
{{- 'Write a call as <tool_call>\\n{"name": ..., "arguments": {...}}\\n</tool_call>' }}
{%- endif %}{{ '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if not (loop.first and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.reasoning_content %}
{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}
{%- endif %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}
{%- if message.content or not loop.first %}{{ '\\n' }}{% endif %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson + '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
"""ChatML with tools in the system message and each result in a message of its own."""


def fresh_model(config: FreshModel, texts: Iterable[str], seed: int) -> tuple[Any, Any]:
    """Train a tokenizer and make a model of random weights for it.

    Args:
        config: Its size.
        texts: What the tokenizer is trained on; any other text still encodes, byte by byte.
        seed: Decides the weights.

    Returns:
        Model and tokenizer.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer(config, texts)
    torch.manual_seed(seed_for(seed, "fresh model"))
    shape = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=3 * config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        head_dim=config.hidden_size // config.heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        # The usual 0.02 is made for a width of about a thousand; narrow models learn to copy later from it.
        initializer_range=0.02 * max(1.0, 1024 / config.hidden_size) ** 0.5,
        attn_implementation="sdpa",
    )
    model = Qwen3ForCausalLM(shape)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def conversation_texts(
    messages: Sequence[Message], tools: Sequence[str | Mapping[str, Any]] = (), answer: Any = None
) -> Iterator[str]:
    """The texts of a conversation that a tokenizer should know."""
    for message in messages:
        for key in ("content", "reasoning_content"):
            if message.get(key):
                yield str(message[key])
        for call in message.get("tool_calls") or ():
            yield json.dumps(call.get("function", call), ensure_ascii=False)
    for tool in tools:
        yield tool if isinstance(tool, str) else json.dumps(dict(tool), ensure_ascii=False)
    if isinstance(answer, str):
        yield answer


def _tokenizer(config: FreshModel, texts: Iterable[str]) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # Digits stand alone, so that numbers are spelt alike wherever they occur.
    digits = pre_tokenizers.Split(Regex(r"\p{N}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary - len(config.tags),
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    # Words of the template itself, often enough to be merged.
    own = ["system", "user", "assistant", "tool", "These tools can be called:", "Write a call as"] * 2
    tokenizer.train_from_iterator([*own, *texts], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in config.tags])
    fast.chat_template = CHAT_TEMPLATE
    return fast
