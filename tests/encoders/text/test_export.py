import json
import logging
import shutil
import threading

import numpy as np
import pytest
import torch
import transformers

from encoders.text import export as onnx
from encoders.text import pretrained
from encoders.text.encoder import TextConfig, TextEncoder
from kg.errors import InputError

pytest.importorskip("onnxscript", reason="the onnx extra is not installed")
TEXTS = [
    "chair",
    "a black chair of oak",
    "",
    "tin",
    "a table for six people, black, 120 x 80 cm",
    "chair",
]
FAMILIES = {
    "bert": transformers.BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    ),
    "distilbert": transformers.DistilBertConfig(
        vocab_size=30522, dim=32, n_layers=2, n_heads=2, hidden_dim=64
    ),
}


@pytest.fixture(scope="module", params=FAMILIES)
def exported(request, tmp_path_factory):
    """A saved encoder with its model.onnx."""
    model, saved = (tmp_path_factory.mktemp(name) for name in ("model", "saved"))
    torch.manual_seed(0)
    with pretrained.quiet():
        transformers.AutoModel.from_config(FAMILIES[request.param]).save_pretrained(
            model
        )
        transformers.AutoTokenizer.from_pretrained(
            pretrained.model_folder("default")
        ).save_pretrained(model)
    TextEncoder(
        TextConfig(model=str(model), tune="frozen", max_tokens=12), 16
    ).save_pretrained(saved)
    assert onnx.main([str(saved)]) == 0
    return saved


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "text")


def test_vectors_are_the_encoders_whatever_the_batch(folder):
    plain, quick = (TextEncoder.from_pretrained(folder) for _ in range(2))
    assert onnx.quicken(quick, folder) and quick.quick is not None
    for texts in ([TEXTS[0]], TEXTS, [" ".join(TEXTS * 5)] * 70):
        torch.testing.assert_close(
            quick.encode(texts), plain.encode(texts), rtol=1e-4, atol=1e-5
        )
    ids, mask = quick.table(TEXTS).batch(np.arange(2))
    assert quick(ids, mask).requires_grad, "with gradient it is the weights that count"


def test_many_threads_may_ask(folder):
    encoder = TextEncoder.from_pretrained(folder)
    onnx.quicken(encoder, folder)
    wanted, found = [encoder.encode([text]) for text in TEXTS], [None] * len(TEXTS)

    def query(n):
        for _ in range(20):
            found[n] = encoder.encode([TEXTS[n]])

    threads = [threading.Thread(target=query, args=(n,)) for n in range(len(TEXTS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_a_folder_without_one_is_encoded_by_its_weights(folder):
    (folder / onnx.FILE).unlink()
    encoder = TextEncoder.from_pretrained(folder)
    assert not onnx.quicken(encoder, folder) and encoder.quick is None


def test_without_the_extra_the_log_says_so(folder, monkeypatch, caplog):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    encoder = TextEncoder.from_pretrained(folder)
    with caplog.at_level(logging.WARNING):
        assert not onnx.quicken(encoder, folder) and encoder.quick is None
    assert "onnx extra" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"no graph at all", None], ids=["empty", "text", "cut"]
)
def test_a_damaged_file_is_named(folder, content):
    file = folder / onnx.FILE
    file.write_bytes(file.read_bytes()[:1000] if content is None else content)
    encoder = TextEncoder.from_pretrained(folder)
    with pytest.raises(InputError, match=r"model\.onnx cannot be read"):
        onnx.quicken(encoder, folder)
    assert encoder.quick is None


def test_a_file_of_other_weights_is_refused(folder):
    encoder = TextEncoder.from_pretrained(folder)
    with torch.no_grad():
        encoder.projection.weight.mul_(1.5)
    with pytest.raises(InputError, match="other vectors than the weights"):
        onnx.quicken(encoder, folder)


def test_a_failed_export_leaves_what_was_there(folder, monkeypatch, capsys):
    before = (folder / onnx.FILE).read_bytes()

    def fail(*_, **__):
        raise RuntimeError("no such\noperator")

    monkeypatch.setattr("torch.onnx.export", fail)
    assert onnx.main([str(folder)]) == 2
    assert (
        capsys.readouterr().err
        == f"onnx: {folder} cannot be exported: no such operator\n"
    )
    assert (folder / onnx.FILE).read_bytes() == before
    assert [path.name for path in (folder / "onnx").iterdir()] == ["model.onnx"]


def test_a_run_is_named_by_its_own_folder(folder, tmp_path, capsys):
    (folder / onnx.FILE).unlink()
    assert onnx.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / onnx.FILE)


@pytest.mark.parametrize("kind", ["missing", "empty", "other"])
def test_what_is_no_encoder_is_told_in_one_line(tmp_path, capsys, kind):
    given = tmp_path / "given"
    if kind != "missing":
        given.mkdir()
    if kind == "other":
        (given / "text_config.json").write_text(json.dumps({"colour": "red"}))
    assert onnx.main([str(given)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("onnx: ") and str(given) in told and told.count("\n") == 1
