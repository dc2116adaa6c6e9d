from __future__ import annotations

import json

import pytest

from toolwise.core import Task, ToolCall, ToolwiseError
from toolwise.tools import Passage, SearchConfig, SearchIndex, Session, Toolbox, search_tool
from toolwise.tools.passages import read_passages

TEXTS = [
    "Ada lives in Arden.",
    "The river of Arden is the Wend.",
    "Bo lives in Corvo.",
    "Bo lives in Corvo.",
    "A long\npassage about   nothing.",
]


@pytest.fixture(scope="module")
def index():
    return SearchIndex.from_texts(TEXTS, ["Ada", "Arden", "Bo", "Bo again", ""])


def ids(passages):
    return [passage.id for passage in passages]


def test_best_first_and_ties_in_order(index):
    assert ids(index.search("river of arden", 3))[0] == "1"
    assert ids(index.search("CORVO", 3)) == ["2", "3"]
    assert ids(index.search("corvo", 1)) == ["2"]
    assert ids(index.search("lives", 5)) == ["0", "2", "3"]


def test_many_ties_keep_the_order_of_the_corpus():
    index = SearchIndex.from_texts(["same words here"] * 500)
    assert ids(index.search("words", 7)) == [str(number) for number in range(7)]


def test_nothing_found(index):
    assert index.search("zebra", 3) == []
    assert index.search("?!", 3) == []
    assert index.search("", 3) == []


def test_scores_are_bm25():
    """The best of two documents by hand: the shorter one, and the rarer word."""
    index = SearchIndex.from_texts(["cat dog", "cat cow cow cow cow", "dog dog dog", "hen"])
    assert ids(index.search("cat", 4)) == ["0", "1"]
    assert ids(index.search("dog hen", 4))[0] == "3"


async def test_the_tool_writes_numbered_lines(index):
    toolbox = Toolbox([search_tool(index, top_k=2)])
    session = Session(Task("t", ({"role": "user", "content": "?"},), tools=("search",)))
    result = await toolbox.run(ToolCall("search", {"query": "Where does Bo live? lives"}), session)
    assert result.content == "1. Bo: Bo lives in Corvo.\n2. Bo again: Bo lives in Corvo."
    result = await toolbox.run(ToolCall("search", {"query": "nothing"}), session)
    assert result.content == "1. A long passage about nothing."
    result = await toolbox.run(ToolCall("search", {"query": "zebra"}), session)
    assert (result.content, result.error) == ("No passage was found.", None)


async def test_the_layout_of_search_r1_keeps_the_lines_of_a_passage():
    index = SearchIndex.from_texts(["Ada lives\nin Arden.", "Ada is old."], ["Ada", ""])
    result = await search_tool(index, layout="search_r1").call(None, query="ada")
    assert result.content == "Doc 1(Title: Ada) Ada lives\nin Arden.\nDoc 2(Title: ) Ada is old."


def test_scores_come_with_the_passages(index):
    ranked = index.ranked("river of arden", 3)
    assert [passage for passage, _ in ranked] == index.search("river of arden", 3)
    scores = [score for _, score in ranked]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0


def test_published_corpora_have_title_and_text_in_one_field(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        '{"id": "7", "contents": "\\"Arden\\"\\nA town.\\nIt is old."}\n{"id": "8", "contents": "x"}\n'
    )
    town, other = read_passages(path)
    assert (town.id, town.title, town.text) == ("7", '"Arden"', "A town.\nIt is old.")
    assert Passage.from_contents("7", town.contents) == town
    assert (other.title, other.text) == ("x", "")


def test_a_search_without_a_corpus_says_how_to_give_one():
    with pytest.raises(ToolwiseError, match=r"no corpus is given\n→ add --corpus FILE"):
        SearchConfig().build()


def test_saved_indices_answer_alike(index, tmp_path, capfd):
    index.save(tmp_path / "index")
    loaded = SearchIndex.load(tmp_path / "index")
    assert loaded.passages == index.passages
    for query in ("river of arden", "corvo", "lives", "zebra"):
        assert loaded.search(query, 4) == index.search(query, 4)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ToolwiseError, match="holds no search index"):
        SearchIndex.load(tmp_path)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_corpora_from_files(tmp_path, suffix):
    path = tmp_path / f"corpus{suffix}"
    records = [{"id": str(n), "title": "T", "text": text} for n, text in enumerate(TEXTS)]
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(records), path)
    assert ids(SearchIndex.from_file(path).search("river", 3)) == ["1"]


def test_broken_rows_are_all_named(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text(
        '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n\n{"text": "z"}\n{"id": "c"}\n[]\n{"id": "d", '
        '"text": "x", "title": 3}\nnot json\n'
    )
    with pytest.raises(ToolwiseError) as caught:
        SearchIndex.from_file(path)
    message = str(caught.value)
    assert "6 of 7 rows" in message
    for part in (
        "row 2: field 'id' is 'a' as in row 1",
        "row 4: field 'id'",
        "row 5: field 'text'",
        "row 6: is list",
        "row 7: field 'title'",
        "row 8: is not JSON",
    ):
        assert part in message


def test_unusable_corpora(tmp_path):
    with pytest.raises(ToolwiseError, match="does not exist"):
        SearchIndex.from_file(tmp_path / "none.jsonl")
    with pytest.raises(ToolwiseError, match=r"suffix '\.csv'"):
        SearchIndex.from_file(tmp_path / "corpus.csv")
    with pytest.raises(ToolwiseError, match="no words"):
        SearchIndex.from_texts(["", "!"])
    with pytest.raises(ToolwiseError, match="no words"):
        SearchIndex.from_texts([])
