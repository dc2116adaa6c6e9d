import json
from pathlib import Path

import pytest

from toolwise.testing.vectors import file_checks, main, run_folder
from toolwise.testing.vectors.comparison import difference
from toolwise.testing.vectors.runner import IMPLEMENTED

VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors"
AT_LEAST = {
    "mash_reward.json": 14,
    "matchtir_dual_advantage.json": 3,
    "minprompt_domset.json": 60,
    "minprompt_text_vectors.json": 37,
    "otc_vectors.jsonl": 150,
    "searchr1_vectors.jsonl": 90,
    "smart_parser_vectors.jsonl": 20,
    "toolrl_vectors.jsonl": 6000,
    "verl_advantages.json": 34,
    "verl_aux_losses.json": 20,
    "verl_policy_losses.json": 54,
}


@pytest.mark.parametrize("name", sorted(IMPLEMENTED))
def test_published_values_agree(name):
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"the reference vectors are not beside the checkout ({path})")
    checks = list(file_checks(path))
    assert [one for one in checks if one.problem] == []
    assert len(checks) >= AT_LEAST[name]


def write(folder, name, *records):
    path = folder / name
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n", encoding="utf-8")
    return path


DOC = {"_doc": {"what": "made here"}}
RIGHT = {"kind": "ppo_tool_reward", "m": 4, "c": 4, "r_tool": 0.5, "id": "right"}


def test_one_line_a_file_and_exit_status_0(tmp_path, capsys):
    write(tmp_path, "otc_vectors.jsonl", DOC, RIGHT)
    write(tmp_path, "unheard_of.json", {})
    (tmp_path / "INDEX.md").write_text("no vectors")
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "otc_vectors.jsonl 1/1",
        "unheard_of.json not implemented",
    ]


def test_a_disagreement_is_counted_listed_and_fails(tmp_path, capsys):
    wrong = RIGHT | {"r_tool": 0.6, "id": "wrong"}
    write(tmp_path, "otc_vectors.jsonl", DOC, RIGHT, wrong, RIGHT | {"kind": "new", "id": "strange"})
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == "otc_vectors.jsonl 1/3\n"
    assert main([str(tmp_path), "-v"]) == 1
    listed = capsys.readouterr().out
    assert "wrong: 0.5" in listed
    assert "expected 0.6" in listed
    assert "strange: kind 'new' is not known" in listed
    assert run_folder(tmp_path) == 2


def test_toolrl_cells_are_compared_with_what_they_raise(tmp_path):
    case = {
        "id": "x", "experiment_name": "some-qwen",
        "solution_str": "<think> a </think>\n<response> b </response>",
        "ground_truth": "<think> a </think>\n<response> c </response>",
        "expected": {
            "default@0": {"total": 1.0, "format": 1.0, "correctness": 0.0, "length": 0.0},
            "two_stage@30": {"total": 0.5},
            "two_stage+dynamic_scale@60": {"raises": "JSONDecodeError"},
        },
    }  # fmt: skip
    unknown = case | {
        "id": "y",
        "experiment_name": "mistral",
        "expected": {"default@0": {"raises": "NotImplementedError"}},
    }
    path = write(tmp_path, "toolrl_vectors.jsonl", DOC, case, unknown)
    problems = [bool(one.problem) for one in file_checks(path)]
    assert problems == [False, False, True, False]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("otc_vectors.jsonl", '{"kind":', "otc_vectors.jsonl:1"),
        ("otc_vectors.jsonl", "[]", "is not a JSON object"),
        ("otc_vectors.jsonl", '{"kind": "metrics"}', "KeyError: 'id'"),
        ("verl_advantages.json", "nonsense", "is not JSON"),
        ("verl_advantages.json", "{}", "does not have the format of its name"),
    ],
)
def test_broken_files_are_named(tmp_path, capsys, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert main([str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_or_empty_folder_is_a_clear_error(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "no .json or .jsonl files" in capsys.readouterr().err


def test_help_names_the_files(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in IMPLEMENTED)


@pytest.mark.parametrize(
    ("ours", "expected", "found"),
    [
        (1.0, 1.0 + 1e-12, ""),
        (1.0, 1.1, "expected 1.1"),
        ([1.0, 2.0], [1.0, 3.0], "at (1,)"),
        ([1.0], [1.0, 3.0], "shape"),
        (None, None, ""),
        (0.0, None, "expected None"),
        ({"a": 1, "b": 2}, {"a": 1}, ""),
        ({"b": 2}, {"a": 1}, "no 'a'"),
        ("x", "y", "expected 'y'"),
        (float("nan"), 1.0, "nan"),
    ],
)
def test_difference(ours, expected, found):
    problem = difference(ours, expected, 1e-9)
    assert (found in problem) if found else problem == ""
