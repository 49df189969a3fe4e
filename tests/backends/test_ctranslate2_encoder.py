"""CTranslate2's encoders on small random checkpoints: torch's answers, alone and in company; who is left to torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers

from engine.backends import loader as backends
from engine.backends.ct2 import conversion
from engine.backends.ct2.conversion import COPY, HEAD, OUTLINE, SAMPLES
from engine.backends.ct2.plain_tokenizer import PlainTokenizer
from engine.backends.pytorch.backend import TransformersBackend
from engine.catalogue import copies, installs
from engine.catalogue.models import read_catalogue
from engine.catalogue.sources.folder import Folder
from engine.catalogue.store import Store
from engine.errors import NotReadyError, UnsupportedError
from engine.requests import Classify, Embed, Extract, Request
from engine.settings import Settings
from tests.backends import checkpoints
from tests.backends.checkpoints import KeptJob, bert, byte_pairs, entry, open_backend, run, wordpiece

pytest.importorskip("ctranslate2")

from engine.backends.ct2.encoders import CTranslate2Encoder

AUTO = Settings(device="cpu", threads=2, context_tokens=96)
TEXTS = ["Good films are rare", "", "bad", "Le renard brun 🏅", "It is not good. " * 40, "Good films are rare"]
PASSAGE = "Marie Curie 🏅 discovered polonium in 1898. " * 8 + "The ville était calme 😀, by the sea."
ASKED: dict[str, list[Request]] = {
    "classification": [Classify(text) for text in TEXTS],
    "extraction": [Extract(question, PASSAGE) for question in ("Who discovered it?", "When?", "?")],
}
HEADS = {"classification": "SequenceClassification", "extraction": "QuestionAnswering"}


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are waited for, also where others keep all cores busy."""
    monkeypatch.setattr(installs, "NICE", None)


def distilbert(folder: Path, head: str) -> Path:
    tokenizer = wordpiece()
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = transformers.DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64
    )
    return checkpoints.save(folder, f"DistilBertFor{head}", config, tokenizer)


def roberta(folder: Path, head: str) -> Path:
    tokenizer = byte_pairs(is_seq2seq=True)
    tokenizer.model_max_length = 62
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        type_vocab_size=1, **checkpoints.TINY,
    )  # fmt: skip
    return checkpoints.save(folder, f"RobertaFor{head}", config, tokenizer)


def open_quick(architecture: str, folder: Path, settings: Settings = AUTO) -> CTranslate2Encoder:
    backend = backends.load(entry(architecture), folder, settings)
    assert isinstance(backend, CTranslate2Encoder)
    return backend


@pytest.mark.parametrize("architecture", HEADS)
@pytest.mark.parametrize("make", [bert, distilbert, roberta])
def test_in_float32_answers_are_torchs(
    tmp_path: Path, make: Callable[[Path, str], Path], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path, HEADS[architecture])
    expected = run(open_backend(architecture, folder), *ASKED[architecture])
    monkeypatch.setattr(conversion, "QUANTIZATION", "float32")
    COPY.made(folder)
    backend = open_quick(architecture, folder)
    together = run(backend, *ASKED[architecture])
    for ours, theirs in zip(together, expected, strict=True):
        if architecture == "classification":
            assert ours.scores == pytest.approx(theirs.scores, abs=1e-4)
        else:
            assert ours.null_score == pytest.approx(theirs.null_score, abs=1e-4)
            assert (ours.spans[0].text, ours.spans[0].start) == (theirs.spans[0].text, theirs.spans[0].start)
    assert backend.count_tokens("Good films") == open_backend(architecture, folder).count_tokens("Good films")
    backend.close()


@pytest.mark.parametrize("architecture", HEADS)
@pytest.mark.parametrize("make", [bert, distilbert, roberta])
def test_int8_is_near_and_the_same_alone_and_in_company(
    tmp_path: Path, make: Callable[[Path, str], Path], architecture: str
) -> None:
    folder = make(tmp_path, HEADS[architecture])
    torchs = open_backend(architecture, folder)
    expected = run(torchs, *ASKED[architecture])
    COPY.made(folder)
    backend = open_quick(architecture, folder)
    assert (backend.device, backend.dtype, backend.context_tokens) == ("cpu", "int8", torchs.context_tokens)
    together = run(backend, *ASKED[architecture])
    for request, ours, theirs in zip(ASKED[architecture], together, expected, strict=True):
        if isinstance(request, Classify):
            assert ours.scores == pytest.approx(theirs.scores, abs=0.25)  # random weights add up roundings
        else:
            assert ours.null_score == pytest.approx(theirs.null_score, abs=0.1)
        assert run(backend, request) == [ours]
    copy = COPY.find(folder)
    assert copy is not None
    made = (copy / "model.bin").stat().st_mtime_ns
    assert run(open_quick(architecture, folder, replace(AUTO, threads=1)), *ASKED[architecture]) == together
    assert (copy / "model.bin").stat().st_mtime_ns == made


