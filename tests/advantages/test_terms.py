import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from toolwise.advantages import (
    AdvantageConfig,
    Credit,
    Normaliser,
    PartSource,
    Term,
    TermsEstimator,
    TotalSource,
    TurnSource,
    build_advantage,
    credit_of,
    preset_terms,
)
from toolwise.core import Reward, RolloutEnd, RolloutTree, StopReason, Task, ToolwiseError, Turn

ADAPTER = TypeAdapter(AdvantageConfig)


def estimator(**config):
    return build_advantage(ADAPTER.validate_python(config))


def credit(total, group="g", turns=1, tokens=2, reward=None):
    """Prompt of 1 token, then `turns` assistant turns of `tokens` tokens, each followed by an observation."""
    pattern = [-1]
    for turn in range(turns):
        pattern += [turn] * tokens + [-1]
    turn = np.array(pattern)
    node = np.concatenate([[0], np.cumsum(np.diff(turn) != 0)])
    return Credit(group, reward or Reward(total), turn >= 0, turn, node, "tree")


def first(advantages, credits):
    """The single value of each rollout, after checking that it is one, and 0 off the mask."""
    for values, one in zip(advantages, credits, strict=True):
        assert (values[~one.mask] == 0).all()
        assert len(set(values[one.mask])) == 1
    return [values[one.mask][0] for values, one in zip(advantages, credits, strict=True)]


def scored(config, rewards, groups=None):
    credits = [
        credit(reward, group) for reward, group in zip(rewards, groups or ["g"] * len(rewards), strict=True)
    ]
    return first(estimator(**config)(credits), credits)


@pytest.mark.parametrize(
    ("config", "rewards", "expected"),
    [
        ({"type": "grpo"}, [1, 0], [0.70710578, -0.70710578]),  # sample std 0.7071
        ({"type": "grpo", "divisor": "population"}, [1, 0], [0.999998, -0.999998]),
        ({"type": "grpo"}, [0.5], [0.5 / (1 + 1e-6)]),
        ({"type": "grpo", "single": "zero"}, [0.5], [0]),
        ({"type": "dr_grpo"}, [1, 0, 0, 0], [0.75, -0.25, -0.25, -0.25]),
        ({"type": "rloo"}, [1, 0, 0], [1, -0.5, -0.5]),
        ({"type": "rloo"}, [0.5], [0.5]),
        ({"type": "rloo", "single": "zero"}, [0.5], [0]),
        ({"type": "grpo_passk", "divide_by_std": False}, [1, 3, 0], [0, 2, 0]),
        ({"type": "grpo_passk"}, [2, 2, 0], [0, 0, 0]),
        ({"type": "gpg"}, [1, 0, 0, 0], [3, -1, -1, -1]),
        ({"type": "gpg"}, [0, 0], [0, 0]),
        ({"type": "reinforce_plus_plus"}, [1, 0], [0.8660254, -0.8660254]),  # over 2 + 2 tokens
    ],
)
def test_presets_by_hand(config, rewards, expected):
    assert scored(config, rewards) == pytest.approx(expected, abs=1e-7)


def test_lite_ppo_takes_the_mean_of_the_group_and_the_std_of_the_batch():
    rewards = [1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    groups = ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    expected = np.array([1.014185, -1.014185, -1.014185, 1.014185, *[0.507093] * 3, -1.521278, *[0] * 4])
    assert scored({"type": "lite_ppo"}, rewards, groups) == pytest.approx(expected, abs=5e-6)
    unbiased = scored({"type": "lite_ppo", "divisor": "sample"}, rewards, groups)
    assert unbiased[0] == pytest.approx(0.971008, abs=5e-6)


def test_opo_weights_the_mean_with_lengths():
    credits = [credit(1.0, tokens=3), credit(0.0, tokens=1)]
    assert first(estimator(type="opo")(credits), credits) == pytest.approx([0.25, -0.75])


REWARDS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(-3, 3)), min_size=1, max_size=9)
CENTRED = ["grpo", "dr_grpo", "rloo", "lite_ppo"]


