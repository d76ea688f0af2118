"""ONNX: the text encoder for ONNX Runtime, which halves the time of a short text on a CPU.

    python -m encoders.text.export runs/<id>

writes the run's `text/onnx/model.onnx`, where such files lie on the Hugging Face hub; a server
that finds it uses it.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from encoders.text.encoder import TextEncoder
from kg.errors import InputError

log = logging.getLogger(__name__)
FILE = Path("onnx") / "model.onnx"
NEEDS = "it needs the onnx extra: pip install 'trousseau[onnx]'"
_TRIED = ("a", "two words", "a text of a few more words, and then some: 3 x 0.5 l")


class OnnxEncoder:
    """(B, T) token ids and mask to (B, D) on the CPU, as `TextEncoder.forward`.

    No gradient; many threads may call it at once.

    Args:
        file: What `export` wrote.
        threads: How many one call uses.

    Raises:
        InputError: The onnx extra is not installed, or the file cannot be read.
    """

    def __init__(self, file: str | Path, threads: int = 1) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise InputError(f"{file}: {NEEDS}") from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own kinds, of no common base
            raise InputError(
                f"{file} cannot be read: {' '.join(str(error).split())[:200]}"
            ) from error

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, D)."""
        given = {
            "input_ids": input_ids.numpy(),
            "attention_mask": attention_mask.numpy(),
        }
        return torch.from_numpy(self._session.run(None, given)[0])


def export(folder: str | Path) -> Path:
    """Write a saved encoder's `onnx/model.onnx`, whole or not at all.

    Its vectors are compared with the encoder's before it is put in place.

    Raises:
        InputError: It is no saved encoder, the onnx extra is not installed, or its model cannot
            be expressed so.
    """
    encoder = TextEncoder.from_pretrained(folder).eval()
    try:
        import onnxscript  # noqa: F401  what torch exports with
    except ImportError as error:
        raise InputError(f"{folder}: {NEEDS}") from error
    ids, mask = _tried(encoder)
    axes = {
        0: torch.export.Dim("texts", max=2**16),
        1: torch.export.Dim("tokens", min=2, max=encoder.config.max_tokens),
    }
    file = Path(folder) / FILE
    file.parent.mkdir(exist_ok=True)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    with (
        tempfile.TemporaryDirectory(dir=file.parent) as made,
        warnings.catch_warnings(),
        torch.no_grad(),
    ):
        warnings.simplefilter(
            "ignore"
        )  # of the exporter's own making, as is what it logs
        exporter.setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                encoder,
                (ids, mask),
                Path(made) / file.name,
                input_names=["input_ids", "attention_mask"],
                output_names=["vectors"],
                dynamic_shapes=(axes, axes),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except Exception as error:
            raise InputError(
                f"{folder} cannot be exported: {' '.join(str(error).split())[:200]}"
            ) from error
        finally:
            exporter.setLevel(level)
        _check(encoder, OnnxEncoder(Path(made) / file.name), folder)
        os.replace(Path(made) / file.name, file)
    return file


def quicken(encoder: TextEncoder, folder: str | Path, threads: int = 1) -> bool:
    """Let an encoder on the CPU use its folder's `onnx/model.onnx`, where there is one.

    It serves what needs no gradient.

    Without the onnx extra, the log says so.

    Returns:
        Whether it does.

    Raises:
        InputError: The file cannot be read, or gives other vectors than the encoder's weights.
    """
    file = Path(folder) / FILE
    if encoder.device.type != "cpu" or not file.is_file():
        return False
    if importlib.util.find_spec("onnxruntime") is None:
        log.warning("%s is not used: %s", file, NEEDS)
        return False
    encoder.quick = None
    quick = OnnxEncoder(file, threads)
    _check(encoder, quick, folder)
    encoder.quick = quick
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Export; 2 on bad input, told in one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m encoders.text.export", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "folder", type=Path, help="a run folder, or that of a saved text encoder"
    )
    given = parser.parse_args(arguments).folder
    folder = (
        given / "text" if (given / "text" / "text_config.json").is_file() else given
    )
    try:
        print(export(folder))
    except (InputError, OSError) as error:
        print(f"onnx: {error}", file=sys.stderr)
        return 2
    return 0


def _tried(encoder: TextEncoder) -> tuple[Tensor, Tensor]:
    return encoder.table(_TRIED).batch(np.arange(len(_TRIED)))


def _check(encoder: TextEncoder, quick: OnnxEncoder, folder: str | Path) -> None:
    ids, mask = _tried(encoder)
    with torch.no_grad():
        wanted, found = encoder(ids, mask), quick(ids, mask)
    if found.shape != wanted.shape or not torch.allclose(
        found, wanted, rtol=1e-3, atol=1e-4
    ):
        raise InputError(
            f"{folder}: {FILE} gives other vectors than the weights; remove it, or export it anew"
        )


if __name__ == "__main__":
    sys.exit(main())
