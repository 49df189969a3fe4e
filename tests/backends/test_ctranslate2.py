"""CTranslate2 on small random checkpoints: torch's answers, alone and in company; copies made, kept and renewed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers

from engine.backends import loader as backends
from engine.backends.ct2 import conversion
from engine.backends.ct2.conversion import COPY, NAME
from engine.backends.pytorch.backend import TransformersBackend
from engine.catalogue import copies
from engine.catalogue import installs as installs_module
from engine.catalogue.copies import STAMP
from engine.catalogue.installs import Installs
from engine.errors import UnsupportedError
from engine.requests import Generate, Sampling, needs
from engine.settings import Settings
from tests.backends import checkpoints
from tests.backends.checkpoints import KeptJob, entry, open_backend, run

pytest.importorskip("ctranslate2")

from engine.backends.ct2.decoders import CTranslate2Decoder

GREEDY = Sampling(max_new_tokens=12, temperature=0.0)
PROMPTS = ["The quick brown fox jumps over the dog", "Le renard", "Once upon a time there was a village", "sea"]
AUTO = Settings(device="cpu", threads=2, context_tokens=96)
LANGUAGES = {"m2m100": {"source": "en", "target": "fr"}}
FAMILIES = ["marian", "m2m100", "bart", "mbart"]


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are waited for, also where others keep all cores busy."""
    monkeypatch.setattr(installs_module, "NICE", None)


def make(name: str, folder: Path) -> Path:
    if name != "mbart":
        made = getattr(checkpoints, name)(folder)
        if name == "m2m100":  # torch gives pad, which only a random model writes, a position of its own
            restrict(made, bad_words_ids=[[1]])
        return made
    tokenizer = checkpoints.byte_pairs(is_seq2seq=True)
    config = transformers.MBartConfig(
        vocab_size=len(tokenizer), decoder_start_token_id=2, scale_embedding=True, **checkpoints.TINY_SEQ2SEQ
    )
    return checkpoints.save(folder, "MBartForConditionalGeneration", config, tokenizer)


def open_quick(folder: Path, threads: int = 2) -> CTranslate2Decoder:
    backend = backends.load(entry("seq2seq"), folder, replace(AUTO, threads=threads))
    assert isinstance(backend, CTranslate2Decoder)
    return backend


def begin(folder: Path) -> Installs:
    installs = Installs(backends.install_commands, AUTO)
    installs.begin(entry("seq2seq"), folder)
    return installs


def wait(installs: Installs) -> None:
    deadline = time.monotonic() + 900  # a copy steps back behind whatever else is running
    while installs.is_busy and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Copies in float32, whose answers are torch's to the token."""
    monkeypatch.setattr(conversion, "QUANTIZATION", "float32")
    yield


def restrict(folder: Path, **settings: Any) -> None:
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", FAMILIES)
def test_answers_are_torchs(tmp_path: Path, name: str) -> None:
    folder = make(name, tmp_path / "model")
    slow = open_backend("seq2seq", folder)
    COPY.made(folder)
    quick = open_quick(folder)
    (free,) = run(slow, Generate(PROMPTS[0], sampling=GREEDY, **LANGUAGES.get(name, {})))
    samplings = [
        replace(GREEDY, repetition_penalty=1.7),
        replace(GREEDY, max_new_tokens=5),
        replace(GREEDY, stop=(free.text[3:5],)),
        GREEDY,
    ]
    asked = [
        Generate(prompt, sampling=replace(sampling, seed=1), **LANGUAGES.get(name, {}))
        for prompt, sampling in zip(reversed(PROMPTS), samplings, strict=True)
    ]
    for expected, result in zip(run(slow, *asked), run(quick, *asked), strict=True):
        assert result.mean_logprob == pytest.approx(expected.mean_logprob, abs=0.02)
        timed = ("mean_logprob", "first_token_seconds", "tokens_per_second")
        assert replace(result, **dict.fromkeys(timed)) == replace(expected, **dict.fromkeys(timed))
        assert result.first_token_seconds > 0 and (result.tokens_per_second or result.new_tokens == 1)
    assert not hasattr(quick, "module"), "no torch module is needed for greedy answers"


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("ids", [{}, {"eos_token_id": [2, 77]}])
def test_the_authors_rules_hold(tmp_path: Path, ids: dict[str, Any]) -> None:
    folder = make("bart", tmp_path)
    request = Generate(PROMPTS[0], sampling=replace(GREEDY, max_new_tokens=40, seed=1))
    restrict(folder, forced_bos_token_id=0)
    backend = open_backend("seq2seq", folder)
    (plain,) = run(backend, request)
    first = backend.tokenizer(plain.text, add_special_tokens=False)["input_ids"]
    restrict(
        folder, no_repeat_ngram_size=2, min_length=9, bad_words_ids=[first[2:4], [first[5]]],
        suppress_tokens=[first[7]], **ids,
    )  # fmt: skip
    (expected,) = run(open_backend("seq2seq", folder), request)
    COPY.made(folder)
    quick = open_quick(folder)
    (result,) = run(quick, request)
    assert quick._rows.make(KeptJob(request)).prefix == [2, 0]
    assert (result.text, result.new_tokens, result.settings) == (expected.text, expected.new_tokens, expected.settings)
    assert result.text != plain.text


