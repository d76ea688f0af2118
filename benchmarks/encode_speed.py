"""How long one short query takes in the text encoder: by torch, by ONNX Runtime, and in int8.

    python benchmarks/encode_speed.py runs/<id>

Milliseconds are of processor time. What changes is told by the cosine of a query's two vectors
and by how many of the first ten items of its search stay.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from encoders.text.export import FILE, OnnxEncoder, export, quicken
from fusion.model.inputs import encode_words
from fusion.query import Query
from fusion.recommender import Recommender


def spent(
    recommender: Recommender, texts: list[str]
) -> tuple[np.ndarray, torch.Tensor]:
    """(N,) milliseconds and (N, D) vectors of texts encoded one by one, after a warm-up."""
    took, vectors = [], []
    with torch.inference_mode():
        for n, text in enumerate([*texts[:10], *texts]):
            queries = recommender.queries([Query(text=text)])
            start = time.process_time()
            (vector,) = encode_words(
                recommender.model, queries, recommender.snapshot.device
            )
            if n >= 10:
                took.append(1000 * (time.process_time() - start))
                vectors.append(vector)
    return np.array(took), torch.stack(vectors)


def quantized(file: Path) -> OnnxEncoder:
    """The same in int8 weights, a scale a channel."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = file.with_name("int8.onnx")
    logging.disable(
        logging.WARNING
    )  # it advises a preparation that changes nothing here
    quantize_dynamic(
        file, small, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
    )
    logging.disable(logging.NOTSET)
    return OnnxEncoder(small)


def tell(name: str, took: np.ndarray, more: str = "") -> None:
    """A line."""
    print(
        f"{name:18} median {np.median(took):6.2f} ms, "
        f"95 % within {np.quantile(took, 0.95):6.2f} ms{more}"
    )


def firsts(recommender: Recommender, texts: list[str]) -> list[set[str]]:
    """The first ten items of each search."""
    recommender._words.clear()
    return [{one.id for one in recommender.search(text)} for text in texts]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a run folder")
    parser.add_argument(
        "--queries", type=int, default=200, help="how many (default: 200)"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    recommender = Recommender.load(options.run)
    rng = np.random.default_rng(0)
    words = [
        word
        for title in recommender.tables.titles(recommender.snapshot.item)
        for word in title.split()
    ]
    texts = [
        " ".join(rng.choice(words, rng.integers(1, 6))) for _ in range(options.queries)
    ]
    text = recommender.model.text
    assert text is not None, "the run reads no words"
    plain, vectors = spent(recommender, texts)
    before = firsts(recommender, texts)
    tell("torch", plain)

    def other(name: str) -> None:
        took, others = spent(recommender, texts)
        kept = np.mean(
            [
                len(a & b) / max(len(a), 1)
                for a, b in zip(before, firsts(recommender, texts), strict=True)
            ]
        )
        alike = torch.nn.functional.cosine_similarity(vectors, others)
        tell(
            name,
            took,
            f"; cosine to torch's {alike.mean():.4f}, least {alike.min():.4f}; "
            f"first ten: {kept:.1%} stay",
        )

    with tempfile.TemporaryDirectory() as folder:
        text.save_pretrained(folder)
        export(folder)
        quicken(text, folder)
        other("ONNX Runtime")
        text.quick = quantized(Path(folder) / FILE)
        other("ONNX Runtime, int8")
    text.quick = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that torchao will take this over
        text.model = torch.ao.quantization.quantize_dynamic(
            text.model,
            {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig},
        )
    other("torch, int8")


if __name__ == "__main__":
    main()
