"""Recipes: what is wrong in one is named by key, and the packaged ones say what they are named for."""

from __future__ import annotations

import pytest
import yaml

from toolwise.core import ToolwiseError
from toolwise.rewards import OTCConfig, SearchR1Config, ToolRLConfig
from toolwise.systems import RLRecipe, SFTRecipe, load_recipe, packaged_recipes, recipe_of_run
from toolwise.systems.few_shot_recipe import FEW_SHOT_RECIPES
from toolwise.systems.table import SYSTEMS


def message(*overrides: str, source="grpo") -> str:
    with pytest.raises(ToolwiseError) as caught:
        load_recipe(source, overrides)
    return str(caught.value)


@pytest.mark.parametrize("name", packaged_recipes())
def test_every_packaged_recipe_is_one_and_survives_being_written_and_read(name, tmp_path):
    recipe = load_recipe(name)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(path) == recipe
    assert recipe.system == name


def test_otc_has_the_published_constants():
    recipe = load_recipe("otc-grpo")
    assert isinstance(recipe, RLRecipe)
    assert isinstance(recipe.reward, OTCConfig)
    assert (recipe.reward.smoothing, recipe.reward.alpha, recipe.reward.form) == (4.0, 1.0, "grpo")
    assert (recipe.reward.minimum, recipe.reward.format_weight) == ("running", 0.0)
    # At most four calls: five turns, the calls of the last of which are not run.
    assert recipe.rollout.limits.max_turns == recipe.reward.smoothing + 1
    assert recipe.advantage.type == "grpo"


def test_toolrl_has_the_settings_of_its_program():
    recipe = load_recipe("toolrl")
    assert isinstance(recipe, RLRecipe)
    assert recipe.reward == ToolRLConfig()
    assert recipe.advantage.divisor == "sample"
    assert recipe.advantage.epsilon == 1e-6
    assert (recipe.rollout.tasks_per_step, recipe.rollout.group_size) == (512, 4)
    assert (recipe.training.mini_batches, recipe.training.epochs, recipe.training.steps) == (4, 1, 104)
    assert (recipe.rollout.limits.max_turns, recipe.rollout.limits.max_turn_tokens) == (1, 1024)
    assert (recipe.loss.clip_low, recipe.loss.clip_high, recipe.loss.dual_clip) == (0.2, 0.2, None)
    assert (recipe.loss.entropy_coefficient, recipe.loss.kl.coefficient) == (0.001, 0.001)
    learner = recipe.learner.settled(416)
    assert (learner.learning_rate, learner.betas, learner.weight_decay) == (1e-6, (0.9, 0.999), 0.01)
    assert (learner.schedule, learner.grad_clip) == ("constant", 1.0)
    sft = load_recipe("toolrl-sft")
    assert isinstance(sft, SFTRecipe)
    settled = sft.learner.settled(60)
    assert (settled.learning_rate, settled.schedule, settled.warmup_steps) == (1e-5, "cosine", 6)
    assert settled.total_steps == 60


def test_the_published_toolrl_states_what_the_program_does_beside_the_paper():
    clean, published = load_recipe("toolrl"), load_recipe("toolrl-published")
    assert isinstance(clean, RLRecipe)
    assert isinstance(published, RLRecipe)
    assert (published.kl_in_reward.estimator, published.kl_in_reward.coefficient) == ("k1", 0.001)
    assert (published.loss.kl.coefficient, published.loss.entropy_coefficient) == (0.0, 0.001)
    learner = published.learner.settled(416)
    # The four updates of the first training step have the rate 0; then it is constant.
    assert [learner.rate(step) for step in (0, 3, 4, 415)] == [0.0, 0.0, 1e-6, 1e-6]
    assert (
        published.model_copy(
            update={
                "system": "toolrl",
                "kl_in_reward": clean.kl_in_reward,
                "loss": clean.loss,
                "learner": clean.learner,
            }
        )
        == clean
    )