def test_labels_by_themselves_and_one_label_alone(tmp_path: Path) -> None:
    options: list[dict[str, Any]] = [
        {"num_labels": 1, "id2label": {0: "spam"}},
        {"num_labels": 4, "problem_type": "multi_label_classification"},
    ]
    for number, values in enumerate(options):
        folder = bert(tmp_path / str(number), "SequenceClassification", **values)
        (expected,) = run(open_backend("classification", folder), Classify("Good films"))
        COPY.made(folder)
        (ours,) = run(open_quick("classification", folder), Classify("Good films"))
        assert ours.scores == pytest.approx(expected.scores, abs=0.05)
    with pytest.raises(UnsupportedError, match="predicts a number"):
        score = bert(tmp_path / "score", "SequenceClassification", num_labels=1, problem_type="regression")
        COPY.made(score)
        run(open_quick("classification", score), Classify("Good"))


def test_the_wrong_task_and_a_left_job_fail_alone(tmp_path: Path) -> None:
    COPY.made(bert(tmp_path, "SequenceClassification"))
    backend = open_quick("classification", tmp_path)
    jobs = [KeptJob(Embed("sea")), KeptJob(Classify("sea"), is_cancelled=True), KeptJob(Classify("sea"))]
    backend.run(jobs)
    assert isinstance(jobs[0].error, UnsupportedError) and isinstance(jobs[1].error, NotReadyError)
    assert jobs[2].result is not None


@pytest.mark.parametrize(("file", "content"), [("model.bin", b"x"), (HEAD, b""), (OUTLINE, b"{"), (OUTLINE, b"{}")])
def test_a_damaged_copy_is_left_for_torch(tmp_path: Path, file: str, content: bytes) -> None:
    folder = bert(tmp_path, "SequenceClassification")
    COPY.made(folder)
    copy = COPY.find(folder)
    assert copy is not None
    (copy / file).write_bytes(content)
    backend = backends.load(entry("classification"), folder, AUTO)
    assert type(backend) is TransformersBackend and run(backend, Classify("sea"))[0].scores
    assert COPY.find(folder) is None, "it is to be made again"


def test_a_folder_that_cannot_be_written_has_its_copy_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = bert(tmp_path / "model", "SequenceClassification"), tmp_path / "cache"
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and may(path, mode))
    monkeypatch.setattr(copies, "current", lambda: replace(AUTO, cache_folder=cache))
    before = sorted(folder.iterdir())
    COPY.made(folder)
    copy = COPY.find(folder)
    assert copy is not None and copy.is_relative_to(cache) and sorted(folder.iterdir()) == before
    assert not list(copy.parent.glob(".*"))
    backend = open_quick("classification", folder)
    assert backend.dtype == "int8" and run(backend, Classify("sea"))[0].scores
    monkeypatch.undo()
    assert COPY.find(folder) is None, "it is looked for where it would be made now"


def test_what_cannot_be_converted_is_left_to_torch(tmp_path: Path) -> None:
    reader = bert(tmp_path / "reader", "QuestionAnswering")
    headless = bert(tmp_path / "headless", "")
    assert not isinstance(_loaded(entry("classification"), headless), CTranslate2Encoder)
    assert COPY.find(headless) is None
    COPY.made(reader)
    assert not isinstance(_loaded(entry("classification"), reader), CTranslate2Encoder), "it reads, it has no labels"


def _loaded(model: Any, folder: Path) -> Any:
    try:
        return backends.load(model, folder, AUTO)
    except Exception as error:
        return error


