"""Search-R1's reward on rollouts: what the mended mode mends, and what the published one does."""

import pytest

from toolwise.core import Rollout, StopReason, Task, ToolResult, ToolwiseError, Turn
from toolwise.rewards import SearchR1Config, build_reward

# The tags of the published prompt, in its order: two pairs of answer tags, the second of which is an example.
PROMPT = (
    "<|im_start|>user\nThink in <think> and </think>, ask with <search> query </search>, read <information> "
    "and </information>, say it in <answer> and </answer>, as in <answer> Beijing </answer>. The capital?"
    "<|im_end|>\n<|im_start|>assistant\n"
)
V3 = SearchR1Config(structure=0.2, final=0.1)
SEARCH = "<think> a </think>\n<search> capital </search>"
FOUND = "\n\n<information>Doc 1(Title: China) Beijing is its capital.</information>\n\n"
ANSWER = "<think> b </think>\n<answer> Beijing </answer>"
WRONG = "<think> b </think>\n<answer> Shanghai </answer>"


def rollout(*texts, answer=None, golds=("Beijing",), prompt=PROMPT):
    """Assistant and tool turns in turn; a tool turn that holds no block is a correction."""
    task = Task("t", ({"role": "user", "content": "?"},), answer=list(golds))
    turns = [Turn("prompt", (1,), text=prompt)]
    for number, text in enumerate(texts):
        if number % 2 == 0:
            last = number + 1 == len(texts)
            turns.append(
                Turn(
                    *("assistant", (1,), text),
                    sampled=True,
                    logprobs=(0.0,),
                    answer=answer if last else None,
                    content=text.removesuffix("<|im_end|>"),  # as the dialect reads it
                )
            )
        else:
            results = (ToolResult("search", text),) if "<" in text else ()
            turns.append(Turn("tool", (1,), text, results=results))
    return Rollout(task, tuple(turns), tuple(range(len(turns))), 0, "t", StopReason.ANSWERED)


def reward(config, given):
    (found,) = build_reward(config)(given.task, [given])
    return found


def test_an_unanswered_rollout_is_read_as_the_example_of_the_prompt_only_in_published_mode():
    silent = rollout("<think> I do not know </think>")
    published = reward(SearchR1Config(mode="published"), silent)
    assert (published.total, published.parts["correct"]) == (1.0, 1.0)
    assert reward(SearchR1Config(), silent).total == 0.0
    # In v0.3 every unanswered output gets the points of a wrong final answer.
    elsewhere = rollout("<think> I do not know </think>", golds=("Lima",))
    assert reward(SearchR1Config(mode="published", structure=0.2, final=0.1), elsewhere).total == 0.1
    assert reward(V3, elsewhere).total == 0.0


@pytest.mark.parametrize(
    ("given", "total", "parts"),
    [
        (rollout(SEARCH, FOUND, ANSWER, answer="Beijing"), 1.0, (1, 1, 1)),
        (rollout("<answer> Beijing </answer>", answer="the  Beijing!"), 0.8, (1, 0, 0)),
        (rollout(SEARCH, FOUND, WRONG, answer="Shanghai"), 0.2, (0, 1, 1)),
        (rollout(WRONG, answer="Shanghai"), 0.2, (0, 1, 0)),
        (rollout("<answer> Shanghai </answer>", answer="Shanghai"), 0.1, (0, 0, 0)),
        (rollout(SEARCH), 0.0, (0, 0, 0)),
        # A correction makes the sequence invalid, whatever stands in it.
        (rollout("<think> a </think>", "Say it again.", ANSWER, answer="Beijing"), 0.8, (1, 0, 0)),
    ],
)
def test_mended_scores_with_the_points_of_v03(given, total, parts):
    found = reward(V3, given)
    assert found.total == pytest.approx(total)
    assert tuple(found.parts[name] for name in ("correct", "format", "retrieved")) == parts


def test_mended_needs_no_marker_and_does_not_mind_an_end_token():
    plain = rollout(SEARCH, FOUND, ANSWER + "<|im_end|>", answer="Beijing", prompt="Capital of China?")
    assert reward(V3, plain).parts["format"] == 1.0
    assert reward(V3, plain).total == 1.0
    published = reward(V3.model_copy(update={"mode": "published"}), plain)
    # No prompt with a first pair of tags: the published program sees no answer at all.
    assert (published.parts["format"], published.total) == (0.0, 0.0)
    chat = rollout(SEARCH, FOUND, ANSWER + "<|im_end|>", answer="Beijing")
    assert reward(V3.model_copy(update={"mode": "published"}), chat).total == 0.8


def test_both_modes_agree_on_a_whole_rollout_in_a_qwen_template():
    for texts, answer in (((SEARCH, FOUND, ANSWER), "Beijing"), ((SEARCH, FOUND, WRONG), "Shanghai")):
        given = rollout(*texts, answer=answer)
        for points in ({}, {"structure": 0.2, "final": 0.1, "retrieval": 0.1}):
            totals = {
                reward(SearchR1Config(mode=mode, **points), given).total for mode in ("mended", "published")
            }
            assert len(totals) == 1


def test_observations_of_another_tag_count_and_unseen_ones_do_not():
    seen = "\n\n<observation>Beijing is its capital.</observation>\n\n"
    given = rollout(SEARCH, seen, WRONG, answer="Shanghai")
    points = SearchR1Config(structure=0.2, retrieval=0.1)
    assert reward(points, given).total == pytest.approx(0.3)
    cut = given.turns[2].__class__("tool", (), seen, results=given.turns[2].results)
    turns = (*given.turns[:2], cut, *given.turns[3:])
    unseen = Rollout(given.task, turns, given.path, 0, "t", given.stop)
    assert reward(points, unseen).total == pytest.approx(0.2)


def test_tasks_without_answers_are_refused():
    with pytest.raises(ToolwiseError, match="no prediction can be compared"):
        build_reward(SearchR1Config()).check(Task("t", ({"role": "user", "content": "?"},)))