def test_search_r1_has_the_published_settings():
    recipe = load_recipe("search-r1")
    assert isinstance(recipe, RLRecipe)
    limits = recipe.rollout.limits
    # Four turns and the forced one, whose search is not run.
    assert (limits.max_turns, limits.max_turn_tokens, limits.max_context) == (5, 500, 4096)
    assert recipe.dialect.max_observation_tokens == 500
    assert recipe.tools[0].top_k == 3
    assert recipe.reward == SearchR1Config(mode="mended", structure=0, final=0, retrieval=0)
    assert recipe.rollout.group_by is None
    assert (recipe.rollout.tasks_per_step, recipe.rollout.group_size) == (512, 5)
    assert (recipe.rollout.temperature, recipe.rollout.top_p) == (1.0, 0.95)
    assert recipe.training.mini_batches == 512 * 5 // 256
    assert recipe.training.steps == 1005
    learner = recipe.learner.settled(10050)
    assert (learner.learning_rate, learner.warmup_steps) == (1e-6, round(0.285 * 10050))
    assert (recipe.loss.kl.estimator, recipe.loss.kl.coefficient) == ("k3", 0.001)
    assert (recipe.loss.clip_low, recipe.loss.clip_high, recipe.loss.entropy_coefficient) == (0.2, 0.2, 0.001)
    published = load_recipe("search-r1", ["reward.mode=published", "rollout.group_by=index"])
    assert (published.reward.mode, published.rollout.group_by) == ("published", "index")


def test_otc_on_search_is_search_r1_with_another_prompt_and_reward():
    ours, base = load_recipe("otc-grpo-search"), load_recipe("search-r1")
    assert ours.dialect.variant == "otc"
    assert ours.reward == load_recipe("otc-grpo").reward
    for part in ("tools", "advantage", "loss", "rollout", "learner", "training"):
        assert getattr(ours, part) == getattr(base, part)


@pytest.mark.parametrize(
    "override, parts",
    [
        ("learner.learning_rte=1", ["'learner.learning_rte' is not known", "'learner.learning_rate'"]),
        ("learning_rate=1", ["'learning_rate' is not known", "'learner.learning_rate'"]),
        ("foo=1", ["'foo' is not known", "known are: advantage, critic, dialect"]),
        ("reward.correctness.type=f1", ["'reward.correctness' is not known", "after, format_weight, type"]),
        ("learner.learning_rate=-1", ["'learner.learning_rate' is -1", "greater than 0"]),
        ("learner.learning_rate=fast", ["'learner.learning_rate' is 'fast'", "a valid number"]),
        ("rollout.top_p=2", ["'rollout.top_p' is 2", "less than or equal to 1"]),
        ("rollout.limits.max_turns=0", ["'rollout.limits.max_turns' is 0", "greater than or equal to 1"]),
        ("reward.type=otc2", ["'reward.type' is 'otc2'", "'exact_match'", "'otc'"]),
        ("tools=[{type: serch}]", ["'tools.0.type' is 'serch'", "'search'"]),
        ("tools.0.type=http_search", ["'tools.0.url' is missing"]),
        ("loss.aggregation=mean", ["'loss.aggregation' is 'mean'", "'token-mean'"]),
        (
            "reward={type: otc, correctness: {type: f1, format_weight: -1}}",
            ["'reward.correctness.format_weight'"],
        ),
        ("model={source: a, init: {}}", ["'model'", "either 'source' or 'init'"]),
        ("model.init.heads=5", ["'model.init'", "no multiple"]),
        ("advantage.type=gae", ["advantage.type 'gae' needs a critic", "--set critic={}"]),
        ("critic={}", ["advantage.type 'grpo' has no use for a critic", "--set critic=null"]),
        ("critic.learner.learning_rate=0", ["'critic.learner.learning_rate' is 0", "greater than 0"]),
        ("critic.clips=1", ["'critic.clips' is not known", "'critic.clip'"]),
        ("stage=ppo", ["'stage' is 'ppo'", "it takes: 'rl'"]),
        ("nonsense", ["'nonsense'", "--set a.b=c"]),
        ("a=[1", ["no YAML", "quotes"]),
        ("system.name.first=x", ["'system' is 'grpo'", "no keys of its own"]),
        ("tools.7.type=search", ["'tools.7'", "list of 2"]),
        ("sinks=[wandb, tensorbord]", ["'sinks.1' is 'tensorbord'", "'tensorboard'"]),
        ("reward={type: custom, target: no.such.module:thing}", ["'reward.target'", "PYTHONPATH"]),
        ("advantage={type: custom, target: no.such:x}", ["'advantage.target'", "PYTHONPATH"]),
        ("dialect={type: custom, target: no.such:x}", ["'dialect.target'", "PYTHONPATH"]),
        ("tools=[{type: function, target: no.such:x}]", ["'tools.0.target'", "PYTHONPATH"]),
        ("reward={type: custom, target: plain}", ["'reward.target' is 'plain'", "module:attribute"]),
        ("reward={type: custom, target: os:environ}", ["'os:environ', which gives a _Environ", "function"]),
        ("tools=[calculator]", ["'tools.0' is 'calculator'", "{key: value}"]),
        ("tools=calculator", ["'tools' is 'calculator'", "a list"]),
        ("learner.learning_rate=.inf", ["'learner.learning_rate' is inf", "finite"]),
        ("learner.betas=[0.9, 1]", ["'learner.betas.1' is 1", "less than 1"]),
    ],
)
def test_what_is_wrong_is_named(override, parts):
    found = message(override)
    for part in parts:
        assert part in found, found
    assert "recipe 'grpo'" in found or "--set" in found


