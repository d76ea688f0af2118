"""What a training tells while it runs: a progress bar and TensorBoard's logs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from kg.progress import tqdm


class TrainingLog:
    """Adds up losses between validations, and shows them.

    Args:
        folder: Where TensorBoard's logs go, in `logs`; None writes none.
        steps: Of the whole training.
        done: Steps that were taken before.
        progress: Whether to draw a bar.
    """

    def __init__(
        self, folder: Path | None, steps: int, done: int, progress: bool
    ) -> None:
        self.writer = SummaryWriter(folder / "logs") if folder is not None else None
        self.bar = tqdm(
            total=steps,
            initial=done,
            desc="training",
            unit="step",
            disable=not progress,
        )
        self.done = done
        self.sums: Counter[str] = Counter()

    def step(self, losses: dict[str, float]) -> None:
        """Note a step's losses."""
        self.done += 1
        self.bar.update()
        self.sums.update(losses)
        for name, value in losses.items():
            self._write(f"train/{name}", value)

    def validated(self, done: int, last: int, metric: float) -> dict[str, float]:
        """Note a validation; its row: step, the mean losses since the last one, and the metric."""
        means = {name: total / (done - last) for name, total in self.sums.items()}
        self.sums.clear()
        self.bar.set_postfix(loss=f"{means['loss']:.3f}", valid=f"{metric:.4f}")
        self._write("valid/metric", metric)
        return {"step": float(done), **means, "metric": metric}

    def _write(self, name: str, value: float) -> None:
        if self.writer is not None:
            self.writer.add_scalar(name, value, self.done)

    def close(self) -> None:
        """The training is over."""
        self.bar.close()
        if self.writer is not None:
            self.writer.close()
