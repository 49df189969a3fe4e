"""Zips of a run's model: whole, loadable, with a card, and without a path of this machine."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import transformers

from engine.errors import ConflictError, InputError, NotFoundError
from engine.training import cards, export
from engine.training.export import gather
from tests.training.runs_on_the_spot import add_adapter, make_run


def unpacked(file: Path, folder: Path) -> Path:
    """Unpack a zip and check that it is whole and tells nothing of this machine."""
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    (top,) = folder.iterdir()
    assert top.name == file.stem
    for path in top.rglob("*"):
        if path.is_file():
            content = path.read_bytes().decode("latin-1")
            assert "/tmp/" not in content and "/root/" not in content and "pytest-of" not in content, path.name
    return top


def test_merged_weights_load_and_the_card_tells_of_them(tmp_path: Path) -> None:
    run = make_run(tmp_path, "classification", base_id="minilm-l6", learning_rate=0.0005)
    config = json.loads((run / "model" / "config.json").read_text())
    (run / "model" / "config.json").write_text(json.dumps(config | {"_name_or_path": str(tmp_path / "base")}))
    (run / "model" / "tokenizer_config.json").write_text(
        json.dumps(
            json.loads((run / "model" / "tokenizer_config.json").read_text()) | {"name_or_path": "/tmp/somewhere/base"}
        )
    )
    file = export.export(run, "safetensors", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [file.name] == ["run-safetensors.zip"]
    top = unpacked(file, tmp_path / "unpacked")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(top)
    wanted = transformers.AutoModelForSequenceClassification.from_pretrained(run / "model")
    assert torch.equal(model.classifier.weight, wanted.classifier.weight)
    assert len(transformers.AutoTokenizer.from_pretrained(top)) == model.config.vocab_size
    card = (top / "README.md").read_text()
    assert "license: apache-2.0\nbase_model: sentence-transformers/all-MiniLM-L6-v2\n" in card
    assert "pipeline_tag: text-classification" in card and "# My run" in card and "> A note." in card
    assert "| learning_rate | 0.0005 |" in card and "20 rows" in card and "`0123456789ab`" in card
    assert "| loss | 3 | 1.5 |" in card and "python -m engine.training.train runs/run" in card
    assert "AutoModelForSequenceClassification" in card and "the weights are those of step 30" in card.lower()


def test_a_language_model_goes_to_llama_cpp_with_and_without_its_adapter(tmp_path: Path) -> None:
    run = make_run(tmp_path, "style", method="lora", base_id="smollm2-135m-instruct")
    add_adapter(run)
    top = unpacked(export.export(run, "gguf", tmp_path), tmp_path / "gguf")
    fields = gguf.GGUFReader(top / "model-q8_0.gguf").fields
    assert fields["general.name"].contents() == "My run" and fields["general.license"].contents() == "apache-2.0"
    assert "llama-cli -m model-q8_0.gguf" in (top / "README.md").read_text()
    top = unpacked(export.export(run, "gguf-adapter", tmp_path), tmp_path / "gguf-adapter")
    assert gguf.GGUFReader(top / "adapter.gguf").fields["adapter.lora.alpha"].contents() == 8.0
    top = unpacked(export.export(run, "adapter", tmp_path), tmp_path / "adapter")
    settings = json.loads((top / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "library_name: peft" in (top / "README.md").read_text()
    import peft

    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    merged = peft.PeftModel.from_pretrained(base, top).merge_and_unload()
    wanted = transformers.AutoModelForCausalLM.from_pretrained(run / "model", dtype=torch.float32)
    ids = torch.tensor([[5, 40, 300, 17]])
    with torch.inference_mode():
        torch.testing.assert_close(merged(ids).logits, wanted(ids).logits, atol=1e-4, rtol=1e-3)


def test_the_same_model_as_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, "answer")

    def write(folder: Path, files: Path) -> list[Path]:
        (files / "model.onnx").write_bytes(b"onnx")
        return [files / "model.onnx"]

    monkeypatch.setattr("engine.training.onnx_export.to_onnx", write)
    top = unpacked(export.export(run, "onnx", tmp_path), tmp_path / "onnx")
    names = {path.name for path in top.iterdir()}
    assert {"model.onnx", "tokenizer.json", "config.json", "README.md"} <= names and "model.safetensors" not in names
    assert 'InferenceSession("model.onnx")' in (top / "README.md").read_text()


def test_what_cannot_be_exported_gets_a_sentence_and_leaves_nothing(tmp_path: Path, capsys: Any) -> None:
    run = make_run(tmp_path, "classification")
    with pytest.raises(InputError, match="kind is 'zip'"):
        gather(run, "zip", tmp_path / "x")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="no adapter"):
        export.export(run, "adapter", tmp_path / "out")
    assert export.main([str(run), "gguf", str(tmp_path / "out")]) == 1
    assert "kind bert cannot be written as GGUF" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
    status = json.loads((run / "status.json").read_text())
    own = {"state": "running", "pid": os.getpid(), "process_started": __import__("psutil").Process().create_time()}
    (run / "status.json").write_text(json.dumps(status | own))
    with pytest.raises(ConflictError, match="at work"):
        export.export(run, "safetensors", tmp_path / "out")
    (run / "model" / "config.json").unlink()
    with pytest.raises(NotFoundError, match="no model yet"):
        export.export(run, "safetensors", tmp_path / "out")


def test_words_of_a_person_stay_words_in_the_card(tmp_path: Path) -> None:
    run = make_run(tmp_path, "translation", base_id="hub:ada/secret-base")
    about = json.loads((run / "about.json").read_text())
    about |= {"title": "A <b>title</b>\n# Heading", "note": "[link](javascript:x)"}
    (run / "about.json").write_text(json.dumps(about))
    card = cards.card(cards.read_facts(run), "safetensors", "model.safetensors")
    assert r"# A \<b\>title\</b\> \# Heading" in card and r"\[link\](javascript:x)" in card
    assert "base_model: ada/secret-base" in card and "license: other" in card
    assert "translates from en to fr" in card and "language:\n- en\n- fr" in card


def test_a_model_from_scratch_owes_nobody(tmp_path: Path) -> None:
    run = make_run(tmp_path, "style")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"task": "pretraining", "base": "", "base_id": ""}))
    card = cards.card(cards.read_facts(run), "gguf", "model-q8_0.gguf")
    assert "nobody else's weights" in card and "license:" not in card and "base_model:" not in card