@given(REWARDS, st.sampled_from(CENTRED))
def test_centred_advantages_sum_to_zero_in_each_group(rows, kind):
    groups, rewards = zip(*rows, strict=True)
    found = np.array(scored({"type": kind, "single": "zero"}, rewards, groups))
    for group in set(groups):
        total = found[[other == group for other in groups]]
        assert abs(total.sum()) <= 1e-9 * (1 + np.abs(total).sum()) + 1e-12


@given(
    st.floats(-3, 3), st.integers(2, 9), st.sampled_from([*CENTRED, "opo", "reinforce_plus_plus_baseline"])
)
def test_constant_groups_give_exactly_zero(reward, size, kind):
    assert scored({"type": kind}, [reward] * size) == [0.0] * size


@given(REWARDS, st.sampled_from([*CENTRED, "opo", "gpg", "reinforce_plus_plus_baseline"]), st.randoms())
def test_order_does_not_matter(rows, kind, random):
    groups, rewards = zip(*rows, strict=True)
    order = list(range(len(rows)))
    random.shuffle(order)
    straight = scored({"type": kind}, rewards, groups)
    mixed = scored({"type": kind}, [rewards[row] for row in order], [groups[row] for row in order])
    assert mixed == pytest.approx([straight[row] for row in order], rel=1e-6, abs=1e-6)


@given(st.floats(0.1, 5), st.lists(st.floats(-3, 3), min_size=2, max_size=6, unique=True))
def test_dr_grpo_scales_with_the_reward_and_grpo_does_not(factor, rewards):
    scaled = [factor * reward for reward in rewards]
    straight = np.array(scored({"type": "dr_grpo"}, rewards))
    assert scored({"type": "dr_grpo"}, scaled) == pytest.approx(list(factor * straight), abs=1e-9)
    if np.std(rewards) > 0.1:
        grpo = scored({"type": "grpo", "epsilon": 0}, rewards)
        assert scored({"type": "grpo", "epsilon": 0}, scaled) == pytest.approx(grpo, rel=1e-6)


def test_whitened_tokens_have_mean_zero_and_variance_one():
    credits = [credit(reward, group, tokens=length) for reward, group, length in zip(
        [1, 0, 2, 5, 1], "aabbb", [1, 4, 2, 3, 2], strict=True)]  # fmt: skip
    found = estimator(type="reinforce_plus_plus_baseline")(credits)
    kept = np.concatenate([values[one.mask] for values, one in zip(found, credits, strict=True)])
    assert kept.mean() == pytest.approx(0, abs=1e-6)
    assert kept.var(ddof=1) == pytest.approx(1, abs=1e-6)


def test_gdpo_normalises_each_part_before_it_adds():
    rewards = [Reward(0, {"acc": acc, "fmt": fmt}) for acc, fmt in [(1, 10), (0, 20)]]
    credits = [credit(0, reward=reward) for reward in rewards]
    # Each part is ±0.7071; 1·acc − 0.5 of it remains, and whitening makes the 4 tokens ±0.8660
    found = first(estimator(type="gdpo", parts={"acc": 1.0, "fmt": 0.5})(credits), credits)
    assert found == pytest.approx([0.8660254, -0.8660254], abs=1e-6)
    assert first(estimator(type="gdpo", parts={"acc": 0.5, "fmt": 1.0})(credits), credits)[0] < 0
    with pytest.raises(ToolwiseError, match="no part 'format'"):
        estimator(type="gdpo", parts={"format": 1.0})(credits)


def test_discounted_returns_pass_over_observations():
    one, other = credit(1.0, turns=2, tokens=1), credit(0.0, turns=2, tokens=1)
    found = estimator(type="reinforce_plus_plus", discount=0.5)([one, other])
    # Returns 0.5 and 1 against 0 and 0: the observation between them costs no discount.
    mean, std = 0.375, np.std([0.5, 1, 0, 0], ddof=1)
    assert found[0][one.mask] == pytest.approx([(0.5 - mean) / std, (1 - mean) / std], abs=1e-6)


