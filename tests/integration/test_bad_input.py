"""What people get wrong: each time a message that says what, where and what to do, and never a traceback."""

from __future__ import annotations

import json

import pytest
from model_folders import TEMPLATE, write_lines, write_model


def refused(command, *arguments) -> str:
    """The message of a command that refuses its input."""
    done = command(*arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert "→" in done.stderr, done.stderr
    return " ".join(done.stderr.split())


BROKEN = [
    ('{"id": "b", "prompt": "x"', "row 2", "not JSON"),
    ('{"prompt": "x"}', "row 2", "'id' is missing"),
    ('{"id": "b"}', "row 2", "'prompt' is missing"),
    ('{"id": "b", "prompt": 7}', "row 2", "'prompt' is int"),
    ('{"id": "b", "prompt": "  "}', "row 2", "'prompt' is empty"),
    ('{"id": "a", "prompt": "x"}', "row 2", "'id' is 'a' as in row 1"),
    ('{"id": "b", "prompt": "x", "tols": []}', "row 2", "'tols' is not known"),
    ('{"id": "b", "prompt": "x", "tools": "search"}', "row 2", "'tools'"),
]


@pytest.mark.parametrize("row, place, problem", BROKEN)
@pytest.mark.parametrize("verb", [("train", "rl"), ("evaluate",), ("rollout",)])
def test_broken_rows_are_named_before_anything_is_loaded(tmp_path, command, verb, row, place, problem):
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text('{"id": "a", "prompt": "fine"}\n' + row + "\n")
    # The folder holds no model, but what is wrong with the tasks is cheaper to find and is said first.
    out = () if verb == ("rollout",) else ("--out", tmp_path / "run")
    message = refused(command, *verb, "--model", tmp_path, "--tasks", tasks, *out)
    assert str(tasks) in message
    assert place in message
    assert problem in message
    assert not (tmp_path / "run").exists()


def test_a_missing_file_and_no_file(tmp_path, command, model_folder):
    message = refused(command, "train", "rl", "--model", model_folder, "--tasks", tmp_path / "no.jsonl")
    assert "no.jsonl: does not exist" in message
    assert "--tasks FILE" in refused(command, "train", "sft", "--model", model_folder)
    assert "--tasks FILE" in refused(command, "evaluate", "--model", model_folder)


def test_model_folders_of_no_use(tmp_path, command, model_folder, tasks_file):
    def message(model) -> str:
        return refused(command, "rollout", "--model", model, "--tasks", tasks_file)

    assert "there is no such folder" in message(tmp_path / "absent")
    assert "there is no such folder" in message("./absent")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "config.json is missing" in message(empty)
    assert "is a file" in message(tasks_file)
    assert "--model" in refused(command, "rollout", "--tasks", tasks_file)

    broken = tmp_path / "broken"
    broken.mkdir()
    for path in model_folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "model.safetensors").write_bytes((model_folder / "model.safetensors").read_bytes()[:5000])
    assert "the model cannot be loaded" in message(broken)
    (broken / "model.safetensors").unlink()
    assert "the model cannot be loaded" in message(broken)
    (broken / "tokenizer.json").write_text("{")
    assert "the tokenizer cannot be loaded" in message(broken)


def test_weights_with_a_gap_are_refused_instead_of_filled_with_random_numbers(
    tmp_path, command, model_folder, tasks_file
):
    from safetensors.torch import load_file, save_file

    gap = tmp_path / "gap"
    gap.mkdir()
    for path in model_folder.iterdir():
        (gap / path.name).write_bytes(path.read_bytes())
    weights = load_file(gap / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, gap / "model.safetensors", metadata={"format": "pt"})
    message = refused(command, "rollout", "--model", gap, "--tasks", tasks_file)
    assert "lack 1 tensors" in message
    assert "model.layers.1.mlp.up_proj.weight" in message


