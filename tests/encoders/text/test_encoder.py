import json
import shutil
import warnings

import huggingface_hub.constants
import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import normalize

from encoders.text import pretrained
from encoders.text.encoder import TextConfig, TextEncoder
from encoders.text.source import TextSource
from kg.errors import InputError

LONG = "a very long text about a warm winter coat with a hood"
TEXTS = ["red wool hat", "blue jeans", LONG, "", "hat", "red wool hat"]
FAMILIES = ["bert", "distilbert", "mpnet", "electra", "modernbert"]


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


def test_the_default_encoder_knows_what_is_alike():
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(), 128)
    vectors = normalize(
        encoder.encode(["running shoes", "sneakers for jogging", "tomato soup"]), dim=1
    )
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    assert encoder.hidden == 384


def test_the_projection_keeps_lengths_where_it_is_wide_enough(folders):
    encoder = make(folders / "bert", embedding_dim=64)
    table = encoder.table(TEXTS)
    pooled, vectors = (
        encoder.encode_table(table, project=False),
        encoder.encode_table(table),
    )
    assert torch.allclose(pooled @ pooled.T, vectors @ vectors.T, atol=1e-4)


def test_pooling_is_the_mean_over_real_tokens(folders):
    encoder = make(folders / "bert")
    ids, mask = encoder.table(["red wool hat"]).batch(np.array([0]))
    with torch.no_grad():
        states = encoder.model(input_ids=ids).last_hidden_state
        assert torch.allclose(encoder.pool(ids, mask)[0], states[0].mean(0), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vector_does_not_depend_on_the_batch(folders, family):
    encoder = make(folders / family, tune="full").train()
    table = encoder.table(TEXTS)
    together = encoder(*table.batch(np.arange(len(table))))
    for row in range(len(table)):
        assert torch.allclose(
            encoder(*table.batch(np.array([row])))[0], together[row], atol=1e-5
        )


def test_order_is_kept_and_blank_texts_are_zero(folders, monkeypatch):
    monkeypatch.setattr("encoders.text.encoder.BATCH_TOKENS", 64)
    encoder = make(folders / "bert")
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (6, 16) and not vectors.requires_grad
    assert torch.equal(vectors[0], vectors[5]) and not vectors[3].any()
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert torch.allclose(encoder.encode([text])[0], vector, atol=1e-5)
    assert encoder.encode([]).shape == (0, 16)


@pytest.mark.parametrize(
    ("tune", "tuned"),
    [
        ("full", {"embeddings", "0", "1", "2"}),
        ("top:1", {"2"}),
        ("top:3", {"0", "1", "2"}),
        ("frozen", set()),
    ],
)
def test_only_what_is_tuned_gets_a_gradient(folders, tune, tuned):
    encoder = make(folders / "bert", tune=tune)
    encoder(*encoder.table(TEXTS).batch(np.arange(3))).sum().backward()
    names = {
        n for n, p in encoder.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert "projection.weight" in names
    parts = {
        n.split(".")[3 if ".layer." in n else 1] for n in names - {"projection.weight"}
    }
    assert parts == tuned
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad), (
        "nothing tuned is left out"
    )


def test_dropout_stays_out_of_frozen_layers_and_of_evaluation(folders):
    encoder = make(folders / "bert", tune="top:1", dropout=0.5)
    source = TextSource(encoder, encoder.table(TEXTS))
    assert torch.equal(source.encode_all(), source.encode_all())
    assert encoder.training
    rows = torch.arange(3)
    assert not torch.equal(source.encode(rows), source.encode(rows))
    ids, mask = source.table.batch(rows)
    assert torch.equal(encoder.lower(ids, mask), encoder.lower(ids, mask))
    encoder.eval()
    assert torch.equal(source.encode(rows), source.encode(rows))


@pytest.mark.parametrize("tune", ["top:1", "lora"])
def test_the_same_seed_gives_the_same_weights(folders, tune):
    def train(seed):
        encoder = make(folders / "bert", seed=seed, tune=tune)
        source = TextSource(encoder, encoder.table(TEXTS))
        for _ in range(3):
            step(encoder, source, torch.tensor([0, 2]))
        return source.encode_all()

    assert torch.equal(train(3), train(3))
    assert not torch.equal(train(3), train(4))


@pytest.mark.parametrize("tune", ["top:1", "lora", "frozen"])
def test_a_saved_folder_opens_here_and_in_transformers(folders, tmp_path, tune):
    encoder = make(folders / "bert", tune=tune)
    source = TextSource(encoder, encoder.table(TEXTS))
    step(encoder, source, torch.arange(4))
    wanted, pooled = (
        encoder.encode(TEXTS),
        encoder.encode_table(source.table, project=False),
    )
    encoder.save_pretrained(tmp_path / "saved")
    assert torch.equal(encoder.encode(TEXTS), wanted), "saving changes nothing"

    again = TextEncoder.from_pretrained(tmp_path / "saved")
    assert (again.config, again.embedding_dim) == (
        encoder.config,
        encoder.embedding_dim,
    )
    assert torch.allclose(again.encode(TEXTS), wanted, atol=1e-5)
    with pretrained.quiet():
        plain = transformers.AutoModel.from_pretrained(tmp_path / "saved").eval()
    ids, mask = source.table.batch(np.array([1]))
    with torch.no_grad():
        assert torch.allclose(
            plain(ids, mask).last_hidden_state.mean(1)[0], pooled[1], atol=1e-5
        )
    assert not list((tmp_path / "saved").glob("*.bin")) and not list(
        (tmp_path / "saved").glob("adapter*")
    )


def test_opening_makes_no_noise(folders, capfd):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        make(folders / "bert", tune="lora").encode(["hat"])
    out, err = capfd.readouterr()
    assert (out, err, seen) == ("", "", [])


@pytest.mark.parametrize(
    "settings",
    [
        {"tune": "top"},
        {"tune": "top:0"},
        {"tune": "top:-1"},
        {"tune": "all"},
        {"max_tokens": 2},
        {"lora_rank": 0},
        {"dropout": 1.0},
        {"cache_mb": -1},
    ],
)
def test_a_setting_that_makes_no_sense_is_named(settings):
    with pytest.raises(InputError) as refusal:
        TextConfig(**settings)
    assert refusal.value.field == next(iter(settings))


def test_more_layers_or_tokens_than_there_are(folders):
    for settings in ({"tune": "top:4"}, {"max_tokens": 513}):
        with pytest.raises(InputError) as refusal:
            make(folders / "bert", **settings)
        assert refusal.value.field == next(iter(settings))


def test_a_model_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name in ("nobody/has-this-model", "./missing/folder", str(tmp_path / "gone")):
        with pytest.raises(InputError, match="neither a folder nor"):
            TextEncoder(TextConfig(model=name), 8)
    with pytest.raises(InputError, match="has no config"):
        TextEncoder(TextConfig(model=str(tmp_path)), 8)


def test_pickled_weights_are_not_opened(folders, tmp_path):
    shutil.copytree(folders / "bert", tmp_path / "m")
    model = transformers.AutoModel.from_pretrained(folders / "bert")
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(InputError, match="no safetensors weights"):
        TextEncoder(TextConfig(model=str(tmp_path / "m")), 8)


def test_code_in_a_model_folder_is_not_run(folders, tmp_path):
    shutil.copytree(folders / "bert", tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config |= {
        "model_type": "ours",
        "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"},
    }
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    (tmp_path / "m" / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="cannot be opened"):
        TextEncoder(TextConfig(model=str(tmp_path / "m")), 8)
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_was_not_saved_here(folders, tmp_path):
    with pytest.raises(InputError, match="no folder of a saved text encoder"):
        TextEncoder.from_pretrained(folders / "bert")
    make(folders / "bert").save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "text_config.json").read_text())
    (tmp_path / "text_config.json").write_text(json.dumps(settings | {"colour": 1}))
    with pytest.raises(InputError, match="unknown key colour"):
        TextEncoder.from_pretrained(tmp_path)
    (tmp_path / "text_config.json").write_text(
        json.dumps(settings | {"embedding_dim": 5})
    )
    with pytest.raises(InputError, match="does not fit"):
        TextEncoder.from_pretrained(tmp_path)