@pytest.mark.parametrize("name", ["marian", "m2m100"])
def test_int8_answers_are_the_same_alone_and_in_company(tmp_path: Path, name: str) -> None:
    folder = make(name, tmp_path)
    COPY.made(folder)
    backend = open_quick(folder)
    asked = [Generate(prompt, sampling=replace(GREEDY, seed=1), **LANGUAGES.get(name, {})) for prompt in PROMPTS * 3]
    together = run(backend, *asked)
    assert backend.dtype == "int8"
    for request, result in zip(asked, together, strict=True):
        (alone,) = run(backend, request)
        assert (alone.text, alone.new_tokens) == (result.text, result.new_tokens)
        assert alone.mean_logprob == pytest.approx(result.mean_logprob, abs=1e-4)


def test_streams_stops_and_leaving_are_each_rows_own(tmp_path: Path) -> None:
    folder = make("bart", tmp_path)
    COPY.made(folder)
    backend = open_quick(folder)
    long = replace(GREEDY, max_new_tokens=60, seed=1)
    (alone,) = run(backend, Generate("Le renard", sampling=long))
    gone = KeptJob(Generate("sea", sampling=long), is_cancelled=True)
    leaver = KeptJob(Generate(PROMPTS[0], sampling=long), leaves_after=3)
    short = KeptJob(Generate(PROMPTS[2], sampling=replace(long, max_new_tokens=2)))
    stayer = KeptJob(Generate("Le renard", sampling=long))
    backend.run([gone, leaver, short, stayer])
    assert (gone.result.finish_reason, gone.result.new_tokens) == ("cancelled", 0)
    assert leaver.result.finish_reason == "cancelled" and len(leaver.texts) <= 4
    assert leaver.result.text == "".join(leaver.texts)
    assert short.finished_at < stayer.finished_at > leaver.finished_at
    assert stayer.result.text == alone.text == "".join(stayer.texts) and len(stayer.texts) > 10


def test_torch_answers_until_the_copy_is_there_and_what_only_it_can(tmp_path: Path) -> None:
    folder = make("marian", tmp_path)
    model = entry("seq2seq")
    (torchs,) = backends.runtimes_for(model, folder, AUTO)
    asked = Generate(PROMPTS[0], sampling=GREEDY)
    warm = Generate(PROMPTS[0], sampling=replace(GREEDY, temperature=1.0, seed=3))
    reference = backends.load(model, folder, AUTO, torchs)
    assert type(reference) is TransformersBackend and needs(warm) <= reference.tasks
    wait(begin(folder))
    quick, slow = backends.runtimes_for(model, folder, AUTO)
    backend = backends.load(model, folder, AUTO, quick)
    assert (slow, backend.dtype) == (torchs, "int8") and backend.memory_bytes < reference.memory_bytes
    assert quick.tasks(model, folder, AUTO) == backend.tasks and needs(asked) <= backend.tasks
    assert run(backend, asked)[0].mean_logprob < 0
    for unable in (warm, replace(asked, sampling=replace(GREEDY, presence_penalty=1.0))):
        assert not needs(unable) <= backend.tasks
        with pytest.raises(UnsupportedError):
            run(backend, unable)


def test_a_copy_of_other_weights_or_of_another_version_is_made_again(tmp_path: Path) -> None:
    folder = make("bart", tmp_path)
    assert COPY.find(folder) is None
    COPY.made(folder)
    copy = COPY.find(folder)
    assert copy is not None
    made = (copy / "model.bin").stat().st_mtime_ns
    COPY.made(folder)
    assert (copy / "model.bin").stat().st_mtime_ns == made
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert COPY.find(folder) is None
    COPY.made(folder)
    assert COPY.find(folder) and (copy / "model.bin").stat().st_mtime_ns > made
    (copy / STAMP).write_text(json.dumps(json.loads((copy / STAMP).read_text()) | {"version": "0"}))
    assert COPY.find(folder) is None
    (folder / f".{NAME}.999999999.part").mkdir()
    COPY.made(folder)
    assert COPY.find(folder) and not list(folder.glob(".*"))