def test_a_model_that_brings_code_is_not_run(tmp_path, command, model_folder, tasks_file):
    bad = tmp_path / "code"
    bad.mkdir()
    for path in model_folder.iterdir():
        (bad / path.name).write_bytes(path.read_bytes())
    config = json.loads((bad / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}
    (bad / "config.json").write_text(json.dumps(config))
    (bad / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    message = refused(command, "rollout", "--model", bad, "--tasks", tasks_file)
    assert "code" in message
    assert not (tmp_path / "ran").exists()


def test_a_hub_that_cannot_be_reached(monkeypatch, command, tasks_file):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    message = refused(command, "rollout", "--model", "nobody/no-such-model", "--tasks", tasks_file)
    assert "there is no folder of this name" in message
    assert "the hub" in message


@pytest.mark.parametrize(
    "template, problem",
    [
        (None, "no chat template"),
        (TEMPLATE.replace("{%- if tools %}", "{%- if false %}"), "does not show tools"),
        (TEMPLATE.replace("<tool_response>\\n' + message.content", "<tool_response>\\n'"), "tool results"),
        ("{{ raise_exception('I take no one') }}", "I take no one"),
    ],
)
def test_templates_of_no_use(tmp_path, command, tasks_file, template, problem):
    model = write_model(tmp_path / "model", "qwen2", template=template)
    message = refused(
        command, "train", "rl", "--model", model, "--tasks", tasks_file, "--out", tmp_path / "run"
    )
    assert problem in message
    assert "tokenizer" in message


def test_prompts_longer_than_the_context_are_counted_and_named(tmp_path, command, model_folder):
    long = "word " * 600
    rows = [{"id": f"row-{n}", "prompt": long if n % 2 else "short", "answer": "x"} for n in range(30)]
    tasks = write_lines(tmp_path / "tasks.jsonl", rows)
    arguments = ("train", "rl", "--model", model_folder, "--tasks", tasks, "--out", tmp_path / "run")
    message = refused(command, *arguments)
    assert "15 of 30 prompts do not fit into the context of 1024 tokens" in message
    assert "row-1, row-3" in message
    assert "and 5 more" in message
    assert "tasks.too_long=skip" in message
    assert not (tmp_path / "run").exists()
    small = ("training.steps=1", "rollout.tasks_per_step=2", "rollout.limits.max_turn_tokens=4")
    done = command(*arguments, *(p for s in (*small, "tasks.too_long=skip") for p in ("--set", s)))
    assert done.exit_code == 0, done.output
    assert "left out: 15 of 30 prompts" in done.output


def test_demonstrations_longer_than_the_context(tmp_path, command, model_folder):
    long = "word " * 600
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": long}]
    rows = write_lines(tmp_path / "demos.jsonl", [{"id": "long", "messages": turns}])
    message = refused(
        command, "train", "sft", "--model", model_folder, "--tasks", rows, "--out", tmp_path / "run"
    )
    assert "1 of 1 demonstrations do not fit" in message
    assert "long" in message


def test_a_tool_that_is_not_there(tmp_path, command, model_folder):
    tasks = write_lines(tmp_path / "t.jsonl", [{"id": "a", "prompt": "x", "tools": ["search"]}])
    message = refused(command, "rollout", "--model", model_folder, "--tasks", tasks)
    assert "task 'a'" in message
    assert "'search'" in message
    assert "--corpus FILE" in message
    corpus = write_lines(tmp_path / "corpus.jsonl", [{"id": "1", "text": "Tea grows on hills."}])
    done = command(
        *("rollout", "--model", model_folder, "--tasks", tasks, "--corpus", corpus),
        *("--set", "rollout.limits.max_turn_tokens=4"),
    )
    assert done.exit_code == 0, done.output


def test_a_run_folder_with_another_configuration_is_left_alone(tmp_path, command, model_folder, tasks_file):
    arguments = ("train", "rl", "--model", model_folder, "--tasks", tasks_file, "--out", tmp_path / "run")
    small = ("--set", "training.steps=1", "--set", "rollout.limits.max_turn_tokens=4")
    assert command(*arguments, *small).exit_code == 0
    message = refused(command, *arguments, *small, "--set", "learner.learning_rate=1e-3")
    assert "another configuration: learner" in message


def test_a_full_disk_at_checkpoint_time(tmp_path, command, monkeypatch, model_folder, tasks_file):
    import toolwise.learning.checkpoint as checkpoint

    write = checkpoint.write_state
    written = []

    def full(path, state):
        if written:
            raise OSError(28, "No space left on device")
        written.append(path)
        write(path, state)

    monkeypatch.setattr(checkpoint, "write_state", full)
    arguments = ("train", "rl", "--model", model_folder, "--tasks", tasks_file, "--out", tmp_path / "run")
    small = ["training.steps=3", "training.checkpoint_every=1", "rollout.limits.max_turn_tokens=4"]
    arguments += tuple(part for setting in small for part in ("--set", setting))
    message = refused(command, *arguments)
    assert "No space left on device" in message
    assert "step_000001" in message
    monkeypatch.undo()
    assert command(*arguments).exit_code == 0
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == [1, 2, 3]


def test_a_refused_run_leaves_no_fresh_model_to_the_next_one(tmp_path, command, demonstrations_file):
    out = tmp_path / "run"

    def train(context):
        size = "model.init={hidden_size: 16, layers: 1, heads: 1, vocabulary: 600, context: %d}"
        chosen = [size % context, "training.steps=1"]
        arguments = ("train", "sft", "sft", "--tasks", demonstrations_file, "--out", out)
        return command(*arguments, *(part for setting in chosen for part in ("--set", setting)))

    done = train(64)
    assert done.exit_code == 2
    assert "model.init.context" in done.stderr
    assert not out.exists()
    done = train(1024)
    assert done.exit_code == 0, done.output
    assert json.loads((out / "base" / "config.json").read_text())["max_position_embeddings"] == 1024


UNSCORABLE = [
    (None, "exact_match", "no prediction can be compared with"),
    (None, "f1", "no prediction can be compared with"),
    ("many", "numeric", "'answer'"),
    (None, "toolrl", "not a reference turn"),
    ("<tool_call>\nx\n</tool_call>", "toolrl", "one JSON object a line"),
    (None, "otc", "no prediction can be compared with"),
    (None, "mash", "no prediction can be compared with"),
]


@pytest.mark.parametrize("answer, reward, problem", UNSCORABLE)
@pytest.mark.parametrize("verb", [("train", "rl", "grpo"), ("evaluate", "--config", "grpo")])
def test_tasks_that_the_reward_cannot_score_are_named_before_anything_is_loaded(
    tmp_path, command, verb, answer, reward, problem
):
    rows = [{"id": "good", "prompt": "x", "answer": "<tool_call>\n{}\n</tool_call> 1"}]
    rows += [{"id": f"bad-{number}", "prompt": "x", "answer": answer} for number in range(12)]
    tasks = write_lines(tmp_path / "tasks.jsonl", rows)
    # There is no model: it would be refused next.
    message = refused(
        *(command, *verb, "--model", tmp_path, "--tasks", tasks, "--out", tmp_path / "run"),
        *("--set", f"reward.type={reward}"),
    )
    assert f"{tasks}: 12 of 13 tasks cannot be used" in message
    assert "task 'bad-0', field 'answer'" in message
    assert problem in message
    assert "and 2 more" in message
    assert not (tmp_path / "run").exists()


def test_a_model_can_be_tried_on_tasks_without_answers(tmp_path, command, model_folder):
    tasks = write_lines(tmp_path / "tasks.jsonl", [{"id": "[/a]", "prompt": "one [/b] two"}])
    limits = ("--set", "rollout.limits.max_turn_tokens=4")
    done = command("rollout", "--model", model_folder, "--tasks", tasks, *limits)
    assert done.exit_code == 0, done.output
    # Brackets are what the user wrote, in ids as in texts.
    assert "─ [/a] ─" in done.output
    assert "one [/b] two" in done.output
    assert "no reward: task '[/a]', field 'answer'" in done.output
    assert "reward: " not in done.output.replace("no reward: ", "")


@pytest.mark.parametrize("info", [{"needs_tool": "yes"}, {"calls_needed": -1}])
def test_information_that_cannot_be_judged_is_refused_before_the_rollouts(tmp_path, command, info):
    rows = [
        {"id": "a", "prompt": "x", "answer": "1"},
        {"id": "b", "prompt": "x", "answer": "1", "info": info},
    ]
    tasks = write_lines(tmp_path / "tasks.jsonl", rows)
    message = refused(command, "evaluate", "--model", tmp_path, "--tasks", tasks, "--out", tmp_path / "out")
    assert "1 of 2 tasks cannot be used" in message
    assert f"task 'b': info.{next(iter(info))}" in message
    assert not (tmp_path / "out").exists()


def test_results_that_cannot_be_written_are_refused_before_the_rollouts(
    tmp_path, command, monkeypatch, model_folder, tasks_file
):
    import toolwise.systems.evaluating as evaluating

    def play(*arguments):
        raise AssertionError("played in vain")

    monkeypatch.setattr(evaluating, "_play", play)
    arguments = ("evaluate", "--model", model_folder, "--tasks", tasks_file, "--out")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(command, *arguments, tmp_path / "file")
    (tmp_path / "results.json").write_text("{")
    assert "is no list of results" in refused(command, *arguments, tmp_path)


def test_a_policys_name_stays_in_the_folder(tmp_path, command, model_folder, tasks_file):
    limits = ("--set", "rollout.limits.max_turn_tokens=2", "--limit", 1)
    out = tmp_path / "inner" / "out"
    arguments = ("evaluate", "--model", model_folder, "--tasks", tasks_file, "--out", out, *limits)
    assert command(*arguments, "--policy", "../../[/x] y").exit_code == 0
    assert [path.name for path in (out / "rollouts").iterdir()] == ["-..-x-y.jsonl"]
    assert json.loads((out / "results.json").read_text())[0]["policy"] == "../../[/x] y"
    assert sorted(path.name for path in tmp_path.rglob("*.jsonl")) == ["-..-x-y.jsonl"]


def test_masks_of_rows_with_brackets(tmp_path, command, model_folder):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "[/a]"}]
    long = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "word " * 600}]
    rows = [{"id": "[/b]", "messages": turns}, {"id": "[/long]", "messages": long}]
    file = write_lines(tmp_path / "demos.jsonl", rows)
    done = command(
        *("show", "mask", "sft", "--model", model_folder, "--tasks", file, "--limit", 2),
        *("--set", "demonstrations.too_long=skip"),
    )
    assert done.exit_code == 0, done.output
    assert "[/b]: " in done.output
    assert "left out" in done.output
    assert "[/long]" in done.output


