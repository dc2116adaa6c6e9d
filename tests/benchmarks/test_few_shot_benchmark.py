"""The few-shot benchmark: its measures, and all of it at the smallest size."""

from __future__ import annotations

import json

import pytest
import torch
from benchmarks.few_shot import ARMS, answer_loss, differences, main, paired, reachable, summary

from toolwise.data.minprompt.prompts import MASK, prompt_source, prompt_target
from toolwise.data.minprompt.sources import Question
from toolwise.systems.fresh import fresh_model
from toolwise.systems.recipe import FreshModel


def test_reachable_counts_answers_within_the_cut():
    class Words:
        """A test double: one token a word."""

        def encode(self, text):
            return text.split()

        def decode(self, ids):
            return " ".join(ids)

    # "Question: who Answer: <mask>. Context:" are five words.
    questions = [Question(name, "who", (name,), "a b c d") for name in ("a", "c", "d")]
    assert reachable(questions, Words(), 8) == pytest.approx(2 / 3)
    assert reachable(questions, Words(), 9) == 1.0
    # The question does not count as the context.
    assert reachable([Question("1", "who", ("who",), "x")], Words(), 9) == 0.0


def test_the_paired_interval_is_that_of_student():
    # Differences 1, 2, 3: mean 2, standard error 1/√3, t(0.975, 2) = 4.3027.
    found = paired([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert found["difference"] == 2.0
    assert found["low"] == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-5)
    assert found["high"] == pytest.approx(2 + 4.302653 / 3**0.5, abs=1e-5)


def test_measures_are_summed_up_over_the_seeds_and_paired_by_arm():
    runs = {
        "random": [{"f1": 0.1, "em": 0.0, "nll": 3.0}, {"f1": 0.3, "em": 0.0, "nll": 2.0}],
        "cover": [{"f1": 0.2, "em": 0.5, "nll": 2.5}, {"f1": 0.5, "em": 0.6, "nll": 1.4}],
    }
    found = summary(runs)
    assert found["random"]["f1"] == pytest.approx(0.2)
    assert found["random"]["f1_sd"] == pytest.approx(0.1)
    assert found["random"]["em_sd"] == 0.0
    between = differences(runs)
    assert set(between) == {f"{name}: cover - random" for name in ("f1", "em", "nll")}
    assert between["nll: cover - random"]["difference"] == pytest.approx(-0.55)
    assert differences({arm: found[:1] for arm, found in runs.items()}) == {}


def test_the_answers_loss_is_that_of_the_plain_model():
    questions = [
        Question("1", "Who rows the boat?", ("Ada",), "Ada rows the boat to the far island."),
        Question("2", "Where does Ada row?", ("to the island", "island"), "Ada rows to the island."),
    ]
    texts = [text for one in questions for text in (one.question, one.context)]
    shape = FreshModel(hidden_size=16, layers=1, heads=2, vocabulary=320, context=256, tags=(MASK,))
    model, tokenizer = fresh_model(shape, texts, 0)
    losses = []
    for one in questions:
        read = tokenizer.encode(prompt_source(one.question, one.context))[:40] + tokenizer.encode("\n")
        read += tokenizer.encode(prompt_target(one.question, ""))
        written = [*tokenizer.encode(f" {one.answers[0]}"), tokenizer.eos_token_id]
        with torch.no_grad():
            logits = model(torch.tensor([read + written])).logits[0, len(read) - 1 : -1]
        losses += torch.nn.functional.cross_entropy(logits, torch.tensor(written), reduction="none").tolist()
    assert answer_loss(model, tokenizer, questions, 40) == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def test_every_arm_learns_from_the_sentences_it_names(tmp_path, monkeypatch, capsys):
    towns = ("Harwick", "Port Elm", "Sandholm")
    asked = {"question": "Who did it?", "answers": [{"text": "Ada Finch"}]}
    articles = [
        {
            "title": town,
            "paragraphs": [
                {
                    "context": f"In 17{n}0, Ada Finch founded {town}. Tomas Brandt rebuilt {town} in 18{n}4.",
                    "qas": [asked | {"id": f"{town}{n}"}],
                }
                for n in (1, 2)
            ],
        }
        for town in towns
    ]
    source = tmp_path / "squad.json"
    source.write_text(json.dumps({"data": articles}), encoding="utf-8")
    sets = [
        "model.init.hidden_size=16",
        "model.init.layers=1",
        "model.init.heads=2",
        "model.init.vocabulary=320",
    ]
    sets += ["training.epochs=2", "answer_tokens=4", "source_tokens=64"]
    given = ["--shots", "2", "--seeds", "1", "--out", str(tmp_path / "out")]
    more = [word for one in sets for word in ("--set", one)]
    monkeypatch.setattr("sys.argv", ["few_shot", str(source), *given, *more])
    main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    # Three articles of two paragraphs of two sentences; one article is the test.
    assert figures["test"] == 2
    assert figures["none"]["records"] == figures["none"]["passes"] == 0
    assert figures["all"]["sentences"] == 12
    assert figures["cover"]["sentences"] == figures["random"]["sentences"] < 12
    assert figures["all"]["records"] > figures["cover"]["records"] > 0
    # Two epochs of one step of two records.
    assert figures["all"]["passes"] == pytest.approx(4 / figures["all"]["records"])
    assert figures["paired"] == {}  # one seed has no interval
    for arm in ARMS:
        assert figures[arm]["nll"] > 0
