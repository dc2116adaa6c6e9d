"""Real tokenizers, trained here, with chat templates in the style of published models."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

QWEN = """
{%- if messages[0].role == 'system' %}{% set system = messages[0].content %}{% else %}
{%- set system = 'Be brief.' %}{% endif %}
{{- '<|im_start|>system\\n' + system }}
{%- if tools %}
{{- '\\n\\nFunctions:\\n' }}
{%- for tool in tools %}{{- tool | tojson + '\\n' }}{% endfor %}
{{- 'Call one as <tool_call>\\n{"name": ..., "arguments": ...}\\n</tool_call>' }}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- for message in messages %}
{%- if message.role == 'user' %}{{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
{%- elif message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- THOUGHT %}
{{- message.content }}
{%- for call in message.tool_calls or [] %}
{%- if message.content or not loop.first %}{{- '\\n' }}{% endif %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson + '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}
{%- if messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{% endif %}
{{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{% endif %}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}
"""
KEEP_THOUGHT = (
    "if message.reasoning_content %}{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}"
    "{% endif"
)
# As Qwen 3 does: thoughts of earlier rounds are dropped; the last turn gets an empty block if it has none.
LAST_THOUGHT = (
    "if loop.last %}{{- '<think>\\n' + (message.reasoning_content or '') + '\\n</think>\\n\\n' }}{% endif"
)
LLAMA = """
{{- bos_token + '<|start|>system<|mid|>\\n\\n' }}
{%- if tools %}
{{- 'Environment: ipython\\n' }}
{%- for tool in tools %}{{- tool | tojson(indent=4) + '\\n\\n' }}{% endfor %}
{%- endif %}
{{- '<|eot|>' }}
{%- for message in messages %}
{%- if message.tool_calls %}
{%- if message.tool_calls | length != 1 %}{{- raise_exception('one call at a time') }}{% endif %}
{%- set call = message.tool_calls[0].function %}
{{- '<|start|>assistant<|mid|>\\n\\n{"name": "' + call.name + '", "parameters": ' }}
{{- call.arguments | tojson + '}<|eot|>' }}
{%- elif message.role == 'tool' %}
{{- '<|start|>ipython<|mid|>\\n\\n' + message.content | tojson + '<|eot|>' }}
{%- else %}
{{- '<|start|>' + message.role + '<|mid|>\\n\\n' + message.content | trim + '<|eot|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant<|mid|>\\n\\n' }}{% endif %}
"""
# As Mistral 7B v0.3 does: tools stand before the last user message, and ids have nine characters.
MISTRAL = """
{%- set asked = messages | selectattr('role', 'equalto', 'user') | list %}
{{- bos_token }}
{%- for message in messages %}
{%- if message.role == 'user' %}
{%- if tools and message == asked[-1] %}
{{- '[AVAILABLE_TOOLS]GAP' + tools | tojson + '[/AVAILABLE_TOOLS]' }}
{%- endif %}
{{- '[INST]GAP' + message.content + '[/INST]' }}
{%- elif message.tool_calls %}
{{- '[TOOL_CALLS]GAP[' }}
{%- for call in message.tool_calls %}
{%- if call.id | default('') | length != 9 %}{{- raise_exception('ids have nine letters') }}{% endif %}
{{- '{"name": ' + call.function.name | tojson }}
{{- ', "arguments": ' + call.function.arguments | tojson + ', "id": "' + call.id + '"}' }}
{%- if not loop.last %}{{- ', ' }}{% endif %}
{%- endfor %}
{{- ']' + eos_token }}
{%- elif message.role == 'assistant' %}{{- message.content + eos_token }}
{%- elif message.role == 'tool' %}
{%- if message.tool_call_id | length != 9 %}{{- raise_exception('ids have nine letters') }}{% endif %}
{{- '[TOOL_RESULTS]GAP{"content": ' + message.content | string + ', "call_id": "' }}
{{- message.tool_call_id + '"}[/TOOL_RESULTS]' }}
{%- else %}{{- raise_exception('only user, assistant and tool') }}
{%- endif %}
{%- endfor %}
"""
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|bos|>", "<|start|>", "<|mid|>", "<|eot|>"]
SPECIAL += ["<|eom_id|>", "<|python_tag|>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]"]
SPECIAL += ["[/TOOL_RESULTS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "</s>"]
TRAINING_TEXT = [
    'assistant user system <think>\n</think>\n\n<tool_call>\n{"name": "search", "arguments": {"query": "x"}}',
    "The river that runs through the city is long; 12 * 34 = 408. <tool_response> Where do they live now?",
] * 20


@pytest.fixture(scope="session")
def backend() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING_TEXT, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def make_tokenizer(backend):
    from transformers import PreTrainedTokenizerFast

    def make(template, eos="<|im_end|>"):
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|bos|>", eos_token=eos)
        tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
        tokenizer.chat_template = template
        return tokenizer

    return make


@pytest.fixture(scope="session")
def qwen_template():
    return QWEN.replace("THOUGHT", KEEP_THOUGHT)


@pytest.fixture(scope="session")
def qwen(make_tokenizer, qwen_template):
    return make_tokenizer(qwen_template)


@pytest.fixture(scope="session")
def qwen3(make_tokenizer):
    return make_tokenizer(QWEN.replace("THOUGHT", LAST_THOUGHT))


@pytest.fixture(scope="session")
def templates():
    """Of each family: the template and the end of text."""
    return {"llama3": (LLAMA, "<|eot|>"), "mistral": (MISTRAL.replace("GAP", ""), "</s>")}


@pytest.fixture(scope="session")
def llama(make_tokenizer):
    return make_tokenizer(LLAMA, eos="<|eot|>")


@pytest.fixture(scope="session", params=["", " "], ids=["tight", "spaced"])
def mistral(make_tokenizer, request):
    return make_tokenizer(MISTRAL.replace("GAP", request.param), eos="</s>")