def test_matchtir_is_a_trajectory_and_a_turn_term():
    """Half the normalised sum, half the normalised discounted suffix of each turn index."""
    rewards = [Reward(3.0, turns=(1.0, 2.0)), Reward(1.0, turns=(1.0,))]
    credits = [credit(0, turns=len(reward.turns), reward=reward) for reward in rewards]
    terms = [
        Term(normaliser=Normaliser(), weight=0.5),
        Term(
            source=TurnSource(discount=0.9),
            normaliser=Normaliser(over="turn"),
            spread="turn",
            weight=0.5,
        ),
    ]
    found = TermsEstimator(terms)(credits)
    # Turn 0: 1 + 0.9·2 = 2.8 against 1; turn 1 stands alone and keeps its 2.
    assert found[0][credits[0].mask] == pytest.approx([0.5 + 0.45] * 2 + [0.5 + 1.0] * 2)
    assert found[1][credits[1].mask] == pytest.approx([-0.5 - 0.45] * 2)


def test_flow_grpo_counts_turns_in_its_statistics():
    turns = [1, 3, 2, 2]
    credits = [credit(reward, turns=count) for reward, count in zip([1.0, 0.0, 1.0, 0.0], turns, strict=True)]
    by_turn = Term(source=TotalSource(at="turn"), normaliser=Normaliser(scale_over="group"), spread="turn")
    found = first(TermsEstimator([by_turn])(credits), credits)
    assert found == pytest.approx([1.207612, -0.724567, 1.207612, -0.724567], abs=2e-6)
    by_rollout = Term(normaliser=Normaliser(scale_over="group"))
    assert first(TermsEstimator([by_rollout])(credits), credits)[0] == pytest.approx(0.866024, abs=2e-6)


def test_toolpo_adds_the_action_advantage_on_marked_tokens():
    rewards = [
        Reward(1.0, {"action": 3.25}, tokens=(0, 1, 0, 0)),
        Reward(0.0, {"action": 0.96}, tokens=(0, 0, 0, 0)),
        Reward(1.0, {"action": 0.0}, tokens=(0, 1, 1, 0)),
        Reward(0.0, {"action": 2.3333333}, tokens=(0, 0, 1, 1)),
    ]
    credits = [credit(0, reward=reward) for reward in rewards]
    action = Term(source=PartSource(name="action"), spread="mask")
    found = TermsEstimator([Term(), action])(credits)
    assert found[0] == pytest.approx([0, 2.114167, 0.5, 0], abs=1e-6)
    assert found[1] == pytest.approx([0, -0.5, -0.5, 0])
    assert found[2] == pytest.approx([0, -1.135833, -1.135833, 0], abs=1e-6)
    assert found[3] == pytest.approx([0, -0.5, 0.1975, 0], abs=1e-6)  # marked, but not sampled: 0


def test_from_here_gives_each_turn_what_follows():
    reward = Reward(0, turns=(1.0, 10.0, 100.0))
    one = credit(0, turns=3, tokens=1, reward=reward)
    term = Term(source=TurnSource(), normaliser=Normaliser(over="none"), spread="from_here")
    assert TermsEstimator([term])([one])[0][one.mask].tolist() == [111, 110, 100]


def sampled(role, *tokens):
    return Turn(
        role, tokens, sampled=role == "assistant", logprobs=(0.0,) * len(tokens) * (role == "assistant")
    )


def portool_tree():
    """Prompt 0 forks into 1 and 2; 1 is called once (3) and forks into 4 and 5; 2 ends."""
    turns = (
        sampled("prompt", 1), sampled("assistant", 2, 3), sampled("assistant", 4), sampled("tool", 5),
        sampled("assistant", 6), sampled("assistant", 7, 8),
    )  # fmt: skip
    ends = tuple(RolloutEnd(leaf, sample, "t", StopReason.ANSWERED) for sample, leaf in enumerate((4, 5, 2)))
    task = Task("t", ({"role": "user", "content": "?"},))
    return RolloutTree(task, turns, (-1, 0, 0, 1, 3, 3), ends)


def test_credit_follows_the_path():
    credits = [credit_of(one, Reward(0), "x") for one in portool_tree().rollouts()]
    assert credits[0].mask.tolist() == [False, True, True, False, True]
    assert credits[0].turn.tolist() == [-1, 0, 0, -1, 1]
    assert credits[0].node.tolist() == [0, 1, 1, 3, 4]
    assert credits[1].length == 4
    assert credits[2].node.tolist() == [0, 2]


