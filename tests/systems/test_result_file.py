import pytest

from toolwise.systems.result_file import file_stem


@pytest.mark.parametrize(
    "name, stem",
    [
        ("qwen3-0.6b", "qwen3-0.6b"),
        ("org/model: a b", "org-model-a-b"),
        ("../../etc/passwd", "-..-etc-passwd"),
        ("..", "policy"),
        ("", "policy"),
    ],
)
def test_a_models_name_becomes_that_of_a_file(name, stem):
    assert file_stem(name) == stem
