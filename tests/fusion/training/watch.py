"""Settings that leave nothing to chance, and what a training leaves to look at."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# Nothing drawn by chance but the order of the queries: the same loss and gradient however a batch
# is cut up.
CERTAIN = (
    "fusion.modality_drop=0",
    "fusion.head_dropout=0",
    "training.text_budget=-1",
)


def sample(monkeypatch, refresh=1):
    """Let every step sample neighbourhoods, and all of them."""
    monkeypatch.setattr("fusion.training.joint.WHOLE_EDGES", 0)
    monkeypatch.setattr("fusion.training.joint.REFRESH", refresh)
    return ("fusion.fanout=[-1, -1]",)


SHORT = ("training.epochs=1", "training.validations=2")


def weights(trainer):
    return {
        name: p.detach().clone() for name, p in trainer.state.model.named_parameters()
    }


def gradients(trainer):
    return {
        name: p.grad.clone()
        for name, p in trainer.state.model.named_parameters()
        if p.grad is not None
    }


def logged(folder, name):
    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    return [e.value for e in events.Scalars(name)]
