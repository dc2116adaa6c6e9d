"""Reading recipes: a file or a packaged name, and single keys set on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from toolwise.core import ToolwiseError
from toolwise.systems.recipe import DPORecipe, Recipe, RLRecipe, SFTRecipe
from toolwise.systems.refusals import refusal

RecipeType = type[SFTRecipe] | type[DPORecipe] | type[RLRecipe]
STAGES: dict[str, RecipeType] = {"sft": SFTRecipe, "dpo": DPORecipe, "rl": RLRecipe}


def packaged_recipes() -> dict[str, str]:
    """The recipes that come with Toolwise: name to YAML text."""
    found = {}
    for entry in sorted(files("toolwise.systems").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            text = entry.read_text(encoding="utf-8")
            if "\nstage:" in f"\n{text}":
                found[entry.name.removesuffix(".yaml")] = text
    return found


def load_recipe(
    source: str | Path, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> Recipe:
    """A recipe from a YAML file or a packaged name.

    Args:
        source: A file that ends in ``.yaml`` or ``.yml``, or a name from `packaged_recipes`.
        overrides: ``a.b=c``, where c is read as YAML; ``a.b.type=c`` with another type drops what stood
            beside the old one.
        values: The same with values that are values already, by dotted key; applied first.

    Raises:
        ToolwiseError: There is no such recipe, it is no YAML, or a key or a value in it is wrong.
    """
    where, text = _text(source)
    return _build(_parse(text, where), where, overrides, values or {})


def recipe_of_run(
    run: Path,
    overrides: Sequence[str] = (),
    values: Callable[[RLRecipe], Mapping[str, Any]] = lambda recipe: {},
) -> RLRecipe | None:
    """How to roll out the model of a run folder: by its own recipe, without its training tasks.

    Args:
        run: A run folder, or a checkpoint in one. Of a run of supervised training the dialect, the tools and
            the format of the data are taken.
        overrides: As in `load_recipe`.
        values: Gives values by dotted key, from the recipe as it stands there.

    Returns:
        None where there is no ``config.yaml`` of a recipe.

    Raises:
        ToolwiseError: As in `load_recipe`.
    """
    for folder in (run, run.parent.parent):
        path = folder / "config.yaml"
        where = str(path)
        raw = _parse(path.read_text(encoding="utf-8"), where) if path.is_file() else {}
        if raw.get("stage") not in STAGES:
            continue
        there = _build(raw, where)
        rl = isinstance(there, RLRecipe)
        data = (
            there.tasks
            if isinstance(there, RLRecipe)
            else there.demonstrations
            if isinstance(there, SFTRecipe)
            else there.preferences
        )
        # What was needed for training only is no business of a rollout.
        kept = {"stage": "rl", "system": there.system, "tasks": {"format": data.format}}
        names = ("dialect", "tools", "rollout", "reward") if rl else ("dialect", "tools")
        plain = _build(kept | {name: raw[name] for name in names if name in raw}, where)
        assert isinstance(plain, RLRecipe)
        recipe = _build(plain.model_dump(mode="json"), where, overrides, values(plain))
        assert isinstance(recipe, RLRecipe)
        return recipe
    return None


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """A mapping from YAML in which no key stands twice.

    Raises:
        ToolwiseError: It is none; names the line.
    """
    return _parse(text, where)


def set_keys(raw: dict[str, Any], values: Mapping[str, Any], overrides: Sequence[str] = ()) -> None:
    """Set dotted keys in place: values first, then ``a.b=c``; errors as in `load_recipe`."""
    for key, value in values.items():
        _set(raw, key, value)
    for override in overrides:
        _set(raw, *_read_override(override))


def _text(source: str | Path) -> tuple[str, str]:
    name = str(source)
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        try:
            return name, path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise ToolwiseError("does not exist", where=name, mend="check the path") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ToolwiseError(f"cannot be read: {error}", where=name, mend="check the file") from error
    packaged = packaged_recipes()
    if name not in packaged:
        raise ToolwiseError(
            "there is no packaged recipe of this name",
            where=f"recipe '{name}'",
            mend=f"give a .yaml file, or one of: {', '.join(packaged)}",
        )
    return f"recipe '{name}'", packaged[name]


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key which stands twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(
                problem="a key is no text", problem_mark=key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                problem=f"key '{key}' stands twice", problem_mark=key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        raw = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise ToolwiseError(
            f"cannot be read as YAML: {error.problem}", where=f"{where}{line}", mend="mend this line"
        ) from error
    except yaml.YAMLError as error:
        raise ToolwiseError(f"cannot be read as YAML: {error}", where=where, mend="mend the file") from error
    if not isinstance(raw, dict):
        raise ToolwiseError("is no mapping of keys to values", where=where, mend="begin with 'stage: rl'")
    return raw


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    here: Any = raw
    for depth, step in enumerate(parents):
        here = _enter(here, step, ".".join(parents[: depth + 1]))
    if isinstance(here, list):
        here[_index(here, last, key)] = value
        return
    if last == "type" and here.get("type") not in (None, value):
        here.clear()
    here[last] = value


def _enter(here: Any, step: str, path: str) -> Any:
    if isinstance(here, list):
        return here[_index(here, step, path)]
    inner = here.get(step)
    if inner is None:
        inner = here[step] = {}
    if not isinstance(inner, dict | list):
        raise ToolwiseError(
            f"'{path}' is {inner!r} and has no keys of its own", where="--set", mend="set it as a whole"
        )
    return inner


def _index(items: list[Any], step: str, path: str) -> int:
    if not step.isdigit() or int(step) >= len(items):
        raise ToolwiseError(
            f"'{path}' is no place in a list of {len(items)}", where="--set", mend="count from 0"
        )
    return int(step)


def _build(
    raw: dict[str, Any], where: str, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> Recipe:
    stage = raw.get("stage")
    if stage not in STAGES:
        problem = "key 'stage' is missing" if stage is None else f"key 'stage' is {stage!r}"
        raise ToolwiseError(problem, where=where, mend="it takes: sft or rl")
    model = STAGES[stage]
    _default_types(raw, model)
    set_keys(raw, values or {}, overrides)
    _default_types(raw, model)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise refusal(error, raw, model, where) from error


def _default_types(raw: dict[str, Any], model: RecipeType) -> None:
    """A union whose type is not written is the default one."""
    for key, field in model.model_fields.items():
        if isinstance(raw.get(key), dict) and hasattr(field.default, "type"):
            raw[key] = {"type": field.default.type} | raw[key]


def _read_override(override: str) -> tuple[str, Any]:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ToolwiseError(
            f"cannot be read: {override!r}",
            where="--set",
            mend="write --set a.b=c, for instance --set learner.learning_rate=1e-5",
        )
    try:
        return key.strip(), yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ToolwiseError(
            f"the value of '{key}' is no YAML: {value!r}", where="--set", mend="put it in quotes"
        ) from error
