"""RunFolder: everything a training run writes, and where it goes on after a stop."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from toolwise.core import ToolwiseError
from toolwise.learning.ahead import Ahead
from toolwise.learning.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from toolwise.learning.critic import Critic
from toolwise.learning.distributed import ALONE, World
from toolwise.learning.sinks import MetricSink
from toolwise.learning.updater import ModelUpdater


class RunFolder:
    """``config.yaml``, ``metrics.jsonl``, ``rollouts/step_XXXXXX.jsonl`` and ``checkpoints/step_XXXXXX``.

    Args:
        path: The folder; made if missing.
        keep: Number of newest checkpoints to keep, ≥ 1.
        sinks: Where metrics go as well.
        world: The ranks of the run; the first one writes, all read the same disk.

    All ranks call its methods; errors of writing are raised on each of them.
    """

    def __init__(
        self, path: Path, *, keep: int = 2, sinks: Sequence[MetricSink] = (), world: World = ALONE
    ) -> None:
        self.path = Path(path)
        self.keep = keep
        self.sinks = tuple(sinks)
        self.world = world
        if world.first:
            self.path.mkdir(parents=True, exist_ok=True)

    @property
    def metrics_path(self) -> Path:
        """One JSON object a step."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return list_checkpoints(self.path / "checkpoints")

    @staticmethod
    def config_of(path: Path) -> dict[str, Any]:
        """What ``config.yaml`` of a run folder says; empty where there is none.

        Raises:
            ToolwiseError: It cannot be read.
        """
        file = path / "config.yaml"
        if not file.is_file():
            return {}
        try:
            there = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ToolwiseError(
                f"cannot be read: {error}", where=str(file), mend="mend it, or choose another folder"
            ) from error
        if not isinstance(there, dict):
            raise ToolwiseError(
                "is no mapping of keys to values", where=str(file), mend="choose another folder"
            )
        return there

    def write_config(self, config: Mapping[str, Any], changeable: Sequence[str] = ()) -> None:
        """Write ``config.yaml``; a run that is there already must have the same one.

        Args:
            config: What JSON can hold.
            changeable: Dotted keys that may differ; the file then says the new values.

        Raises:
            ToolwiseError: The folder holds a run with another configuration; names the keys.
        """
        self.world.by_first(lambda: self._write_config(config, changeable))

    def _write_config(self, config: Mapping[str, Any], changeable: Sequence[str]) -> None:
        path = self.path / "config.yaml"
        new = json.loads(json.dumps(config))
        text = yaml.safe_dump(new, sort_keys=False, allow_unicode=True)
        if there := self.config_of(self.path):
            different = list(_different(there, new))
            if refused := [key for key in different if key not in changeable]:
                raise ToolwiseError(
                    f"the run in this folder has another configuration: {', '.join(refused)}",
                    where=str(path),
                    mend="choose another folder, or remove this one to start anew",
                )
            if not different:
                return
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of one step; a value that is not finite is written as null."""
        if not self.world.first:
            return
        record = {"step": step} | {
            name: value if math.isfinite(value) else None for name, value in metrics.items()
        }
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        for sink in self.sinks:
            sink.write(step, metrics)

    def write_rollouts(self, step: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Write readable rollouts of one step, one JSON object a line."""
        if not self.world.first:
            return
        folder = self.path / "rollouts"
        folder.mkdir(exist_ok=True)
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        (folder / f"step_{step:06d}.jsonl").write_text("".join(lines), encoding="utf-8")

    def save(
        self,
        step: int,
        learner: ModelUpdater,
        *,
        tokenizer: Any = None,
        reward: Any = None,
        critic: Critic | None = None,
        ahead: Ahead | None = None,
    ) -> Path:
        """Write a checkpoint of the learner, of the critic, and of the reward function where it keeps state.

        What was collected ahead is part of it.

        Raises:
            ToolwiseError: See `save_checkpoint`.
        """
        state = {
            "step": step,
            "learner": learner.state_dict(),
            "critic": None if critic is None else critic.state_dict(),
            "reward": reward.state_dict() if hasattr(reward, "state_dict") else None,
            "metrics_lines": len(self._lines()),
            "ahead": {} if ahead is None else ahead.state_dict(),
        }
        weights = learner.whole_weights()
        critic_weights = None if critic is None else critic.whole_weights()
        return self.world.by_first(
            lambda: save_checkpoint(
                self.path / "checkpoints",
                step,
                learner.model,
                state,
                tokenizer=tokenizer,
                critic=None if critic is None else critic.model,
                weights=weights,
                critic_weights=critic_weights,
                keep=self.keep,
            )
        )

    def resume(
        self,
        learner: ModelUpdater,
        *,
        reward: Any = None,
        critic: Critic | None = None,
        ahead: Ahead | None = None,
    ) -> int:
        """Go back to the newest complete checkpoint; what was written after it is taken away.

        Returns:
            The number of finished steps, 0 where there is no checkpoint.

        Raises:
            ToolwiseError: The checkpoint cannot be read, or not by all ranks.
        """
        newest = self.world.by_first(lambda: next(reversed(self.checkpoints), None))
        step = lines = 0
        if newest is not None:
            step, lines = self.world.agreed(lambda: self._load(newest, learner, reward, critic, ahead))
        if self.world.first:
            self._forget_after(step, lines)
        return step

    def _load(
        self, newest: Path, learner: ModelUpdater, reward: Any, critic: Critic | None, ahead: Ahead | None
    ) -> tuple[int, int]:
        if newest not in self.checkpoints:
            raise ToolwiseError(
                f"rank {self.world.rank} does not see the checkpoint that rank 0 sees",
                where=str(newest),
                mend="put the run folder on a disk that all machines share",
            )
        state = load_checkpoint(newest, learner.model, None if critic is None else critic.model)
        learner.load_state_dict(state["learner"])
        if critic is not None:
            critic.load_state_dict(state["critic"])
        if state["reward"] is not None and hasattr(reward, "load_state_dict"):
            reward.load_state_dict(state["reward"])
        if ahead is not None:
            ahead.load_state_dict(state.get("ahead", {}))
        return int(state["step"]), int(state["metrics_lines"])

    def _forget_after(self, step: int, lines: int) -> None:
        """Take away what was written after a checkpoint."""
        written = self._lines()
        if len(written) > lines:
            self.metrics_path.write_bytes(b"".join(written[:lines]))
        for path in (self.path / "rollouts").glob("step_*.jsonl"):
            number = re.fullmatch(r"step_(\d+)\.jsonl", path.name)
            if number and int(number[1]) > step:
                path.unlink()

    def close(self) -> None:
        """Close the sinks."""
        for sink in self.sinks:
            sink.close()

    def _lines(self) -> list[bytes]:
        if not self.metrics_path.is_file():
            return []
        return self.metrics_path.read_bytes().splitlines(keepends=True)


def _different(there: Any, new: Any, key: str = "") -> Iterator[str]:
    """The dotted keys in which two configurations differ."""
    if isinstance(there, Mapping) and isinstance(new, Mapping):
        for inner in sorted(there.keys() | new.keys(), key=str):
            yield from _different(there.get(inner), new.get(inner), f"{key}.{inner}" if key else str(inner))
    elif there != new:
        yield key
