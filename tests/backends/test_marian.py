"""Marian students on small random ones: published files read and refused, batches, beams, beginnings, alignment."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.backends.marian import published
from engine.backends.marian.backend import StudentBackend
from engine.backends.marian.beams import beams, search
from engine.backends.marian.decoding import score, translate
from engine.backends.marian.files import CONFIG, CONVERTED, WEIGHTS, open_student, quantized, save_student
from engine.backends.marian.model import EOS, UNKNOWN, Shape, pad
from engine.backends.marian.published import FormatError, read_model, read_shortlist
from engine.backends.marian.quick import ENGINES, INPUT, QuickStudent, measure_inputs
from engine.backends.marian_students import TASKS
from engine.catalogue import copies
from engine.catalogue.sources.folder import Folder
from engine.catalogue.sources.package import Package
from engine.errors import InputError, NotReadyError, PeopleError, TooLargeError, UnsupportedError
from engine.inspections import Attend, Attribute, Score, Tokenize
from engine.requests import Classify, Generate, Generation, Message, Sampling
from engine.settings import Settings
from tests.backends import marian_files
from tests.backends.checkpoints import KeptJob, Leaving, entry
from tests.backends.marian_files import NAMES, SHAPE, config, model_file, publish, shortlist_file, student

GREEDY = Sampling(max_new_tokens=14, temperature=0.0)
TEXTS = ["The quick brown fox jumps over the dog", "Le renard", "Once upon a time there was a village", "sea", "Good"]


def open_backend(folder: Path, digests: dict[str, str] | None) -> StudentBackend:
    model = replace(entry("seq2seq"), source=Package(wheels=(), files=digests) if digests else Folder(str(folder)))
    return StudentBackend(model, folder, Settings(device="cpu", threads=1), TASKS)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> StudentBackend:
    folder = tmp_path_factory.mktemp("student")
    return open_backend(folder, publish(folder))


def ask(backend: StudentBackend, *requests: Generate) -> list[Generation]:
    jobs = [KeptJob(request) for request in requests]
    backend.run(jobs)
    for job in jobs:
        if job.error:
            raise job.error
        assert "".join(job.texts) == job.result.text
    return [job.result for job in jobs]


def test_a_student_is_read_without_torchs_compiler(tmp_path: Path) -> None:
    folder = str(marian_files.save(tmp_path / "kept"))
    code = f"""