@pytest.mark.parametrize(
    "overrides, parts",
    [
        (
            ["advantage={type: gdpo, parts: {correct: 1}}", "kl_in_reward.coefficient=0.1"],
            ["'gdpo'", "does not see kl_in_reward", "loss.kl"],
        ),
        (
            ["advantage={type: terms, terms: [{spread: mask}]}", "kl_in_reward.coefficient=0.1"],
            ["'terms'", "does not see kl_in_reward"],
        ),
        (
            ["advantage.type=gae", "critic.warmup_steps=100"],
            ["critic.warmup_steps is 100", "none of 100 steps"],
        ),
    ],
)
def test_what_does_not_fit_together_is_named(overrides, parts):
    found = message(*overrides)
    for part in parts:
        assert part in found, found


def test_a_critic_of_its_own_comes_with_an_override():
    recipe = load_recipe("grpo", ["advantage.type=gae", "critic={}", "kl_in_reward.coefficient=0.1"])
    assert isinstance(recipe, RLRecipe)
    assert recipe.critic is not None
    settled = recipe.critic.settled(40)
    assert (settled.learner.learning_rate, settled.learner.total_steps, settled.clip) == (1e-5, 40, 0.5)
    assert recipe.advantage.model_dump() == {
        "type": "gae",
        "discount": 1.0,
        "decay": 1.0,
        "whitening": True,
    }
    assert load_recipe("ppo", ["critic=null", "advantage.type=grpo"]).critic is None


def test_otc_ppo_has_the_published_constants():
    recipe = load_recipe("otc-ppo")
    assert isinstance(recipe, RLRecipe)
    assert isinstance(recipe.reward, OTCConfig)
    assert (recipe.reward.smoothing, recipe.reward.alpha, recipe.reward.form) == (4.0, 1.0, "ppo")
    assert recipe.rollout.limits.max_turns == recipe.reward.smoothing + 1
    assert (recipe.rollout.tasks_per_step, recipe.rollout.group_size) == (512, 1)
    assert (recipe.training.steps, recipe.training.mini_batches) == (1005, 2)
    assert (recipe.advantage.type, recipe.advantage.discount, recipe.advantage.decay) == ("gae", 1.0, 1.0)
    assert (recipe.kl_in_reward.estimator, recipe.kl_in_reward.coefficient) == ("k1", 0.001)
    assert (recipe.loss.kl.coefficient, recipe.loss.entropy_coefficient) == (0, 0.001)
    assert recipe.learner.settled(2010).warmup_steps == 573
    assert recipe.critic is not None
    assert recipe.critic.settled(2010).learner.warmup_steps == 30
    assert (recipe.learner.learning_rate, recipe.critic.learner.learning_rate) == (1e-6, 1e-5)


