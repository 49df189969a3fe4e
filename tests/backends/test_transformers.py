"""The transformers backend on small random checkpoints: loading, tasks of one forward pass, batches, faults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from engine.backends.batches import group_by_length, work_in_halves
from engine.backends.loader import load
from engine.errors import InputError, MemoryShortError, NotFoundError, PeopleError, TooLargeError, UnsupportedError
from engine.requests import Classify, Embed, Extract, Fill, Generate
from engine.settings import Settings
from tests.backends import checkpoints
from tests.backends.checkpoints import KeptJob, bert, entry, open_backend, run

LONG = "Good films are rare, bad films are many, and most films are somewhere in between. " * 12
PASSAGE = "Marie Curie 🏅 discovered polonium in 1898. " * 8 + "The ville était calme 😀, by the sea."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Any:
    labels = {0: "negative", 1: "neutral", 2: "positive"}
    return open_backend("classification", bert(folder / "classifier", "SequenceClassification", id2label=labels))


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Any:
    return open_backend("embedding", bert(folder / "embedder", ""))


@pytest.fixture(scope="module")
def reader(folder: Path) -> Any:
    return open_backend("extraction", bert(folder / "reader", "QuestionAnswering", null_threshold=0.4))


@pytest.fixture(scope="module")
def guesser(folder: Path) -> Any:
    return open_backend("masked", bert(folder / "guesser", "MaskedLM"))


def test_importing_the_protocol_loads_no_torch() -> None:
    code = "import sys, engine.backends; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_load_picks_this_backend(folder: Path, classifier: Any) -> None:
    settings = Settings(device="cpu", dtype="float32", threads=1)
    backend = load(entry("classification"), folder / "classifier", settings)
    assert (backend.device, backend.dtype, backend.concurrency, backend.context_tokens) == ("cpu", "float32", 1, 64)
    assert backend.memory_bytes > sum(p.numel() * 4 for p in classifier.module.parameters())
    assert backend.count_tokens("good films") == 2
    backend.close()


def test_classification_is_the_softmax_of_the_models_logits(classifier: Any) -> None:
    (result,) = run(classifier, Classify("Good films are rare."))
    inputs = classifier.tokenizer("Good films are rare.", return_tensors="pt")
    with torch.inference_mode():
        expected = classifier.module(**inputs).logits[0].softmax(-1).tolist()
    assert list(result.scores) == ["negative", "neutral", "positive"]
    assert list(result.scores.values()) == pytest.approx(expected, abs=1e-5)
    assert result.label == max(result.scores, key=lambda name: result.scores[name])


def test_a_batch_gives_what_single_requests_give(classifier: Any, embedder: Any) -> None:
    texts = ["Good.", LONG, "Le renard brun", "bad " * 30, "x", "敏捷的棕色狐狸"]
    together = run(classifier, *map(Classify, texts))
    for text, result in zip(texts, together, strict=True):
        (alone,) = run(classifier, Classify(text))
        assert list(result.scores.values()) == pytest.approx(list(alone.scores.values()), abs=1e-5)
    vectors = [result.vector for result in run(embedder, *map(Embed, texts))]
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, run(embedder, Embed(text))[0].vector, atol=1e-5)
        assert np.linalg.norm(vector) == pytest.approx(1.0)


def test_a_text_over_the_window_is_judged_in_pieces_weighted_by_length(classifier: Any) -> None:
    pieces = classifier._encoders["classify"]._task.cut(Classify(LONG))
    assert len(pieces) > 2 and all(len(piece.ids) <= 64 for piece in pieces)
    values = []
    for piece in pieces:
        with torch.inference_mode():
            values.append(classifier.module(torch.tensor([piece.ids])).logits[0].softmax(-1).numpy())
    expected = np.average(values, axis=0, weights=[len(piece.ids) for piece in pieces])
    (result,) = run(classifier, Classify(LONG))
    assert list(result.scores.values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_one_logit_is_yes_or_no_and_many_labels_can_be_true(folder: Path) -> None:
    one = bert(folder / "one", "SequenceClassification", num_labels=1, id2label={0: "spam"})
    (result,) = run(open_backend("classification", one), Classify("Good films"))
    assert set(result.scores) == {"spam", "not spam"} and sum(result.scores.values()) == pytest.approx(1)
    many = bert(folder / "many", "SequenceClassification", num_labels=4, problem_type="multi_label_classification")
    backend = open_backend("classification", many)
    (result,) = run(backend, Classify("Good films"))
    with torch.inference_mode():
        logits = backend.module(**backend.tokenizer("Good films", return_tensors="pt")).logits[0]
    assert list(result.scores) == ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]
    assert list(result.scores.values()) == pytest.approx(logits.sigmoid().tolist(), abs=1e-5)


def test_a_regression_head_is_refused(folder: Path) -> None:
    number = bert(folder / "number", "SequenceClassification", num_labels=1, problem_type="regression")
    with pytest.raises(UnsupportedError, match="number"):
        run(open_backend("classification", number), Classify("Good films"))


def test_embedding_is_the_mean_over_tokens(embedder: Any) -> None:
    inputs = embedder.tokenizer("The old stone bridge", return_tensors="pt")
    with torch.inference_mode():
        mean = embedder.module(**inputs).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(run(embedder, Embed("The old stone bridge"))[0].vector, mean / mean.norm(), atol=1e-5)


def test_answers_lie_where_they_say(reader: Any) -> None:
    results = run(reader, Extract("Who discovered polonium?", PASSAGE, top_k=4), Extract("Where?", "By the sea 😀."))
    for result, passage in zip(results, (PASSAGE, "By the sea 😀."), strict=True):
        assert result.spans and result.null_threshold == 0.4 and 0 <= result.null_score <= 1
        for answer in result.spans:
            assert passage[answer.start : answer.end] == answer.text != ""
        scores = [answer.score for answer in result.spans]
        assert scores[1:] == sorted(scores[1:], reverse=True) and sum(scores) + result.null_score <= 1 + 1e-6


def test_extraction_in_a_batch_is_extraction_alone(reader: Any) -> None:
    requests = [Extract("Who?", PASSAGE), Extract("What was calm?", "The ville était calme."), Extract("When?", "1898")]
    for request, together in zip(requests, run(reader, *requests), strict=True):
        (alone,) = run(reader, request)
        assert [(a.start, a.end) for a in alone.spans] == [(a.start, a.end) for a in together.spans]
        assert alone.null_score == pytest.approx(together.null_score, abs=1e-5)


def test_fill_names_the_likeliest_tokens_at_each_mask(guesser: Any) -> None:
    (result,) = run(guesser, Fill("The quick [MASK] fox jumps over the <mask> dog.", top_k=3))
    assert len(result.masks) == 2 and all(len(mask) == 3 for mask in result.masks)
    inputs = guesser.tokenizer(
        "The quick [MASK] fox jumps over the [MASK] dog.", return_tensors="pt", split_special_tokens=False
    )
    place = inputs["input_ids"][0].tolist().index(guesser.tokenizer.mask_token_id)
    with torch.inference_mode():
        best = guesser.module(**inputs).logits[0, place].softmax(-1).max()
    assert result.masks[0][0][1] == pytest.approx(float(best), abs=1e-5)


def test_special_tokens_that_people_typed_are_text(classifier: Any, reader: Any, guesser: Any) -> None:
    for backend, task, request in (
        (classifier, "classify", Classify("Good films [SEP] [CLS] are rare.")),
        (reader, "extract", Extract("Who [SEP]?", "Marie Curie [SEP] [PAD] discovered polonium.")),
        (guesser, "fill", Fill("Good [MASK] films [SEP] are rare [PAD].")),
    ):
        ids = [id for piece in backend._encoders[task]._task.cut(request) for id in piece.ids]
        special = {
            name: ids.count(backend.tokenizer.convert_tokens_to_ids(name)) for name in ("[SEP]", "[PAD]", "[CLS]")
        }
        assert special == {"[SEP]": 2 if task == "extract" else 1, "[PAD]": 0, "[CLS]": 1}


def test_fill_says_what_is_wrong(guesser: Any) -> None:
    with pytest.raises(InputError, match="no mask"):
        run(guesser, Fill("The quick brown fox"))
    with pytest.raises(TooLargeError, match="64"):
        run(guesser, Fill(LONG + "[MASK]"))


def test_a_wrong_task_fails_its_job_and_no_other(classifier: Any) -> None:
    jobs = [KeptJob(Generate("Once")), KeptJob(Classify("Good"))]
    classifier.run(jobs)
    assert isinstance(jobs[0].error, UnsupportedError) and "write text" in str(jobs[0].error)
    assert jobs[1].result.label


def test_a_cancelled_job_is_skipped(classifier: Any) -> None:
    jobs = [KeptJob(Classify("Good"), is_cancelled=True), KeptJob(Classify("Bad"))]
    classifier.run(jobs)
    assert jobs[0].result is None and isinstance(jobs[0].error, PeopleError)
    assert jobs[1].result.label


def test_short_of_memory_a_batch_is_halved_and_only_what_does_not_fit_alone_fails(classifier: Any) -> None:
    real, sizes = classifier.module, []

    class Small:
        device, config = real.device, real.config

        def __call__(self, **inputs: Any) -> Any:
            sizes.append(tuple(inputs["input_ids"].shape))
            if inputs["input_ids"].shape[0] > 1 or inputs["input_ids"].shape[1] > 40:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(**inputs)

    classifier.module = Small()
    jobs = [KeptJob(Classify(text)) for text in ("good", "bad", "films", "rare", "bad " * 50)]
    classifier.run(jobs)
    classifier.module = real
    assert [job.result is not None for job in jobs] == [True] * 4 + [False]
    assert isinstance(jobs[4].error, MemoryShortError) and sizes[0][0] == 4
    assert run(classifier, Classify("good"))[0].label


def test_groups_hold_every_index_once_within_their_tokens() -> None:
    lengths = [3, 50, 4, 5, 48, 120, 3, 200, 7]
    groups = group_by_length(lengths, 100, 0.7)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[i] for i in group)
        assert len(group) == 1 or len(group) * longest <= 100
        assert sum(lengths[i] for i in group) >= 0.7 * len(group) * longest
    assert group_by_length(lengths, 10_000, 0.0) == [sorted(range(9), key=lambda i: lengths[i])]
    assert group_by_length([], 100, 0.7) == []


def test_an_error_that_is_not_memory_is_not_swallowed() -> None:
    def work(items: list[int]) -> None:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape"):
        work_in_halves([1, 2], work, lambda item: None)


def test_an_allocators_complaint_counts_as_memory() -> None:
    given_up: list[int] = []

    def work(items: list[int]) -> None:
        if 3 in items:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    work_in_halves([1, 2, 3, 4], work, given_up.append)
    assert given_up == [3]


def copy_of(source: Path, target: Path) -> Path:
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def damage(folder: Path, what: str) -> None:
    weights = folder / "model.safetensors"
    if what == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif what == "garbage":
        weights.write_bytes(b"not safetensors at all")
    elif what == "empty":
        weights.write_bytes(b"")
    elif what == "config":
        (folder / "config.json").write_text("{")
    elif what == "tokenizer":
        (folder / "tokenizer.json").write_text("{")
    elif what == "shapes":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 1234}))


@pytest.mark.parametrize("what", ["truncated", "garbage", "empty", "config", "tokenizer", "shapes"])
def test_damaged_files_give_a_sentence(folder: Path, classifier: Any, tmp_path: Path, what: str) -> None:
    copy = copy_of(folder / "classifier", tmp_path / "copy")
    damage(copy, what)
    with pytest.raises(InputError, match=r"Tiny cannot be loaded: .*download it again"):
        open_backend("classification", copy)


def test_missing_or_unsafe_weights_give_a_sentence(folder: Path, classifier: Any, tmp_path: Path) -> None:
    copy = copy_of(folder / "classifier", tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    with pytest.raises(NotFoundError, match="no weights"):
        open_backend("classification", copy)
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(UnsupportedError, match="pickle"):
        open_backend("classification", copy)
    (copy / "config.json").unlink()
    with pytest.raises(NotFoundError, match=r"config\.json"):
        open_backend("classification", copy)


def test_a_checkpoint_without_the_head_is_not_used_with_random_weights(folder: Path, embedder: Any) -> None:
    with pytest.raises(InputError, match="lacks"):
        open_backend("classification", folder / "embedder")


def test_an_unknown_kind_of_model_is_refused(folder: Path, classifier: Any, tmp_path: Path) -> None:
    copy = copy_of(folder / "classifier", tmp_path / "copy")
    (copy / "config.json").write_text(
        json.dumps({"model_type": "unheard-of", "auto_map": {"AutoModelForSequenceClassification": "evil.Model"}})
    )
    (copy / "evil.py").write_text("raise SystemExit('code of a checkpoint ran')")
    with pytest.raises(PeopleError):
        open_backend("classification", copy)


def test_settings_choose_device_and_dtype(folder: Path, classifier: Any) -> None:
    backend = open_backend("classification", folder / "classifier", dtype="bfloat16")
    assert backend.dtype == "bfloat16" and next(backend.module.parameters()).dtype == torch.bfloat16
    assert run(backend, Classify("Good"))[0].label
    with pytest.raises(InputError, match="PARLANCE_DTYPE"):
        open_backend("classification", folder / "classifier", dtype="int3")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="PARLANCE_DEVICE"):
            open_backend("classification", folder / "classifier", device="cuda")


def test_beside_berts_real_tokenizer(shared_data: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(shared_data / "checkpoints" / "bert-base-uncased")
    backend = open_backend("extraction", bert(tmp_path / "reader", "QuestionAnswering", tokenizer))
    (result,) = run(backend, Extract("Who discovered polonium?", PASSAGE))
    assert all(PASSAGE[a.start : a.end] == a.text for a in result.spans)
    guesser = open_backend("masked", bert(tmp_path / "masked", "MaskedLM", tokenizer))
    assert len(run(guesser, Fill("Paris is the [MASK] of France."))[0].masks[0]) == 5


def test_distilbert_takes_no_token_types(shared_data: Path, tmp_path: Path) -> None:
    name = "distilbert-base-uncased-distilled-squad"
    tokenizer = transformers.AutoTokenizer.from_pretrained(shared_data / "checkpoints" / name)
    config = transformers.DistilBertConfig(vocab_size=len(tokenizer), dim=32, n_layers=2, n_heads=4, hidden_dim=64)
    checkpoints.save(tmp_path, "DistilBertForQuestionAnswering", config, tokenizer)
    (result,) = run(open_backend("extraction", tmp_path), Extract("Who discovered polonium?", PASSAGE))
    assert all(PASSAGE[a.start : a.end] == a.text for a in result.spans)


def test_a_decoder_can_classify_without_a_padding_token(tmp_path: Path) -> None:
    tokenizer = checkpoints.byte_pairs()
    tokenizer.pad_token = None
    config = transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, eos_token_id=2)
    checkpoints.save(tmp_path, "GPT2ForSequenceClassification", config, tokenizer)
    backend = open_backend("classification", tmp_path)
    together = run(backend, Classify("Good films"), Classify("Good films are rare"))
    assert together[0].scores == pytest.approx(run(backend, Classify("Good films"))[0].scores, abs=1e-5)


def test_limits_are_checked_again(guesser: Any, reader: Any) -> None:
    with pytest.raises(InputError, match="top_k"):
        run(guesser, Fill("a [MASK]", top_k=0))
    with pytest.raises(InputError, match="max_answer_tokens"):
        run(reader, Extract("Who?", PASSAGE, max_answer_tokens=10_000))


def test_a_sentence_embedders_own_window_counts(folder: Path, embedder: Any, tmp_path: Path) -> None:
    copy = copy_of(folder / "embedder", tmp_path / "copy")
    (copy / "sentence_bert_config.json").write_text('{"max_seq_length": 24, "do_lower_case": false}')
    backend = open_backend("embedding", copy)
    assert backend.context_tokens == 24
    assert np.linalg.norm(run(backend, Embed(LONG))[0].vector) == pytest.approx(1.0)


def test_roberta_positions_begin_behind_the_padding(tmp_path: Path) -> None:
    tokenizer = checkpoints.byte_pairs(is_seq2seq=True)
    config = transformers.RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=34, **checkpoints.TINY)
    checkpoints.save(tmp_path, "RobertaForSequenceClassification", config, tokenizer)
    backend = open_backend("classification", tmp_path)
    assert backend.context_tokens == 32
    assert run(backend, Classify(LONG))[0].label