def test_who_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bert(tmp_path, "SequenceClassification")
    COPY.made(folder)
    assert type(backends.load(entry("classification"), folder, replace(AUTO, dtype="float32"))) is TransformersBackend
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    monkeypatch.setattr(conversion, "_is_installed", conversion._is_installed.__wrapped__)
    assert type(backends.load(entry("classification"), folder, AUTO)) is TransformersBackend


@pytest.mark.parametrize("make", [bert, distilbert, roberta])
def test_the_plain_tokenizer_is_the_whole_one(tmp_path: Path, make: Callable[[Path, str], Path]) -> None:
    folder = make(tmp_path, "QuestionAnswering")
    whole = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    plain = PlainTokenizer(folder / "tokenizer.json", whole.model_input_names)
    options: list[dict[str, Any]] = [
        {},
        {"add_special_tokens": False},
        {"truncation": True, "max_length": 16, "stride": 4, "return_overflowing_tokens": True},
    ]
    for text in [*SAMPLES, PASSAGE, "", "\x00\u200b\ufffd"]:
        for given in options:
            ours, theirs = plain(text, **given), whole(text, **given)
            assert "input_ids" in ours and all(theirs[key] == value for key, value in ours.items()), (text, given)
    pair = {"truncation": "only_second", "max_length": 64, "stride": 16, "return_overflowing_tokens": True}
    ours = plain(SAMPLES[0], PASSAGE, return_offsets_mapping=True, **pair)
    theirs = whole(SAMPLES[0], PASSAGE, return_offsets_mapping=True, **pair)
    assert len(ours["input_ids"]) > 2 and ours["offset_mapping"] == theirs["offset_mapping"]
    for index, ids in enumerate(theirs["input_ids"]):
        assert ours["input_ids"][index] == ids and ours.sequence_ids(index) == theirs.sequence_ids(index)


def test_the_server_answers_without_torch(tmp_path: Path) -> None:
    folders = [bert(tmp_path / head, head) for head in HEADS.values()]
    for folder in folders:
        COPY.made(folder)  # while a copy is made, torch answers
    code = """
import sys
from dataclasses import replace
from engine.backends import loader as backends
from engine.catalogue.sources.folder import Folder
from engine.serving.compose import open_house
from engine.serving.protocol import Caller
from engine.settings import current
from engine.requests import Classify, Extract
backends.warm_up()
engine = open_house(current()).engine
for id, folder in zip(("sentiment-e5", "answer-e5"), sys.argv[1:]):
    model = engine.catalogue.find(id)
    engine.catalogue.models[id] = replace(model, runtime="transformers", source=Folder(folder))
host = Caller(role="host")
(result,) = engine.run("sentiment-e5", [Classify("A wonderful film")], host)
(found,) = engine.run("answer-e5", [Extract("Who discovered it?", "Marie Curie discovered polonium.")], host)
assert sum(result.scores.values()) > 0.99 and found.spans[0].text, (result, found)
assert not {"torch", "transformers"} & set(sys.modules)
engine.close()
"""
    environment = os.environ | {"PARLANCE_DEVICE": "cpu"}
    subprocess.run([sys.executable, "-c", code, *map(str, folders)], check=True, timeout=300, env=environment)


def test_the_embedded_ones_are_prepared_unless_there_are_copies(tmp_path: Path) -> None:
    folders = {"sentiment-e5": bert(tmp_path / "labels", "SequenceClassification"), "answer-e5": tmp_path}
    store = Store(replace(AUTO, prefetch=True), read_catalogue(), backends.install_commands)
    entries = [
        replace(store.catalogue.find(name), runtime="transformers", source=Folder(str(folder)))
        for name, folder in folders.items()
    ]
    store.catalogue.models = {model.id: model for model in entries}
    store.path = folders.__getitem__  # type: ignore[method-assign]

    def prepare(store: Store) -> None:
        store.install_embedded()
        while store.installs.is_busy:
            time.sleep(0.05)

    closed = Store(replace(AUTO, prefetch=False), store.catalogue, backends.install_commands)
    closed.path = store.path  # type: ignore[method-assign]
    prepare(closed)
    assert COPY.find(folders["sentiment-e5"]) is None
    prepare(store)
    copy = COPY.find(folders["sentiment-e5"])
    assert copy and not list(folders["sentiment-e5"].glob(".*"))
    made = (copy / "model.bin").stat().st_mtime_ns
    prepare(store)
    assert (copy / "model.bin").stat().st_mtime_ns == made
    store.close()