def test_toolrl_ppo_has_the_settings_of_its_program():
    recipe, grpo = load_recipe("toolrl-ppo"), load_recipe("toolrl")
    assert isinstance(recipe, RLRecipe)
    assert isinstance(grpo, RLRecipe)
    assert (recipe.reward, recipe.learner, recipe.training) == (grpo.reward, grpo.learner, grpo.training)
    assert (recipe.rollout.tasks_per_step, recipe.rollout.group_size) == (512, 1)
    assert (recipe.rollout.limits.max_turns, recipe.rollout.limits.max_turn_tokens) == (1, 512)
    assert (recipe.loss.clip_low, recipe.loss.clip_high, recipe.loss.dual_clip) == (0.2, 0.2, None)
    assert (recipe.kl_in_reward.estimator, recipe.kl_in_reward.coefficient) == ("k1", 0.001)
    assert (recipe.loss.kl.coefficient, recipe.loss.entropy_coefficient) == (0, 0.001)
    assert (recipe.advantage.discount, recipe.advantage.decay, recipe.advantage.whitening) == (1, 1, True)
    assert recipe.critic is not None
    assert (recipe.critic.clip, recipe.critic.warmup_steps) == (0.5, 0)
    critic = recipe.critic.settled(416).learner
    assert (critic.learning_rate, critic.betas, critic.weight_decay) == (1e-5, (0.9, 0.999), 0.01)
    assert (critic.schedule, critic.grad_clip) == ("constant", 1.0)


def test_all_wrong_keys_are_said_at_once():
    found = message("learner.learning_rate=-1", "rollout.top_p=2", "trainig.steps=1")
    assert "3 keys are wrong" in found
    assert "did you mean 'training'" in found


def test_values_of_overrides_are_yaml_and_another_type_drops_the_old_keys():
    recipe = load_recipe(
        "otc-grpo", ["learner.learning_rate=1e-5", "reward.type=f1", "learner.grad_clip=null"]
    )
    assert recipe.learner.learning_rate == 1e-5
    assert recipe.learner.grad_clip is None
    assert recipe.reward.model_dump() == {"after": None, "format_weight": 0.0, "type": "f1"}
    assert recipe.rollout == load_recipe("otc-grpo").rollout


@pytest.mark.parametrize(
    "text, part",
    [
        ("stage: rl\nsystem: x\nstage: sft\n", "line 3: cannot be read as YAML: key 'stage' stands twice"),
        ("stage: rl\n tools: [\n", "line"),
        ("- a\n", "no mapping"),
        ("", "no mapping"),
        ("system: x\n", "key 'stage' is missing"),
    ],
)
def test_files_that_are_no_recipe(tmp_path, text, part):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    found = message(source=path)
    assert part in found
    assert "own.yaml" in found


def test_recipes_that_are_not_there(tmp_path):
    assert "does not exist" in message(source=tmp_path / "no.yaml")
    found = message(source="otc")
    assert "otc-grpo" in found
    assert "gsm8k" in found


def test_a_model_is_rolled_out_as_its_run_says(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(load_recipe("gsm8k-sft").model_dump(mode="json")))
    recipe = recipe_of_run(tmp_path, ["rollout.temperature=0.5"])
    assert recipe is not None
    assert [tool.type for tool in recipe.tools] == ["calculator"]
    assert (recipe.tasks.format, recipe.rollout.temperature) == ("gsm8k", 0.5)
    checkpoint = tmp_path / "checkpoints" / "step_000001"
    checkpoint.mkdir(parents=True)
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(load_recipe("toolrl", ["tasks.path=train.parquet"]).model_dump(mode="json"))
    )
    recipe = recipe_of_run(checkpoint)
    assert recipe is not None
    assert (recipe.reward.type, recipe.dialect.type, recipe.tasks.path) == ("toolrl", "toolrl", None)
    assert recipe_of_run(tmp_path / "checkpoints") is None


def test_the_table_of_systems_names_only_recipes_that_there_are():
    packaged = packaged_recipes()
    there = packaged.keys() | set(FEW_SHOT_RECIPES)
    assert {recipe for entry in SYSTEMS for recipe in entry.recipes} <= there
    for entry in SYSTEMS:
        assert (entry.state == "runs") == bool(entry.recipes), entry.name
    names = [entry.name for entry in SYSTEMS]
    assert len(set(names)) == len(names)
    # A recipe that belongs to no system is the generic one.
    assert packaged.keys() - {recipe for entry in SYSTEMS for recipe in entry.recipes} == {"sft"}
