"""A model that is measured on vLLM servers: they read its weights from its folder, this process does not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from toolwise.core import ToolwiseError
from toolwise.dialects import build_dialect
from toolwise.sampling.config import VLLMConfig
from toolwise.sampling.engine import context_length
from toolwise.sampling.vllm import VLLMSampler
from toolwise.sampling.vllm_pool import ModelFacts
from toolwise.sampling.vllm_server import planned_servers
from toolwise.sampling.vllm_weights import FolderWeights
from toolwise.systems.connecting import connect_user
from toolwise.systems.engines import bring_up, model_facts
from toolwise.systems.model_folder import write_model
from toolwise.systems.models import is_adapter, load_parts, resolve_model
from toolwise.systems.policy import Policy, Say, load_policy
from toolwise.systems.recipe import RLRecipe
from toolwise.tools import build_toolbox


class ServedPolicy:
    """A policy whose tokens come from the servers of a recipe, with the recipe's own model on them.

    Servers that are started get the model's folder. Running ones read it before they are asked, so they must
    see it under the same path. A fresh model, or one with an adapter, is written for them first.

    Args:
        recipe: Model, dialect, tools, limits, and the servers.
        config: The servers.
        texts: Gives what the tokenizer of a fresh model is trained on.
        say: Hears how starts go.

    Attributes:
        policy: The policy, without a model.
        sampler: Asks the servers.
        at_once: How many rollouts they play well at the same time.

    Raises:
        ToolwiseError: The model cannot be used, or the servers cannot be started.
    """

    def __init__(
        self, recipe: RLRecipe, config: VLLMConfig, texts: Callable[[], Iterable[str]], say: Say
    ) -> None:
        self._held = ExitStack()
        try:
            scratch = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="toolwise-")))
            folder, description, tokenizer = load_parts(str(_plain_folder(recipe, texts, scratch / "model")))
            context = recipe.rollout.limits.context(context_length(description))
            toolbox = build_toolbox(recipe.tools, connect_user)
            self._held.callback(toolbox.close)
            self.policy = Policy(None, tokenizer, build_dialect(recipe.dialect, tokenizer), toolbox, context)
            self.sampler = self._open(
                recipe, config, folder, model_facts(context, description, tokenizer), say, scratch
            )
        except BaseException:
            self._held.close()
            raise
        servers = len(config.urls) if config.start is None else config.start.servers
        self.at_once = config.concurrency * servers

    def _open(
        self, recipe: RLRecipe, config: VLLMConfig, folder: Path, facts: ModelFacts, say: Say, logs: Path
    ) -> VLLMSampler:
        if config.start is None:
            sampler = VLLMSampler(config, config.urls, facts, FolderWeights(folder))
            self._held.callback(sampler.close)
            return sampler
        # Log-probabilities after a cut are of no use for learning; nothing is learnt here.
        cut = recipe.rollout.top_k > 0 or recipe.rollout.top_p < 1
        started = planned_servers(
            config, config.start, folder, logs, context=facts.context, processed=not cut
        )
        sampler = VLLMSampler(config, started, facts)
        self._held.callback(sampler.close)
        bring_up(started, config, say)
        return sampler

    def close(self) -> None:
        """Stop what was started, and remove what was written for the servers."""
        self._held.close()


def _plain_folder(recipe: RLRecipe, texts: Callable[[], Iterable[str]], scratch: Path) -> str | Path:
    """Where the model lies, or its id on the hub; what servers could not read as it is gets written first."""
    source = recipe.model.source
    if source is not None and recipe.model.init is None and not is_adapter(resolve_model(source)):
        return source
    policy = load_policy(recipe, texts)
    try:
        scratch.mkdir(parents=True)
        write_model(scratch, policy.model, policy.tokenizer)
    except OSError as error:
        raise ToolwiseError(
            f"the model cannot be written: {error}", where=str(scratch), mend="check disk and rights"
        ) from error
    finally:
        policy.toolbox.close()
    return scratch