def test_a_damaged_copy_is_left_for_torch_and_made_again(tmp_path: Path) -> None:
    folder = make("bart", tmp_path)
    COPY.made(folder)
    (folder / NAME / "model.bin").write_bytes(b"no model")
    (quick, _) = backends.runtimes_for(entry("seq2seq"), folder, AUTO)
    backend = backends.load(entry("seq2seq"), folder, AUTO, quick)
    assert backend.dtype != "int8" and run(backend, Generate("sea", sampling=GREEDY))[0].new_tokens
    assert COPY.find(folder) is None
    wait(begin(folder))
    assert run(open_quick(folder), Generate("sea", sampling=GREEDY))[0].new_tokens


def test_two_processes_make_one_copy_and_an_ended_one_leaves_nothing(tmp_path: Path) -> None:
    folder = make("bart", tmp_path)
    both = [begin(folder), begin(folder)]
    for installs in both:
        wait(installs)
    assert COPY.find(folder) and not list(folder.glob(".*"))
    os.utime(folder / "model.safetensors", ns=(1, 1))
    installs = begin(folder)
    deadline = time.monotonic() + 900  # a copy steps back behind whatever else is running
    while not list(folder.glob(".*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    installs.close()
    assert not installs.is_busy and not list(folder.glob(".*")) and COPY.find(folder) is None


def test_what_cannot_be_converted_stays_with_torch(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    folder = make("bart", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"decoder_attention_heads": 2}))
    assert copies.main([conversion.__name__, str(folder)]) == 1
    assert "it serves as it is" in capfd.readouterr().err and not list(folder.glob(".*"))
    installs = begin(folder)
    wait(installs)
    installs.begin(entry("seq2seq"), folder)
    assert not installs.is_busy, "what failed is not begun again"
    assert [runtime.id for runtime in backends.runtimes_for(entry("seq2seq"), folder, AUTO)] == ["transformers"]


def test_who_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    t5, bart = checkpoints.t5(tmp_path / "t5"), make("bart", tmp_path / "bart")
    COPY.made(bart)
    assert type(backends.load(entry("seq2seq"), t5, AUTO)) is TransformersBackend
    assert type(backends.load(entry("seq2seq"), bart, replace(AUTO, dtype="float32"))) is TransformersBackend
    assert open_quick(bart, threads=1).concurrency == 1
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    monkeypatch.setattr(conversion, "_is_installed", conversion._is_installed.__wrapped__)
    assert type(backends.load(entry("seq2seq"), bart, AUTO)) is TransformersBackend


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", FAMILIES)
def test_beginnings_rivals_and_other_answers(tmp_path: Path, name: str) -> None:
    """What torch says too; other answers, which it does not search for, are of the beam and begin as they must."""
    folder = make(name, tmp_path / "model")
    slow = open_backend("seq2seq", folder)
    COPY.made(folder)
    quick = open_quick(folder)
    options = {"sampling": replace(GREEDY, seed=1), **LANGUAGES.get(name, {})}
    (free,) = run(quick, Generate(PROMPTS[0], **options))
    begun = Generate(PROMPTS[0], beginning="the river", top_logprobs=3, **options)
    for expected, result in zip(run(slow, begun), run(quick, begun), strict=True):
        assert result.text == expected.text and result.text.startswith("the river")
        assert "".join(token.text for token in result.tokens) == result.text
        told = [[text for text, _ in token.top_logprobs] for token in result.tokens]
        assert told == [[text for text, _ in token.top_logprobs] for token in expected.tokens]
        assert result.mean_logprob == pytest.approx(expected.mean_logprob, abs=0.02)
        assert not told[0] and len(told[-1]) == 3
    (plain,) = run(quick, replace(begun, top_logprobs=0))
    assert plain.text == result.text and not plain.tokens
    several, more = run(
        quick,
        Generate(PROMPTS[0], alternatives=3, **options),
        Generate(PROMPTS[0], alternatives=2, beginning="the river", **options),
    )
    assert len(several.alternatives) == 3 and several.mean_logprob >= free.mean_logprob - 0.02
    scores = [several.mean_logprob, *(one.mean_logprob for one in several.alternatives)]
    assert scores == sorted(scores, reverse=True)
    assert all(text.startswith("the river") for text in (more.text, *(one.text for one in more.alternatives)))
