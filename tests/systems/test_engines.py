"""What a recipe says of its sampler, and the folders that servers read."""

import json

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from toolwise.core import ToolwiseError
from toolwise.learning import LoraSettings, add_adapter
from toolwise.rollout import CollectorConfig
from toolwise.systems.continuing import changeable
from toolwise.systems.engines import _processed
from toolwise.systems.model_folder import write_model
from toolwise.systems.recipe import RLRecipe


def tiny(tied):
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=tied,
    )
    return Qwen3ForCausalLM(config).eval()


@pytest.mark.parametrize("tied", [True, False])
def test_a_folder_holds_the_weights_with_the_adapter_in_them(tmp_path, tied):
    model, tokens = tiny(tied), torch.arange(20)[None]
    plain = model(tokens).logits
    write_model(tmp_path, model)
    assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path)(tokens).logits, plain)
    add_adapter(model, LoraSettings(rank=4, base="float32"), base="base", seed=1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    adapted = model(tokens).logits
    assert (adapted - plain).abs().max() > 0.01
    folder = tmp_path / "adapted"
    folder.mkdir()
    write_model(folder, model)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert not any("lora" in name for name, _ in loaded.named_parameters())
    torch.testing.assert_close(loaded(tokens).logits, adapted, atol=1e-5, rtol=1e-5)
    assert torch.equal(model(tokens).logits, adapted)


@pytest.mark.parametrize("adapted", [False, True])
def test_a_shared_output_layer_is_written_as_one_of_its_own(tmp_path, adapted):
    model, tokens = tiny(True), torch.arange(20)[None]
    if adapted:
        add_adapter(model, LoraSettings(rank=4, base="float32"), base="base", seed=1)
    logits = model(tokens).logits
    write_model(tmp_path, model, untied=True)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.lm_head.weight.data_ptr() != loaded.model.embed_tokens.weight.data_ptr()
    torch.testing.assert_close(loaded(tokens).logits, logits, atol=1e-5, rtol=1e-5)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["architectures"] == ["Qwen3ForCausalLM"]
    assert written["tie_word_embeddings"] is False
    assert model.config.tie_word_embeddings is True


def test_the_kind_of_log_probabilities_follows_from_the_recipe():
    assert _processed(CollectorConfig(temperature=0.7))
    assert _processed(CollectorConfig())
    assert not _processed(CollectorConfig(top_k=5))
    assert not _processed(CollectorConfig(top_p=0.9, temperature=0))
    with pytest.raises(ToolwiseError, match="either at temperature 1 or after top_k and top_p"):
        _processed(CollectorConfig(top_p=0.9, temperature=0.7))


def test_the_sampler_of_a_recipe():
    assert RLRecipe().sampler.type == "embedded"
    servers = {"type": "vllm", "urls": ["http://127.0.0.1:8000/"]}
    recipe = RLRecipe(sampler=servers)
    assert recipe.sampler.urls == ("http://127.0.0.1:8000",)
    assert RLRecipe.model_validate(json.loads(recipe.model_dump_json())) == recipe
    for wrong in ({"type": "other"}, {"type": "embedded", "urls": []}, {"type": "vllm"}):
        with pytest.raises(ValidationError):
            RLRecipe(sampler=wrong)
    with pytest.raises(ValidationError, match=r"take sampler.weights=checkpoint"):
        RLRecipe(model={"source": "m", "lora": {}}, sampler=servers | {"weights": "nccl"})


def test_servers_may_move_and_the_engine_may_not_change():
    keys = changeable(RLRecipe())
    assert {"sampler.rows", "sampler.parked_tokens"} <= set(keys)
    assert "sampler.urls" in keys
    assert "sampler.start.port" in keys
    assert not {"sampler.type", "sampler.start.dtype", "sampler.start.arguments"} & set(keys)
