"""Loading a causal language model: from a folder, from the newest checkpoint of a run, or from the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.learning import list_checkpoints
from toolwise.learning.adapters import ADAPTER_CONFIG, Precision, adapter_base, merged

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def load_model(
    source: str, precision: Precision = "float32", *, host: bool = False, seq2seq: bool = False
) -> tuple[Any, Any]:
    """Model and tokenizer, on the accelerator if there is one; code from the hub is never run.

    Args:
        source: A model folder, a run folder (its newest checkpoint is taken), or a hub id. The folder of an
            adapter gives the model that it belongs to, with the adapter added to its weights.
        precision: Of the weights; ``nf4`` needs CUDA and bitsandbytes.
        host: Leave it in the memory of the host.
        seq2seq: Take an encoder-decoder model, too; elsewhere only causal ones are of use.

    Returns:
        A Hugging Face causal language model, or an encoder-decoder model, and its tokenizer.

    Raises:
        ToolwiseError: Says what is missing and what to do.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    place = resolve_model(source)
    if is_adapter(place):
        return _with_adapter(Path(place), precision, host)
    local = Path(place).is_dir()
    where = f"model '{place}'"
    options = _options(local)
    tokenizer = _tokenizer(place, where, options)
    with quiet():
        try:
            both = bool(AutoConfig.from_pretrained(place, **options).is_encoder_decoder)
            model, report = (AutoModelForSeq2SeqLM if both else AutoModelForCausalLM).from_pretrained(
                place,
                attn_implementation="sdpa",
                output_loading_info=True,
                **_weights(precision),
                **options,
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise _unloadable("model", where, local, error) from error
    if both and not seq2seq:
        raise ToolwiseError(
            "is an encoder-decoder model, and a causal language model is needed",
            where=where,
            mend="take another model; this kind is for few-shot question answering (minprompt) only",
        )
    if missing := sorted(report["missing_keys"]):
        raise ToolwiseError(
            f"the weights lack {len(missing)} tensors, for instance {missing[0]}",
            where=where,
            mend="get the model's files again; missing weights would be random numbers",
        )
    size = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > size:
        raise ToolwiseError(
            f"the tokenizer has {len(tokenizer)} tokens and the model only {size}",
            where=where,
            mend="put the tokenizer that belongs to the model into its folder",
        )
    if precision != "nf4" and not host:  # those of 4 bits lie on the device already
        model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    return model, tokenizer


def load_parts(source: str) -> tuple[Path, Any, Any]:
    """A model without its weights, which stay on the disk: its folder, its configuration and its tokenizer.

    Args:
        source: A model folder or a run folder, whose model is no adapter; or a hub id, which is downloaded.

    Raises:
        ToolwiseError: Says what is missing and what to do.
    """
    from huggingface_hub import snapshot_download
    from transformers import AutoConfig

    place = resolve_model(source)
    local = Path(place).is_dir()
    where, options = f"model '{place}'", _options(local)
    with quiet():
        try:
            config = AutoConfig.from_pretrained(place, **options)
            folder = place
            if not local:
                patterns = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt"]
                only_here = bool(options["local_files_only"])
                folder = snapshot_download(place, allow_patterns=patterns, local_files_only=only_here)
        except (OSError, ValueError, KeyError) as error:
            raise _unloadable("model", where, local, error) from error
    return Path(folder), config, _tokenizer(place, where, options)


def is_adapter(place: str) -> bool:
    """Whether a resolved source is the folder of an adapter."""
    return (Path(place) / ADAPTER_CONFIG).is_file()


def _options(local: bool) -> dict[str, Any]:
    # Asked once, so that nobody waits through the retries for every single file of a hub that is not there.
    return {"trust_remote_code": False, "local_files_only": local or not _hub_answers()}


def _tokenizer(place: str, where: str, options: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    with quiet():
        try:
            return AutoTokenizer.from_pretrained(place, **options)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _unloadable("tokenizer", where, Path(place).is_dir(), error) from error


def _weights(precision: Precision) -> dict[str, Any]:
    import torch

    if precision != "nf4":
        return {"dtype": torch.bfloat16 if precision == "bfloat16" else torch.float32}
    from transformers import BitsAndBytesConfig

    four_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {
        "quantization_config": four_bits,
        "dtype": torch.bfloat16,
        "device_map": {"": torch.cuda.current_device()},
    }


def _with_adapter(folder: Path, precision: Precision, host: bool) -> tuple[Any, Any]:
    base = adapter_base(folder)
    where = f"adapter '{folder}'"
    try:
        if is_adapter(resolve_model(base)):
            raise ToolwiseError("is an adapter itself", mend="merge that one first: toolwise merge")
        model, tokenizer = load_model(base, precision, host=host)
    except ToolwiseError as error:
        raise ToolwiseError(
            f"the model that it belongs to, '{base}': {error.problem}",
            where=where,
            mend=f"{error.mend}; the place stands in {ADAPTER_CONFIG} as base_model_name_or_path",
        ) from error
    if (folder / "tokenizer_config.json").is_file():
        tokenizer = _tokenizer(str(folder), where, _options(local=True))
    with quiet():
        return merged(model, folder), tokenizer


def resolve_model(source: str) -> str:
    """The folder to load, where `source` is one or a run folder; else the hub id, as it is.

    Raises:
        ToolwiseError: It is neither a folder of a model or a run, nor written like a hub id.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        if (path / "config.json").is_file() or is_adapter(str(path)):
            return str(path)
        if checkpoints := list_checkpoints(path / "checkpoints"):
            return str(checkpoints[-1])
        raise ToolwiseError(
            "the folder holds no model: config.json is missing",
            where=f"model '{source}'",
            mend="give the folder of a Hugging Face model, a checkpoint, or a run folder with checkpoints",
        )
    if path.is_file():
        raise ToolwiseError("is a file", where=f"model '{source}'", mend="give the folder it lies in")
    if not _HUB_ID.fullmatch(source) or source.startswith(("./", "../", "~", "/")):
        raise ToolwiseError("there is no such folder", where=f"model '{source}'", mend="check the path")
    return source


def _hub_answers() -> bool:
    """Whether the hub can be reached; if not, files that were loaded before may still do."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        with urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=10):
            return True
    except HTTPError:
        return True  # it answers, if only that it does not like the question
    except (OSError, ValueError):
        return False


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own bars and notes; what matters is raised as an error."""
    import warnings

    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _unloadable(part: str, where: str, local: bool, error: Exception) -> ToolwiseError:
    reason = " ".join(str(error).split())[:300]
    if "remote" in reason.lower() and "code" in reason.lower():
        mend = "choose a model that transformers knows; code that comes with a model is never run"
        return ToolwiseError(f"the {part} needs code of its own: {reason}", where=where, mend=mend)
    if not local:
        return ToolwiseError(
            f"there is no folder of this name, and the hub could not give the {part}: {reason}",
            where=where,
            mend="give the path of a model folder, or check the id and the network",
        )
    mend = "are all its files there (config.json, weights, tokenizer.json)?"
    return ToolwiseError(f"the {part} cannot be loaded: {reason}", where=where, mend=mend)