def test_siblings_at_a_fork_are_compared_once_each():
    """PORTool's fork term: a node is worth the mean of the rollouts through it."""
    totals = [1.0, 0.0, 0.25]
    credits = [
        credit_of(one, Reward(total), "x")
        for one, total in zip(portool_tree().rollouts(), totals, strict=True)
    ]
    rule = Normaliser(over="siblings", single="zero")
    found = TermsEstimator([Term(normaliser=rule, spread="turn")])(credits)
    # First fork: 0.5 (mean of 1 and 0) against 0.25; second: 1 against 0.
    assert found[0].tolist() == [0, 0.125, 0.125, 0, 0.5]
    assert found[1].tolist() == [0, 0.125, 0.125, 0, -0.5, -0.5]
    assert found[2].tolist() == [0, -0.125]
    flat = [credit_of(one, Reward(1.0), "x") for one in portool_tree().rollouts()]
    assert not np.concatenate(TermsEstimator([Term(normaliser=rule, spread="turn")])(flat)).any()


def test_equal_nodes_of_different_trees_are_no_siblings():
    trees = ["x", "y"]
    credits = [
        credit_of(portool_tree().rollouts()[2], Reward(total), tree)
        for total, tree in zip((1.0, 0.0), trees, strict=True)
    ]
    rule = Normaliser(over="siblings", single="zero")
    assert not np.concatenate(TermsEstimator([Term(normaliser=rule, spread="turn")])(credits)).any()


def test_edge_flags():
    with pytest.raises(ToolwiseError, match="group 'g'"):
        scored({"type": "grpo", "single": "error"}, [1])
    tiny = [1.0, 1.0 + 1e-9]
    kept = Normaliser(scale_over="group", zero_std="centre")
    credits = [credit(reward) for reward in tiny]
    assert first(TermsEstimator([Term(normaliser=kept)])(credits), credits)[0] == pytest.approx(
        -5e-10, abs=1e-12
    )
    divided = Normaliser(scale_over="group")
    assert first(TermsEstimator([Term(normaliser=divided)])(credits), credits)[0] == pytest.approx(
        -5e-4, rel=1e-2
    )


def test_missing_rewards_are_named():
    with pytest.raises(ToolwiseError, match="0 turn rewards for 1 assistant turns"):
        TermsEstimator([Term(source=TurnSource(), spread="turn")])([credit(1.0)])
    with pytest.raises(ToolwiseError, match="for 4 tokens, there are 0"):
        TermsEstimator([Term(spread="mask")])([credit(1.0)])
    with pytest.raises(ToolwiseError, match="only one"):
        estimator(type="grpo_passk")([credit(1.0)])


def test_nothing_gives_nothing():
    for kind in ("grpo", "reinforce_plus_plus", "grpo_passk", "gpg", "reinforce_plus_plus_baseline"):
        assert estimator(type=kind)([]) == []


@pytest.mark.parametrize(
    "config",
    [
        {"type": "ppo"},
        {"type": "grpo", "eps": 1},
        {"type": "terms", "terms": []},
        {"type": "terms", "terms": [{"spread": "turn"}]},
        {"type": "terms", "terms": [{"normaliser": {"over": "turn"}}]},
        {"type": "terms", "terms": [{"source": {"type": "turns"}, "spread": "mask"}]},
        {"type": "gdpo", "parts": {}},
        {"type": "custom", "target": "no.such:thing"},
    ],
)
def test_wrong_configurations_are_refused(config):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(config)


class Constant:
    def __init__(self, value):
        self.value = value

    def __call__(self, credits):
        return [np.where(one.mask, self.value, 0.0) for one in credits]


def test_custom_estimator():
    credits = [credit(1.0)]
    found = estimator(type="custom", target=f"{__name__}:Constant", arguments={"value": 4.0})(credits)
    assert first(found, credits) == [4.0]


@pytest.mark.parametrize(
    "kind", ["grpo", "dr_grpo", "rloo", "lite_ppo", "opo", "reinforce_plus_plus_baseline"]
)
def test_a_preset_written_out_as_terms_is_the_preset(kind):
    config = ADAPTER.validate_python({"type": kind})
    written = ADAPTER.validate_python(preset_terms(config).model_dump(mode="json"))
    credits = [credit(reward, group) for reward, group in zip([1, 0, 3, 1], "aabb", strict=True)]
    for ours, theirs in zip(build_advantage(config)(credits), build_advantage(written)(credits), strict=True):
        assert np.array_equal(ours, theirs)
