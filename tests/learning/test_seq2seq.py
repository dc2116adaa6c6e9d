"""Encoder-decoder models: the published loss, a stopped run that equals the straight one, greedy answers."""

from __future__ import annotations

import json

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

from toolwise.core import ToolwiseError
from toolwise.data.minprompt.sources import Question
from toolwise.learning import LearnerConfig, RunFolder
from toolwise.learning.joint import train_joint
from toolwise.learning.seq2seq import Seq2SeqLearner, generate_greedily
from toolwise.systems.few_shot import id_pair, run_few_shot
from toolwise.systems.few_shot_recipe import load_few_shot
from toolwise.systems.models import load_model

PAIRS = [
    (f"Question: what is {n}? Answer: <mask>. Context: {n} is {w}", f"Question: what is {n}? Answer: {w}")
    for n, w in enumerate(["red", "green", "blue", "old", "new"])
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random BART with a trained tokenizer, saved as transformers does."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([text for pair in PAIRS for text in pair], trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", pad_token="<pad>", eos_token="</s>", mask_token="<mask>"
    )
    torch.manual_seed(0)
    model = BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(tokenizer),
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=128,
            dropout=0.1,
        )
    )
    path = tmp_path_factory.mktemp("models") / "bart"
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def loaded(folder):
    model, tokenizer = load_model(str(folder), seq2seq=True)
    return model, tokenizer, [id_pair(pair, tokenizer, 100) for pair in PAIRS]


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_loss_is_the_sum_of_two_token_means(folder, weight):
    model, tokenizer, pairs = loaded(folder)
    for module in model.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    means = []
    for batch in (PAIRS[:2], PAIRS[2:5]):
        # One pair at a time, so without padding, by our own hands.
        total, count = 0.0, 0
        for source, target in batch:
            ids, labels = tokenizer.encode(source), torch.tensor(tokenizer.encode(target))
            begun = torch.tensor([[model.config.decoder_start_token_id, *labels[:-1]]])
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=begun).logits[0]
            total -= float(logits.log_softmax(-1).gather(1, labels[:, None]).sum())
            count += len(labels)
        means.append(total / count)
    learner = Seq2SeqLearner(model, LearnerConfig(learning_rate=1e-3))
    before = torch.cat([each.detach().flatten().clone() for each in model.parameters()])
    found = learner.step([(pairs[:2], 1.0), (pairs[2:], weight)])
    assert found["loss"] == pytest.approx(means[0] + weight * means[1], rel=1e-5)
    assert not torch.equal(before, torch.cat([each.detach().flatten() for each in model.parameters()]))


def test_stop_and_resume_is_the_straight_run(folder, tmp_path):
    def run(out, epochs):
        model, tokenizer, pairs = loaded(folder)
        train_joint(
            Seq2SeqLearner(model, LearnerConfig(learning_rate=1e-3)), pairs[:3], pairs[3:],
            run=RunFolder(out), batch_size=2, epochs=epochs, weight=1.0, seed=3, tokenizer=tokenizer,
        )  # fmt: skip
        return torch.cat([each.detach().flatten() for each in model.parameters()])

    straight = run(tmp_path / "straight", 3)
    run(tmp_path / "stopped", 1)
    assert torch.equal(run(tmp_path / "stopped", 3), straight)


def test_what_it_has_learnt_it_writes(folder):
    model, tokenizer, pairs = loaded(folder)
    learner = Seq2SeqLearner(model, LearnerConfig(learning_rate=3e-3))
    for _ in range(400):
        learner.step([(pairs, 1.0)])
    model.eval()
    written = [
        tokenizer.decode(generate_greedily(model, source, 60), skip_special_tokens=True)
        for source, _ in pairs
    ]
    assert written == [target for _, target in PAIRS]
    assert len(generate_greedily(model, pairs[0][0], 4)) == 4


def test_a_whole_small_run(folder, tmp_path):
    questions = [
        Question(str(n), f"what is {n}?", (w,), f"{n} is {w}", f"g{n % 5}")
        for n, w in enumerate(["red", "green", "blue", "old", "new"] * 3)
    ]
    records = [{"source": source, "target": target, "context": "elsewhere"} for source, target in PAIRS]
    small = ["shots=[4]", "seeds=[42]", "training.epochs=2", "answer_tokens=24", "source_tokens=30"]
    recipe = load_few_shot("minprompt", ["model.init=null", f"model.source={folder}", *small])
    (scores,) = run_few_shot(recipe, questions, records, tmp_path / "out", lambda _: None)
    assert scores.questions > 0
    checkpoint = next((tmp_path / "out" / "shots-4-seed-42" / "checkpoints").iterdir())
    assert json.loads((checkpoint / "config.json").read_text())["architectures"] == [
        "BartForConditionalGeneration"
    ]
    again = run_few_shot(recipe, questions, records, tmp_path / "out", lambda _: None)
    assert again == [scores]


def test_the_best_epoch_is_tested(folder, tmp_path):
    questions = [
        Question(str(n), f"what is {n}?", (w,), f"{n} is {w}", f"g{n % 5}")
        for n, w in enumerate(["red", "green", "blue", "old", "new"] * 3)
    ]
    small = ["shots=[4]", "seeds=[42]", "training.epochs=3", "answer_tokens=24", "source_tokens=30"]
    given = [
        "model.init=null",
        f"model.source={folder}",
        "training.keep=best",
        "learner.learning_rate=0.01",
        *small,
    ]
    out = tmp_path / "out"
    found = run_few_shot(load_few_shot("minprompt", given), questions, [], out, lambda _: None)
    record = json.loads((out / "shots-4-seed-42" / "best" / "development.json").read_text())
    assert record["step"] in (2, 4, 6)
    # A stop after the first epoch, and the rest, choose the same.
    other = tmp_path / "other"
    one = load_few_shot("minprompt", [*given, "training.epochs=1"])
    run_few_shot(one, questions, [], other, lambda _: None)
    (other / "shots-4-seed-42" / "config.yaml").unlink()
    assert run_few_shot(load_few_shot("minprompt", given), questions, [], other, lambda _: None) == found
    assert json.loads((other / "shots-4-seed-42" / "best" / "development.json").read_text()) == record
    # Too few questions are left to choose by.
    with pytest.raises(ToolwiseError, match="no questions left"):
        run_few_shot(load_few_shot("minprompt", [*given, "shots=[9]"]), questions, [], tmp_path / "x")


def test_where_it_is_of_no_use_it_is_refused(folder):
    with pytest.raises(ToolwiseError, match="encoder-decoder"):
        load_model(str(folder))
    model, *_ = loaded(folder)
    learner = Seq2SeqLearner(model, LearnerConfig())
    with pytest.raises(ToolwiseError, match="takes 128"):
        learner.step([([([5] * 200, [2])], 1.0)])