import sys
from pathlib import Path
from engine.backends.marian.backend import StudentBackend
from engine.backends.marian.files import open_student
open_student("Tiny", Path({folder!r})).quick
assert not {{"torch._dynamo", "transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_weights_come_back_as_int8_rounds_them() -> None:
    made = student()
    shape, weights = read_model(model_file(made))
    assert shape == SHAPE
    for name, value in made.state_dict().items():
        if name == "target_embedding.weight":
            continue
        read = weights[name]
        exact = read if isinstance(read, torch.Tensor) else read.float()
        step = float(value.abs().max()) / 127 if value.ndim == 2 else 1e-7
        assert torch.allclose(exact, value, atol=0.51 * step), name


def test_two_vocabularies_have_two_embeddings() -> None:
    shape = replace(SHAPE, target_size=96)
    read, weights = read_model(model_file(student(shape)))
    assert read == shape and weights["target_embedding.weight"].float().shape == (96, 16)


@pytest.mark.parametrize("cut", [0, 10, 200, 5000, -1, -300])
def test_cut_files_are_refused(cut: int) -> None:
    with pytest.raises(FormatError):
        read_model(model_file(student())[:cut])


@pytest.mark.parametrize("place", [0, 8, 16, 24, 32, 40])
@pytest.mark.parametrize("value", [0, 2**31, 2**63 - 1])
def test_forged_lengths_are_refused(place: int, value: int) -> None:
    data = bytearray(model_file(student()))
    data[place : place + 8] = struct.pack("<Q", value)
    with pytest.raises(FormatError):
        read_model(bytes(data))


@pytest.mark.parametrize(
    ("key", "value"),
    [("dec-cell", "gru"), ("transformer-decoder-autoreg", "self-attention"), ("transformer-ffn-activation", "swish"),
     ("type", "s2s"), ("transformer-postprocess", "dn")],
)  # fmt: skip
def test_other_networks_are_refused_by_name(key: str, value: str) -> None:
    with pytest.raises(FormatError, match=key):
        read_model(model_file(student(), config(SHAPE, **{key: value})))


def test_tensors_of_unknown_names_are_refused() -> None:
    for name in ("encoder_l1_self_Wz", "decoder_l0_rnn_W", "more"):
        with pytest.raises(FormatError, match=name):
            read_model(model_file(student(), **{name: bytes(4)}))


def test_shortlists_that_do_not_add_up_are_refused() -> None:
    good = shortlist_file([[2, 3], [], [4]])
    offsets, ids = read_shortlist(good, 3, 5)
    assert offsets.tolist() == [0, 2, 2, 3] and ids.tolist() == [2, 3, 4]
    for data, sizes in (
        (good[:-1], (3, 5)),
        (b"", (3, 5)),
        (good, (4, 5)),
        (good, (3, 4)),
        (b"\0" * len(good), (3, 5)),
    ):
        with pytest.raises(FormatError):
            read_shortlist(data, *sizes)


def test_files_are_refused_by_their_hash_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = publish(tmp_path)
    (tmp_path / NAMES[0]).write_bytes(b"forged" + (tmp_path / NAMES[0]).read_bytes()[6:])
    monkeypatch.setattr(published, "_blocks", lambda data: pytest.fail("was read"))
    with pytest.raises(NotReadyError, match="not the file that Parlance knows"):
        open_student("Tiny", tmp_path, digests)
    assert not (tmp_path / CONVERTED).exists()


def test_what_is_no_student_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PeopleError, match="cannot be read"):
        open_student("Tiny", tmp_path, {})
    publish(tmp_path / "whole")
    for name, content in ((CONFIG, "{}"), (CONFIG, "["), (WEIGHTS, "x"), ("vocabulary.spm", "x")):
        folder = tmp_path / f"{name}-{len(content)}"
        open_student("Tiny", folder, publish(folder))
        copy = folder / CONVERTED
        (copy / name).write_text(content)
        with pytest.raises(InputError, match="Tiny cannot be read"):
            open_student("Tiny", copy)


def test_the_copy_is_made_once_and_answers_alike(tmp_path: Path) -> None:
    first = open_backend(tmp_path, publish(tmp_path))
    for name in NAMES:
        (tmp_path / name).unlink()
    again = open_backend(tmp_path, None)
    assert (
        ask(first, Generate(TEXTS[0], sampling=GREEDY))[0].text
        == ask(again, Generate(TEXTS[0], sampling=GREEDY))[0].text
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [CONVERTED]


@pytest.mark.parametrize("damage", ["flipped", "cut", "without hashes"])
def test_a_damaged_copy_is_made_again(tmp_path: Path, damage: str) -> None:
    digests = publish(tmp_path)
    open_student("Tiny", tmp_path, digests)
    file, hashes = tmp_path / CONVERTED / WEIGHTS, tmp_path / CONVERTED / copies.DIGESTS
    whole, facts = file.read_bytes(), file.stat()
    if damage == "without hashes":  # as earlier versions made it
        hashes.unlink()
    else:
        flipped = whole[:-99] + bytes(255 - byte for byte in whole[-99:])
        file.write_bytes(flipped if damage == "flipped" else whole[: len(whole) // 2])
        os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    copies._whole.clear()  # another process
    open_student("Tiny", tmp_path, digests)
    assert file.read_bytes() == whole and hashes.is_file()


def test_a_copy_of_files_where_nothing_can_be_written_lies_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = publish(tmp_path / "published")
    monkeypatch.setattr(copies.os, "access", lambda path, mode: False)
    monkeypatch.setattr(copies, "current", lambda: Settings(cache_folder=tmp_path / "cache"))
    open_student("Tiny", tmp_path / "published", digests)
    assert not (tmp_path / "published" / CONVERTED).exists()
    (copy,) = (tmp_path / "cache" / copies.FOLDER).glob(f"*/{CONVERTED}")
    assert (copy / WEIGHTS).is_file()


def test_a_trained_student_is_kept_with_a_scale_for_each_row(tmp_path: Path) -> None:
    made = student(replace(SHAPE, target_size=marian_files.VOCABULARY))
    weights = {name: quantized(value) if value.ndim == 2 else value for name, value in made.state_dict().items()}
    save_student(tmp_path, made.shape, weights, None)
    for side in ("source", "target"):
        (tmp_path / f"{side}.spm").write_bytes(marian_files.vocabulary())
    read = open_student("Tiny", tmp_path).student
    for name, value in made.state_dict().items():
        assert torch.allclose(read.state_dict()[name], value, atol=float(value.abs().max()) / 127)


def test_steps_and_the_parallel_pass_agree() -> None:
    made = student()
    sources = [[5, 9, 30, 7, EOS], [12, EOS]]
    with torch.inference_mode():
        outputs = translate(made, sources)
        scored = score(made, sources, [[*ids, EOS] for ids in outputs])
        encoded, cells, ids = made.encode(*pad(sources)), made.start(2), None
        for step in range(min(map(len, outputs))):
            states, weights = made.step(encoded, cells, ids, step)
            ids = torch.tensor([output[step] for output in outputs])
            logprobs = made.logits(states).log_softmax(-1)
            for row in range(2):
                assert scored[row][0][step] == pytest.approx(float(logprobs[row, ids[row]]), abs=1e-4)
                length = len(sources[row])
                assert torch.allclose(scored[row][1][step], weights[row, :length], atol=1e-5)


@pytest.mark.skipif(torch.backends.quantized.engine not in ENGINES, reason="torch has no such kernels here")
def test_the_quick_network_says_what_the_exact_one_says_but_for_rounding(tmp_path: Path) -> None:
    opened = open_student("Tiny", tmp_path, publish(tmp_path))
    assert isinstance(opened.quick, QuickStudent)
    ids, lengths = pad([[5, 9, 30, 7, EOS], [12, EOS]])
    with torch.inference_mode():
        for network in (opened.student, opened.quick):
            encoded, cells = network.encode(ids, lengths), network.start(2)
            states, weights = network.step(encoded, cells, None, 0)
            states, weights = network.step(encoded, cells, torch.tensor([8, 11]), 1)
            logits = network.output(torch.arange(20))(states)
            if network is opened.student:
                exact = (states, weights, logits)
    for one, other in zip(exact, (states, weights, logits), strict=True):
        assert one.shape == other.shape and float((one - other).abs().max()) < 0.1 * float(one.abs().max())


def test_without_ranges_or_a_shortlist_the_exact_network_answers(tmp_path: Path) -> None:
    digests = publish(tmp_path)
    open_student("Tiny", tmp_path, {name: digest for name, digest in digests.items() if not name.startswith("lex")})
    copy = tmp_path / CONVERTED
    kept = {name: value for name, value in load_file(copy / WEIGHTS).items() if not name.endswith(INPUT)}
    save_file(kept, copy / WEIGHTS)
    opened = open_student("Tiny", tmp_path)
    assert opened.quick is opened.student and opened.shortlist is None
    assert ask(open_backend(tmp_path, None), Generate("sea", sampling=GREEDY))[0].text


def test_ranges_are_measured_for_what_has_none() -> None:
    found = measure_inputs(student(), [torch.tensor([5, 9, EOS])], [torch.tensor([7, EOS])])
    assert set(found) == {name for name in read_model(model_file(student()))[1] if name.endswith(INPUT)}
    assert all(0 < float(value) < 50 for value in found.values())


def test_company_changes_no_answer(backend: StudentBackend) -> None:
    requests = [Generate(text, sampling=GREEDY) for text in TEXTS]
    alone = [ask(backend, request)[0] for request in requests]
    for one, other in zip(alone, ask(backend, *requests), strict=True):
        assert one.text == other.text and one.new_tokens == other.new_tokens
        assert one.mean_logprob == pytest.approx(other.mean_logprob, abs=1e-4)


def test_unknown_words_are_never_chosen(tmp_path: Path) -> None:
    made = student()
    made.output_bias[UNKNOWN] += 50
    backend = open_backend(tmp_path, publish(tmp_path, made))
    for sampling in (GREEDY, replace(GREEDY, temperature=1.0, seed=3)):
        assert "\u2047" not in ask(backend, Generate("sea", sampling=sampling))[0].text


def test_a_cancelled_row_leaves_and_the_others_go_on(backend: StudentBackend) -> None:
    jobs = [
        KeptJob(Generate(text, sampling=GREEDY), leaves_after=2 if place == 1 else None)
        for place, text in enumerate(TEXTS)
    ]
    whole = ask(backend, *(job.request for job in jobs if isinstance(job.request, Generate)))
    backend.run(jobs)
    assert jobs[1].result.finish_reason == "cancelled" and jobs[1].result.new_tokens < whole[1].new_tokens
    assert [job.result.text for job in (jobs[0], *jobs[2:])] == [one.text for one in (whole[0], *whole[2:])]


def test_an_answer_begins_as_it_must(backend: StudentBackend) -> None:
    starts = ("the dog", "", "city")
    requests = [Generate(text, sampling=GREEDY, beginning=start) for text, start in zip(TEXTS[:3], starts, strict=True)]
    begun = ask(backend, *requests)
    assert begun[0].text.startswith("the dog") and begun[2].text.startswith("city")
    assert begun[1].text == ask(backend, Generate(TEXTS[1], sampling=GREEDY))[0].text


def test_alternatives_are_told_best_first(backend: StudentBackend) -> None:
    found = ask(backend, Generate(TEXTS[0], sampling=GREEDY, alternatives=3))[0]
    assert len(found.alternatives) == 3 and found.mean_logprob is not None
    scores = [found.mean_logprob, *(one.mean_logprob for one in found.alternatives)]
    assert scores == sorted(scores, reverse=True)
    assert len({found.text, *(one.text for one in found.alternatives)}) == 4
    begun = ask(backend, Generate(TEXTS[0], sampling=GREEDY, alternatives=2, beginning="the dog"))[0]
    assert all(text.startswith("the dog") for text in (begun.text, *(one.text for one in begun.alternatives)))


@pytest.fixture
def searching(tmp_path: Path) -> StudentBackend:
    """As `backend`, with a configuration that wants beams."""
    digests = publish(tmp_path)
    open_student("Tiny", tmp_path, digests)
    config = tmp_path / CONVERTED / CONFIG
    config.write_text(json.dumps(json.loads(config.read_text()) | {"beam_size": 3}))
    return open_backend(tmp_path / CONVERTED, None)


def test_beams_find_what_is_likelier_in_any_company(backend: StudentBackend, searching: StudentBackend) -> None:
    requests = [Generate(text, sampling=GREEDY) for text in TEXTS]
    likeliest, found = ask(backend, *requests), ask(searching, *requests)
    assert all(ours.mean_logprob >= theirs.mean_logprob - 1e-4 for ours, theirs in zip(found, likeliest, strict=True))
    for request, one in zip(requests, found, strict=True):
        (alone,) = ask(searching, request)
        assert alone.text == one.text and alone.mean_logprob == pytest.approx(one.mean_logprob, abs=1e-4)


def test_beams_keep_beginnings_rivals_and_places(searching: StudentBackend) -> None:
    plain = Generate(TEXTS[0], sampling=GREEDY)
    told, begun, short = ask(
        searching, replace(plain, align=True, top_logprobs=2), replace(plain, beginning="the dog"),
        replace(plain, sampling=replace(GREEDY, max_new_tokens=2)),
    )  # fmt: skip
    assert told.text == ask(searching, plain)[0].text == "".join(token.text for token in told.tokens)
    assert told.alignment is not None and len(told.alignment.weights) == len(told.tokens)
    assert all(len(token.top_logprobs) == 2 for token in told.tokens)
    assert begun.text.startswith("the dog") and short.finish_reason == "length" and short.new_tokens == 2


class Tempting:
    """A network whose likeliest first word, 5, leads nowhere: after it four are as likely, after 6 the end is sure."""

    def encode(self, ids: torch.Tensor, lengths: Any) -> Any:
        return self

    def pick(self, places: torch.Tensor) -> Any:
        return self

    def start(self, rows: int) -> list[torch.Tensor]:
        return [torch.zeros(rows, 1)]

    def step(self, encoded: Any, cells: list[torch.Tensor], ids: Any, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        cells[0] = torch.zeros(len(cells[0]), 1) if ids is None else ids[:, None].float()
        return cells[0], torch.ones(len(cells[0]), 1)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        rows = {0: {5: 0.6, 6: 0.4}, 5: {EOS: 0.25, 7: 0.25, 8: 0.25, 9: 0.25}}
        told = torch.full((len(states), 10), 1e-6)
        for row, last in zip(told, states[:, 0].int().tolist(), strict=True):
            for id, share in rows.get(last, {EOS: 1.0}).items():
                row[id] = share
        return told.log()

    def output(self, ids: torch.Tensor) -> Any:
        raise AssertionError("there is no shortlist")


def test_a_search_is_not_tempted() -> None:
    network: Any = Tempting()
    assert translate(network, [[3, EOS], [4, EOS]]) == [[5], [5]]
    assert search(network, [[3, EOS], [4, EOS]], 2) == [[6], [6]]
    found: list[tuple[int, list[list[int]]]] = []
    beams(
        network, [[3, EOS], [4, EOS]], 2, lambda row, best: found.append((row, [one.ids for one in best])),
        lambda row, tokens: tokens >= 4, starts=[[], [5]],
    )  # fmt: skip
    assert found == [(0, [[6, EOS], [5, EOS]]), (1, [[5, 7, EOS], [5, 8, EOS]])], "the second had to begin so"


def test_a_search_ends_for_who_left(searching: StudentBackend) -> None:
    jobs = [(Leaving if place == 1 else KeptJob)(Generate(text, sampling=GREEDY)) for place, text in enumerate(TEXTS)]
    searching.run(jobs)
    assert jobs[1].result.finish_reason == "cancelled" and all(job.result.text for job in (jobs[0], *jobs[2:]))


@pytest.mark.parametrize("size", [0, 99, "4", None])
def test_a_beam_beyond_reason_is_refused(tmp_path: Path, size: Any) -> None:
    open_student("Tiny", tmp_path, publish(tmp_path))
    config = tmp_path / CONVERTED / CONFIG
    config.write_text(json.dumps(json.loads(config.read_text()) | {"beam_size": size}))
    with pytest.raises(InputError, match="beam_size"):
        open_student("Tiny", tmp_path / CONVERTED)


def test_a_beginning_that_it_cannot_write_is_refused(backend: StudentBackend) -> None:
    with pytest.raises(UnsupportedError, match="no pieces for some characters of the beginning"):
        ask(backend, Generate(TEXTS[0], sampling=GREEDY, beginning="the 猫"))


@pytest.mark.parametrize("alternatives", [0, 2])
def test_tokens_are_told_with_their_place_in_the_source(backend: StudentBackend, alternatives: int) -> None:
    found = ask(backend, Generate(TEXTS[0], sampling=GREEDY, align=True, alternatives=alternatives))[0]
    assert found.alignment is not None
    assert "".join(token.text for token in found.tokens) == found.text
    assert len(found.alignment.weights) == len(found.tokens) and found.tokens[0].logprob is not None
    assert "".join(TEXTS[0][start:end] for start, end in found.alignment.spans) == TEXTS[0]
    for shares in found.alignment.weights:
        assert len(shares) == len(found.alignment.spans) + 1 and sum(shares) == pytest.approx(1, abs=1e-4)


def test_rivals_are_other_tokens(backend: StudentBackend) -> None:
    found = ask(backend, Generate(TEXTS[0], sampling=GREEDY), Generate(TEXTS[0], sampling=GREEDY, top_logprobs=3))
    assert found[0].text == found[1].text and not found[0].tokens
    for token in found[1].tokens:
        assert len(token.top_logprobs) == 3 and all(value <= (token.logprob or 0) for _, value in token.top_logprobs)


def test_a_given_translation_is_scored(backend: StudentBackend) -> None:
    texts = [("the dog jumps", TEXTS[0]), ("city", "sea"), ("dog " * 600, "sea")]
    jobs = [KeptJob(Score(text, source)) for text, source in texts]
    backend.run(jobs)
    for job, (text, _) in zip(jobs[:2], texts[:2], strict=True):
        tokens, alignment = job.result.tokens, job.result.alignment
        assert "".join(token.text for token in tokens) == text and all(token.logprob < 0 for token in tokens)
        assert len(alignment.weights) == len(tokens) and len(alignment.weights[0]) == len(alignment.spans) + 1
    assert isinstance(jobs[2].error, TooLargeError)
    alone = KeptJob(Score("city"))
    backend.run([alone])
    assert isinstance(alone.error, UnsupportedError)


def test_it_tells_where_it_looks(backend: StudentBackend) -> None:
    source, text = TEXTS[0], "the dog jumps"
    cross, reading, tokens, given, wrong = (
        KeptJob(request)  # type: ignore[arg-type]
        for request in (
            Attend(text, source, 1), Attend(source), Tokenize(source), Score(text, source),
            Attend(text, source, part="decoder"),
        )
    )  # fmt: skip
    for job in (cross, reading, tokens, given, wrong):
        backend.run([job])
    weights = cross.result.weights.values().astype(float)  # of the last layer, whose first head aligns
    assert weights.shape == (SHAPE.heads, len(cross.result.rows), len(cross.result.columns))
    np.testing.assert_allclose(weights.sum(-1), 1, atol=2e-3)
    np.testing.assert_allclose(
        weights[0][:-1], given.result.alignment.weights, atol=5e-4
    )  # the last layer's first head
    assert (cross.result.kind, reading.result.kind, reading.result.layers) == (
        "cross",
        "both ways",
        SHAPE.encoder_layers,
    )
    np.testing.assert_allclose(reading.result.weights.values().astype(float).sum(-1), 1, atol=2e-3)
    assert "".join(piece.text for piece in tokens.result.pieces[:-1]).strip() == source
    assert tokens.result.pieces[-1].is_special and isinstance(wrong.error, UnsupportedError)


def test_sampling_follows_its_seed(backend: StudentBackend) -> None:
    hot = replace(GREEDY, temperature=1.5)
    texts = [ask(backend, Generate("sea", sampling=replace(hot, seed=seed)))[0].text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    again = ask(backend, Generate("sea", sampling=replace(GREEDY, repetition_penalty=1.5)))[0]
    assert again.text != ask(backend, Generate("sea", sampling=GREEDY))[0].text


def test_what_it_cannot_do_is_said(backend: StudentBackend) -> None:
    wrong: list[tuple[Any, type[Exception]]] = [
        (Generate(messages=(Message("user", "Hi"),)), UnsupportedError),
        (Generate("dog " * 600), TooLargeError),
        (Classify("Good"), UnsupportedError),
    ]
    for request, kind in wrong:
        job = KeptJob(request)
        backend.run([job])
        assert isinstance(job.error, kind)


def test_config_is_json_that_tells_the_shape(tmp_path: Path) -> None:
    open_student("Tiny", tmp_path, publish(tmp_path))
    told = json.loads((tmp_path / CONVERTED / CONFIG).read_text())
    assert Shape(**told["shape"]) == SHAPE


@pytest.mark.parametrize("begun", ["", "Le"])
def test_words_of_the_source_speak_for_a_word(backend: StudentBackend, begun: str) -> None:
    job = KeptJob(Attribute(TEXTS[0], begun=begun))
    with torch.inference_mode():
        backend.run([job])
    if job.error:
        raise job.error
    found, student = job.result, backend._translator.student
    source = torch.tensor([[*backend._source.encode(TEXTS[0]), EOS]])
    target = torch.tensor([[*(backend._target.encode(begun) if begun else []), EOS]])
    states, _ = student.decode(student.encode(source, [source.shape[1]]), target)
    logits = student.logits(states)[0, -1].index_fill(0, torch.tensor(UNKNOWN), float("-inf"))
    best = logits.topk(2)
    assert found.after == pytest.approx(float(best.values[0] - best.values[1]), abs=1e-4)
    assert float(found.parts.values().sum()) == pytest.approx(found.after - found.before, abs=0.02 * abs(found.after))
    assert [piece.is_special for piece in found.tokens][-1] and found.parts.values()[-1] == 0
    rival = backend._target.piece(int(best.indices[2 - 1]))
    job = KeptJob(Attribute(TEXTS[0], begun=begun, rival=rival.strip() or "the", method="occlusion"))
    backend.run([job])
    assert job.error or len(job.result.parts.values()) == source.shape[1]
