from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from toolwise.core import ToolwiseError
from toolwise.dialects import (
    Dialect,
    DialectConfig,
    HermesDialect,
    Llama3Dialect,
    MistralDialect,
    ToolRLDialect,
    build_dialect,
)

MODULE = "toolwise_test_dialects"
parse = TypeAdapter(DialectConfig).validate_python


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("hermes", HermesDialect),
        ("toolrl", ToolRLDialect),
        ("llama3", Llama3Dialect),
        ("mistral", MistralDialect),
    ],
)
def test_ours(qwen, kind, expected):
    dialect = build_dialect(parse({"type": kind}), qwen)
    assert type(dialect) is expected
    assert isinstance(dialect, Dialect)


def test_template_arguments_reach_the_template(make_tokenizer, qwen_template):
    tokenizer = make_tokenizer(
        qwen_template + "{%- if quiet %}{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    )
    dialect = build_dialect(parse({"type": "hermes", "template_arguments": {"quiet": True}}), tokenizer)
    prompt = tokenizer.decode(dialect.render_prompt([{"role": "user", "content": "?"}], []))
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_own_dialects(qwen, tmp_path, monkeypatch):
    (tmp_path / f"{MODULE}.py").write_text(
        "from toolwise.dialects import HermesDialect\n"
        "class Mine(HermesDialect):\n    pass\n"
        "def no_dialect(tokenizer):\n    return 3\n"
        "def takes_none():\n    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert type(build_dialect(parse({"type": "custom", "target": f"{MODULE}:Mine"}), qwen)).__name__ == "Mine"
    with pytest.raises(ToolwiseError, match="gives int, which is no dialect"):
        build_dialect(parse({"type": "custom", "target": f"{MODULE}:no_dialect"}), qwen)
    with pytest.raises(ValidationError, match="cannot be imported"):
        parse({"type": "custom", "target": f"{MODULE}:missing"})
    with pytest.raises(ToolwiseError, match="too many positional arguments"):
        build_dialect(parse({"type": "custom", "target": f"{MODULE}:takes_none"}), qwen)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"type": "chatml"}, "type"),
        ({"type": "hermes", "tags": 1}, "tags"),
        ({"type": "custom", "target": "x"}, "target"),
    ],
)
def test_bad_configurations_name_the_field(config, field):
    with pytest.raises(ValidationError, match=field):
        parse(config)
