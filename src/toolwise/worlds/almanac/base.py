"""The tiny base model: its tokenizer, its chat template and its shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolwise.worlds.almanac.questions import KINDS, ask, questions
from toolwise.worlds.almanac.text import equation, pretraining_documents
from toolwise.worlds.almanac.world import Almanac

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
)

# Words carry the space before them, digits stand alone, and a run of punctuation is one piece up to the
# space of the word that follows. So a name is the same token in a sentence, a question and a query.
_PIECES = r" ?[A-Za-z]+|\d|[^A-Za-z\d]+(?= [A-Za-z])|[^A-Za-z\d]+"

CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
Tools:
{%- for tool in tools %} {{ tool.function.name }}({{ tool.function.parameters.properties | join(', ') }})
{%- endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}<tool_call>
{{ (call.function or call) | tojson }}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def train_tokenizer(world: Almanac, vocabulary: int = 2048) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE tokenizer on the world's text; any other text still encodes, byte by byte.

    Args:
        world: What it is trained on.
        vocabulary: Upper bound of the vocabulary's size.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_tokenizer_text(world), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        bos_token=None,
        unk_token=None,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _tokenizer_text(world: Almanac) -> list[str]:
    text = [*pretraining_documents(world, 0), *world.encyclopaedia()]
    for kind in KINDS:
        for question in questions(world, kind, "train"):
            tool, name, value = question.calls[0]
            task = ask(question)
            text += [
                f"user\n{task.prompt[0]['content']}",
                f'\n{{"name": "{tool}", "arguments": {{"{name}": "{value}"}}}}\n',
                f"assistant\n\n\nAnswer: {question.answer}",
                f"tool\n{equation('1', question.answer)}",
            ]
    text += ["system\nTools: search(query) calculator(expression) ask_user(question)"] * 50
    return text


def new_model(tokenizer: PreTrainedTokenizerBase, seed: int = 0, context: int = 512) -> PreTrainedModel:
    """A freshly initialised Qwen3-style model of about one million parameters."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        initializer_range=0.06,  # 0.02, made for wide models, learns to copy half as fast
        max_position_embeddings=context,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(config)
