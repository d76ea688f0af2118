"""A source gives the encoder's vectors, and computes what is frozen once."""

import pytest
import torch

from encoders.text.encoder import TextConfig, TextEncoder
from encoders.text.source import TextSource

LONG = "a very long text about a warm winter coat with a hood"


TEXTS = ["red wool hat", "blue jeans", LONG, "", "hat", "red wool hat"]


def make(folder, seed=0, embedding_dim=16, **settings):
    torch.manual_seed(seed)
    return TextEncoder(TextConfig(model=str(folder), **settings), embedding_dim)


def step(encoder, source, rows, rate=0.1):
    """One step of descent on the parameters that are tuned."""
    tuned = [p for p in encoder.parameters() if p.requires_grad]
    for p in tuned:
        p.grad = None
    source.encode(rows).square().sum().backward()
    with torch.no_grad():
        for p in tuned:
            p -= rate * p.grad


FAMILIES = ["bert", "distilbert", "mpnet", "electra", "modernbert"]
SPLIT = {"bert", "distilbert", "mpnet", "modernbert"}


@pytest.mark.parametrize("tune", ["full", "top:1", "top:2", "top:3", "lora", "frozen"])
@pytest.mark.parametrize("cache_mb", [0, 64])
def test_a_source_gives_the_encoders_vectors_before_and_after_training(
    folders, tune, cache_mb, monkeypatch
):
    monkeypatch.setattr("encoders.text.encoder.BATCH_TOKENS", 160)
    encoder = make(folders / "bert", tune=tune, cache_mb=cache_mb)
    source = TextSource(encoder, encoder.table(TEXTS))
    assert source.cached == (cache_mb > 0 and tune in {"top:1", "top:2", "frozen"})
    rows = torch.tensor([2, 0, 2, 3, 1])
    first = source.encode_all()
    for _ in range(2):
        plain = encoder.encode_table(source.table)
        assert torch.allclose(source.encode_all(), plain, atol=1e-5)
        assert torch.allclose(source.encode(rows), plain[rows], atol=1e-5)
        step(encoder, source, rows)
    assert not torch.allclose(source.encode_all(), first, atol=1e-3), (
        "training changed the vectors"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_split_holds_for_every_family_or_is_not_made(folders, family):
    encoder = make(folders / family, tune="top:1")
    source = TextSource(encoder, encoder.table(TEXTS))
    assert torch.allclose(
        source.encode_all(), encoder.encode_table(source.table), atol=1e-5
    )
    assert source.cached == (family in SPLIT)


def test_a_model_that_does_not_split_is_noticed(folders, monkeypatch, caplog):
    monkeypatch.setattr("encoders.text.source.splits", lambda model: True)
    monkeypatch.setattr("encoders.text.encoder.lower_part", lambda model, count: model)
    encoder = make(folders / "bert", tune="top:1")
    source = TextSource(encoder, encoder.table(TEXTS))
    assert torch.allclose(
        source.encode_all(), encoder.encode_table(source.table), atol=1e-5
    )
    assert not source.cached and "cannot be split" in caplog.text


@pytest.mark.parametrize("tune", ["full", "top:1", "lora", "frozen"])
@pytest.mark.parametrize("cache_mb", [0, 64])
def test_gradients_through_a_source_are_the_encoders(
    folders, tune, cache_mb, monkeypatch
):
    monkeypatch.setattr("encoders.text.encoder.BATCH_TOKENS", 160)
    encoder = make(folders / "bert", tune=tune, cache_mb=cache_mb)
    source = TextSource(encoder, encoder.table(TEXTS))
    rows, weight = torch.tensor([3, 0, 0, 2]), torch.randn(4, 16)
    tuned = [p for p in encoder.parameters() if p.requires_grad]
    plain = torch.autograd.grad(
        (encoder(*source.table.batch(rows)) * weight).sum(), tuned
    )
    ours = torch.autograd.grad((source.encode(rows) * weight).sum(), tuned)
    for a, b in zip(plain, ours, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_frozen_layers_run_once(folders):
    encoder = make(folders / "bert", tune="top:1")
    source = TextSource(encoder, encoder.table(TEXTS))
    source.encode_all()
    calls = []
    encoder.model.encoder.layer[0].register_forward_hook(lambda *a: calls.append(1))
    source.encode(torch.tensor([0, 1]))
    source.encode_all()
    assert not calls
    encoder.encode(["hat"])
    assert calls, "the hook does count"


def test_what_is_kept_in_inference_mode_can_be_trained_on(folders):
    encoder = make(folders / "bert", tune="top:1")
    source = TextSource(encoder, encoder.table(TEXTS))
    with torch.inference_mode():
        source.encode_all()
    source.encode(torch.tensor([0])).sum().backward()
