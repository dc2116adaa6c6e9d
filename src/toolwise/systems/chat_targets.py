"""Chat models that a command names by one word: an endpoint, a file that describes one, or one's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from toolwise.core import ToolwiseError
from toolwise.core.endpoint import ChatConfig
from toolwise.core.targets import call_target, load_target
from toolwise.sampling import ChatModel, EndpointChat

HELP = "URL#MODEL of an OpenAI-compatible endpoint, a .yaml file with its keys, or MODULE:NAME"


def chat_model(target: str, cache: Path | None = None) -> ChatModel:
    """The chat model that `target` names.

    Args:
        target: ``http://127.0.0.1:8000/v1#MODEL``; a ``.yaml`` file with the keys of `ChatConfig`; or
            ``module:attribute``, a `ChatModel` or a function that gives one.
        cache: Where replies of an endpoint are kept if it names no place itself.

    Raises:
        ToolwiseError: It names none.
    """
    if target.startswith(("http://", "https://")):
        url, _, model = target.partition("#")
        return _endpoint({"base_url": url, "model": model}, target if model else url, cache)
    if target.endswith((".yaml", ".yml")):
        return _endpoint(_read(Path(target)), target, cache)
    found = load_target(target)
    if isinstance(found, type) or not hasattr(found, "chat"):
        found = call_target(target)
    if not callable(getattr(found, "chat", None)):
        raise ToolwiseError(
            f"gives {type(found).__name__}, which is no chat model",
            where=f"target '{target}'",
            mend="give it an async method chat(messages, params)",
        )
    own: ChatModel = found
    return own


def _endpoint(values: dict[str, Any], where: str, cache: Path | None) -> EndpointChat:
    try:
        config = ChatConfig(**{"cache": cache, **values})
    except (ValidationError, TypeError) as error:
        problem = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_input=False)[0]
            problem = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise ToolwiseError(f"cannot be used: {problem}", where=f"target '{where}'", mend=HELP) from None
    if config.cache is not None:
        config.cache.parent.mkdir(parents=True, exist_ok=True)
    return EndpointChat(config)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ToolwiseError(f"cannot be read: {error}", where=str(path), mend="check the file") from error
    if not isinstance(found, dict):
        raise ToolwiseError("holds no keys", where=str(path), mend="write base_url: … and model: …")
    return found