def test_sampling_without_chance_has_nothing_to_teach(tmp_path, command, model_folder, tasks_file):
    message = refused(
        *(command, "train", "rl", "--model", model_folder, "--tasks", tasks_file, "--out", tmp_path / "run"),
        *("--set", "rollout.temperature=0"),
    )
    assert "rollout.temperature: all rollouts of a group would be equal" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "part, problem",
    [
        ("advantage={type: custom, target: json:dumps}", "missing a required argument: 'obj'"),
        ("advantage={type: custom, target: os:getcwd}", "gives a str, which cannot be called"),
        ("dialect={type: custom, target: json:dumps}", "raised TypeError"),
        ("reward={type: custom, target: json:dumps, arguments: {a: 1}}", "too many positional arguments"),
    ],
)
def test_own_parts_that_do_not_fit_leave_no_run_folder(
    tmp_path, command, model_folder, tasks_file, part, problem
):
    message = refused(
        *(command, "train", "rl", "--model", model_folder, "--tasks", tasks_file, "--out", tmp_path / "run"),
        *("--set", part),
    )
    assert problem in message
    assert not (tmp_path / "run").exists()


def test_brackets_in_an_id_are_no_markup(tmp_path, command, model_folder):
    row = {"id": "[/]", "prompt": "What is 1 + 12?", "answer": "13"}
    tasks = write_lines(tmp_path / "tasks.jsonl", [row])
    short = ("--set", "rollout.limits.max_turn_tokens=4")
    for verb in (("rollout",), ("show", "mask", "grpo")):
        done = command(*verb, "--model", model_folder, "--tasks", tasks, *short)
        assert done.exit_code == 0, done.output
        assert "[/]" in done.stdout
