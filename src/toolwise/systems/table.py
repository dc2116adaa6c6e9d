"""The published systems of the programme and its neighbours: what runs, and what does not yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["runs", "parts", "not yet"]


@dataclass(frozen=True, slots=True)
class SystemEntry:
    """One published system.

    Attributes:
        name: As it is published.
        paper: Where: an arXiv id, or the venue where there is none.
        topic: What it is about, in a few words.
        state: ``runs``: a packaged recipe trains by it; ``parts``: some of it is there, no recipe yet.
        recipes: Names of the packaged recipes.
        note: What is there, or what is missing.
    """

    name: str
    paper: str
    topic: str
    state: State
    recipes: tuple[str, ...] = ()
    note: str = ""


_NO: State = "not yet"

SYSTEMS: tuple[SystemEntry, ...] = (
    SystemEntry("GRPO", "2402.03300", "group-relative policy gradient", "runs", ("grpo",)),
    SystemEntry("PPO", "1707.06347", "policy gradient with a critic", "runs", ("ppo",)),
    SystemEntry(
        "OTC-GRPO",
        "2504.14870",
        "reward for few tool calls",
        "runs",
        ("otc-grpo", "otc-grpo-search"),
        "c = 4, α = 1",
    ),
    SystemEntry(
        "OTC-PPO",
        "2504.14870",
        "the same with a critic",
        "runs",
        ("otc-ppo",),
        "c = 4, α = 1",
    ),
    SystemEntry(
        "Search-R1",
        "2503.09516",
        "search while reasoning",
        "runs",
        ("search-r1",),
        "GRPO; for PPO, take its advantage and critic from the recipe ppo",
    ),
    SystemEntry(
        "ToolRL",
        "2504.13958",
        "reward of single tool-use turns",
        "runs",
        ("toolrl-sft", "toolrl", "toolrl-published", "toolrl-ppo"),
        "GRPO and PPO; all reward variants",
    ),
    SystemEntry("GSM8K with a calculator", "2110.14168", "worked sums", "runs", ("gsm8k-sft", "gsm8k")),
    SystemEntry(
        "SMART",
        "2502.11435",
        "when to use a tool",
        "runs",
        ("smart-sft", "smart-lora"),
        "SMART-ER data pipeline, dialect, indicators, metrics",
    ),
    SystemEntry("DPO", "2305.18290", "preferences without a reward model", "runs", ("dpo",)),
    SystemEntry(
        "DAST",
        "2503.09029",
        "difficulty-aware self-training",
        "runs",
        ("dast-sft", "dast-dpo"),
        "data, rounds, SFT and DPO; levels and counts are ours",
    ),
    SystemEntry(
        "NILE",
        "2412.16686",
        "consistent instruction data",
        "runs",
        ("nile",),
        "data pipeline; the score of consistency is ours",
    ),
    SystemEntry("TinyLLM", "2402.04616", "several teachers", "runs", ("tinyllm",), "causal students only"),
    SystemEntry(
        "MinPrompt",
        "2310.05007",
        "few-shot QA data",
        "runs",
        ("minprompt",),
        "toolwise data minprompt; causal models and BART",
    ),
    SystemEntry(
        "Gotta",
        "2306.04101",
        "cloze augmentation",
        "runs",
        ("minprompt",),
        "toolwise data minprompt --set questions=cloze; any entity is masked, no knowledge base",
    ),
    SystemEntry("MASH", "2510.01152", "pay per search", "parts", (), "reward; no recipe"),
    SystemEntry(
        "MatchTIR", "2601.10712", "turn credit by matching", "parts", (), "advantage; no matching reward"
    ),
    SystemEntry(
        "PORTool",
        "2510.26020",
        "tree rollouts",
        "parts",
        (),
        "trees and credit at forks; no forking rollouts",
    ),
    SystemEntry("ToolPO (DeepAgent)", "2510.21618", "action credit", _NO),
    SystemEntry("Fission-GRPO", "2601.15625", "learn from failed calls", _NO),
    SystemEntry("ReTool", "2504.11536", "code while reasoning", _NO),
    SystemEntry("TL-Training", "2412.15495", "token weights in SFT", _NO),
    SystemEntry("Confidence Dichotomy", "2601.07264", "calibrated agents", _NO),
    SystemEntry("AgentFlow / Flow-GRPO", "2510.05592", "a planner in the flow", _NO),
    SystemEntry("SPEAR", "2509.22601", "self-imitation", _NO, (), "no replay buffer"),
    SystemEntry("Tool-Star", "2505.16410", "several tools", _NO),
    SystemEntry("PURE", "2504.15275", "process rewards", _NO),
    SystemEntry("Training-Free GRPO", "2510.08191", "experience as text", _NO, (), "no text store"),
    SystemEntry("RM-R1", "2505.02387", "reward models that reason", _NO),
    SystemEntry("IterAlign", "2403.18341", "constitutions from data", _NO),
    SystemEntry("DecisionFlow", "2505.21397", "explicit decision models", _NO),
    SystemEntry("PlayBest", "2306.04090", "planning by diffusion", _NO),
    SystemEntry("ReLiable", "CIKM 2022", "offline tactical decisions", _NO),
    SystemEntry("ImPart", "2504.13237", "sparse weight deltas", _NO),
)
"""All of them, those that run first."""
