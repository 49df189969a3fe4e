"""The recipes of heads on the multilingual encoder, whole, on a few questions and a small random encoder."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import heads
from engine.backends.e5.conversion import COPY
from engine.backends.pytorch import packed
from engine.backends.pytorch.loading import load_tokenizer
from engine.requests import Extraction, Span
from models.recipes import answers, answers_data, sentiment_corpora, sentiments, sentiments_data, translated_sentences
from models.recipes.answers_data import Asked, Elsewhere, Parts, read_rows, shortened, stretch
from models.recipes.head_export import export, fit_temperature
from models.recipes.head_training import LEARNING, Trainer, train
from models.recipes.sentiment_corpora import LABELS
from models.recipes.sentiments_data import Said
from tests.backends import e5_files


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "small-q4.bin"
    path.write_bytes(e5_files.publish(e5_files.model()))
    return COPY.made(path)


def article(number: int, name: str) -> dict[str, Any]:
    """Two passages with a question on each."""
    paragraphs = []
    for place in range(2):
        words = [f"word{name}{number}x{place}y{step}" for step in range(9)]
        context = f"Bridge {number * 2 + place} is old. " + " ".join(words)
        qas = [{"id": "1", "question": f"Which bridge {place}?", "answers": [_answer(context, words[4])]}]
        paragraphs.append({"context": context, "qas": qas})
    return {"title": f"{number}", "paragraphs": paragraphs}


def _answer(context: str, text: str) -> dict[str, Any]:
    return {"text": text, "answer_start": context.index(text)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as the recipe reads them; an article of reviews repeats a passage that is measured on."""
    folder = tmp_path_factory.mktemp("data")
    measured = {file: language for file, language in answers_data.MEASURED.values() if file not in answers_data.SETS}
    for file in [one.file for one in answers_data.SETS.values()] + list(measured):
        articles = [article(number, Path(file).name[:4]) for number in range(26)]
        if "amazon" in file:
            articles.append(article(8, "test"))
        path = folder / "qa" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt", encoding="utf-8") as opened:
            json.dump({"data": articles}, opened)
    return folder


TEXTS = ("bad films", "the old stone", "good films")


def test_translated_rows_are_learned_from_but_for_what_repeats_what_is_held_out(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "squad.es.json.gz"
    with gzip.open(file, "wt", encoding="utf-8") as opened:
        json.dump({"data": [article(1, "translated"), article(3, "xqua")]}, opened)
    assert len(answers_data.read(file, "es")) == 4
    rows = read_rows(data, {"es": file})
    (learned,) = (part for name, part in rows.learned.items() if name not in answers_data.SETS)
    assert {(row.language, row.article) for row in learned} == {("es", "squad.es.json.gz 0")}
    assert answers_data.share("translated es") == answers_data.TRANSLATED_SHARE


def test_whole_articles_are_held_out_and_what_repeats_them_is_not_learned(data: Path) -> None:
    rows = read_rows(data)
    held = answers_data.measured(data)
    assert len(held["SQuAD articles held out"]) == len(held["PIAF articles held out"]) == 8  # articles 0, 8, 16, 24
    assert [len(part) for part in rows.choosing.values()] == [2, 2, 2]
    learned = {row.passage for part in rows.learned.values() for row in part}
    assert not learned & {row.passage for part in (*held.values(), *rows.choosing.values()) for row in part}
    assert not [row for row in rows.learned["amazon"] if "wordtest8x" in row.passage]
    assert len(rows.learned["amazon"]) == 52


def test_of_several_answers_the_one_that_most_gave_comes_first(tmp_path: Path) -> None:
    context = "It rained on Monday in May."
    given = [_answer(context, text) for text in ("on Monday in May", "Monday", "on Monday in May", "May")]
    qas = [{"question": "When?", "answers": [*given, {"text": "June", "answer_start": 3}]}]
    with gzip.open(tmp_path / "a.json.gz", "wt") as file:
        json.dump({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}, file)
    (row,) = answers_data.read(tmp_path / "a.json.gz", "en")
    assert [text for text, _ in row.answers] == ["on Monday in May", "May", "Monday"]


def test_questions_are_asked_elsewhere_in_the_same_language_where_the_answer_is_not() -> None:
    def row(article: str, passage: str, answer: str, language: str = "en") -> Asked:
        return Asked("When?", passage, ((answer, passage.index(answer)),), 0, language, article)

    rows = [row("a", "In 1900.", "1900"), row("a", "Not in 1900, in 1950.", "1950"), row("a", "In 1960.", "1960")]
    rows += [row("b", "In 1970.", "1970"), row("c", "En 1980.", "1980", "fr")]
    elsewhere, rng = Elsewhere(rows), random.Random(1)
    for _ in range(20):
        same, other = elsewhere.same_article(rows[0], rng), elsewhere.other_article(rows[0], rng)
        assert same and same.passage == "In 1960." and not same.answers and same.language == "en"
        assert other and other.passage == "In 1970."
    assert elsewhere.other_article(rows[4], rng) is None


def test_a_long_passage_is_cut_around_its_answer() -> None:
    passage = "a " * 4000 + "here" + " b" * 4000
    for seed in range(5):
        row = shortened(Asked("?", passage, (("here", 8000),)), random.Random(seed))
        text, start = row.answers[0]
        assert len(row.passage) == answers_data.LONGEST_PASSAGE and row.passage[start : start + 4] == text


def test_each_row_comes_once_before_any_comes_again() -> None:
    rows = list(range(7))
    assert sorted(stretch(rows, 0, 7, "x")) == sorted(stretch(rows, 7, 7, "x")) == rows
    assert list(stretch(rows, 0, 14, "x")) == [*stretch(rows, 0, 5, "x"), *stretch(rows, 5, 9, "x")]


def test_a_reader_learns_goes_on_from_its_checkpoint_and_ships(
    data: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WINDOW", 60)
    monkeypatch.setattr(answers, "STRIDE", 20)
    monkeypatch.setattr(answers, "CHUNK_ROWS", 100)
    torch.set_num_threads(1)
    tokenizer = load_tokenizer("small", encoder)
    rows = read_rows(data)
    few = Parts({name: part[:6] for name, part in rows.learned.items()}, {"squad": rows.choosing["squad"]})

    def begun() -> Trainer:
        torch.manual_seed(1)
        module = packed.load(encoder, "AutoModelForQuestionAnswering", **LEARNING)
        return Trainer(module, answers.Answers(few, tokenizer), 3e-3, 3e-3)

    trainer = begun()
    frozen = {name: value.clone() for name, value in trainer.module.named_parameters() if ".embeddings." in name}
    batch = next(trainer.task.batches(0))
    losses = [trainer.step(batch, 1.0) for _ in range(12)]
    assert losses[-1] < losses[0]
    assert all(torch.equal(value, dict(trainer.module.named_parameters())[name]) for name, value in frozen.items())
    trainer.progress.tokens = 0
    train(trainer, 1000, tmp_path)
    again = begun()
    assert again.load(tmp_path) and again.progress == trainer.progress and again.progress.history[0]["f1"] >= 0
    assert all(torch.equal(value, again.named[name]) for name, value in trainer.named.items())
    following = next(again.task.batches(again.progress.chunk))
    assert again.step(following, 1.0) == trainer.step(following, 1.0)
    train(again, again.progress.tokens + 500, tmp_path / "finished", again.progress.tokens)
    assert json.loads((tmp_path / "progress.json").read_text())["tokens"] < again.progress.tokens
    with again.averaged() as module:
        export(module, encoder, tmp_path / "model", {"null_threshold": 0.4, "window_tokens": 60})
    shipped = packed.load(tmp_path / "model", "AutoModelForQuestionAnswering", base=encoder)
    assert shipped.config.null_threshold == 0.4 and shipped.config.base == "multilingual-e5-small"


def test_matrix_products_in_bfloat16_learn_too_and_weights_stay_in_float32(
    data: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WINDOW", 60)
    monkeypatch.setattr(answers, "STRIDE", 20)
    torch.manual_seed(1)
    module = packed.load(encoder, "AutoModelForQuestionAnswering", **LEARNING)
    task = answers.Answers(read_rows(data), load_tokenizer("small", encoder))
    trainer, batch = Trainer(module, task, 3e-3, 3e-3, is_mixed=True), next(task.batches(0))
    kinds = set[torch.dtype]()
    module.qa_outputs.register_forward_hook(lambda part, given, made: kinds.add(made.dtype))
    losses = [trainer.step(batch, 1.0) for _ in range(12)]
    assert losses[-1] < losses[0] and kinds == {torch.bfloat16}
    assert {value.dtype for value in trainer.named.values()} == {torch.float32}


def test_the_temperature_is_that_of_the_right_shares() -> None:
    """Logits four times too far apart: of three answers one is wrong."""
    rows = [(torch.tensor([4 * 0.6931, 0.0]), right) for right in (0, 0, 1)]
    assert fit_temperature(rows) == pytest.approx(4, rel=0.06)


def test_figures_of_a_reader_worked_out_by_hand() -> None:
    rows = [Asked("?", "In the old town.", (("the old town", 3),)), Asked("?", "In May.", (("May", 3),)),
            Asked("?", "In June.", ()), Asked("?", "In July.", ())]  # fmt: skip
    found = [
        Extraction((Span("old town", 7, 15, 0.9),), 0.05),
        Extraction((Span("May", 3, 6, 0.3),), 0.7),
        Extraction((Span("June", 3, 7, 0.2),), 0.8),
        Extraction((Span("July", 3, 7, 0.6),), 0.4),
    ]
    figures = heads.of_answers(rows, found)
    assert (figures["F1"], figures["F1 with abstention"], figures["told so"]) == (100, 50, 50)
    gaps = (1 - 0.9) + (0.7 - 0) + (1 - 0.8) + (0.6 - 0)
    assert figures["calibration error"] == pytest.approx(100 * gaps / 4)


def test_figures_of_sentiment_worked_out_by_hand() -> None:
    rows = [Said("a", "positive", "en"), Said("b", "negative", "en"), Said("c", "neutral", "en")]
    labels, scores = ["positive", "neutral", "neutral"], [0.95, 0.55, 0.55]
    figures = heads.of_sentiment(rows, labels, scores)
    assert figures["macro F1"] == pytest.approx(100 * (1 + 0 + 2 / 3) / 3)
    assert figures["calibration error"] == pytest.approx(100 * (0.05 + 0.1) / 3)
    assert heads.of_sentiment(rows[:2], labels[:2], scores[:2], is_two=True)["accuracy"] == 50


def test_own_sentences_are_filled_and_even_in_languages_and_labels() -> None:
    rows = sentiments_data.own_rows(sentiments_data.OWN_FILE, 20)
    assert not [row.text for row in rows if "{" in row.text]
    count = {(row.language, row.label): 0 for row in rows}
    for row in rows:
        count[row.language, row.label] += 1
    assert len(count) == 15 and {count[code, "neutral"] for code in ["en", "fr", "de", "es", "zh"]} == {40}
    assert {count[code, "positive"] for code in ["en", "fr", "de", "es", "zh"]} == {60}


def test_written_sentences_are_many_and_different_in_each_language() -> None:
    rows = sentiments_data.written_rows()
    assert len({row.text for row in rows}) == len(rows) and not [
        row.text for row in rows if row.text != row.text.strip()
    ]
    count = Counter((row.language, row.label) for row in rows)
    assert len(count) == 15 and min(count.values()) > 350


def test_the_sentences_learned_from_repeat_none_that_is_measured(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, whole = sentiment_corpora, sentiment_corpora.polarity_sentences
    monkeypatch.setattr(films, "polarity_sentences", lambda data: itertools.islice(whole(data), 300))
    for name in ("review_passages", "labelled_sentences"):
        monkeypatch.setattr(films, name, lambda data: iter(()))
    rows = sentiments_data.read_rows(shared_data)
    assert set(rows.learned) == set(sentiments_data.SHARES) and all(rows.learned.values())
    assert sum(sentiments_data.SHARES.values()) == pytest.approx(1)
    keys = {sentiment_corpora.key(text) for text, _ in sentiments_data.sst_dev(shared_data / "sentiment")}
    english = [row for part in rows.learned.values() for row in part if row.language == "en"]
    assert len(english) > 30_000 and not keys & {sentiment_corpora.key(row.text) for row in english}
    assert {row.language for row in rows.choosing} == {"en", "fr", "de", "es", "zh"}
    tweets = sentiments_data.tweets(shared_data, "fr")
    assert len(tweets) == 1839 + 324 and "\\u" not in "".join(row.text for row in tweets)


def test_a_classifier_learns_and_is_judged(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentiments, "CHUNK_ROWS", 60)  # a batch of all texts, not of one
    torch.manual_seed(1)
    torch.set_num_threads(1)
    said = [Said(text, label, "en") for label, text in zip(LABELS * 4, TEXTS * 4, strict=True)]
    rows = sentiments_data.Parts({"films": said}, said[:3])
    names = dict(enumerate(LABELS))
    module = packed.load(encoder, "AutoModelForSequenceClassification", id2label=names, **LEARNING)
    task = sentiments.Sentiments(rows, load_tokenizer("small", encoder))
    trainer = Trainer(module, task, 3e-3, 3e-3)
    for batch in itertools.islice(itertools.cycle(task.batches(0)), 80):
        trainer.step(batch, 1.0)
    trainer.mean = {name: value.detach().clone() for name, value in trainer.named.items()}
    with trainer.averaged() as averaged:
        assert task.judge(averaged)["f1"] == 100


def test_the_commands_train_go_on_finish_and_write_what_ships(
    data: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("WINDOW", 60), ("STRIDE", 20), ("CHUNK_ROWS", 60), ("JUDGED", 4)):
        monkeypatch.setattr(answers, name, value)
    names = dict(zip(LABELS, TEXTS, strict=True))
    rows = [Said(text, label, "en") for label, text in names.items()] * 8
    monkeypatch.setattr(
        sentiments, "read_rows", lambda data, translated: sentiments_data.Parts({"films": rows}, rows[:3])
    )
    file = next(encoder.parent.glob("*.bin"))
    for recipe in (answers, sentiments):
        run = tmp_path / recipe.__name__
        given = [recipe.__name__, "--data", str(data), "--base", str(file), "--run", str(run), "--threads", "1"]
        for more in (["--tokens", "300"], ["--tokens", "600"], ["--finish", "300"]):
            monkeypatch.setattr(sys, "argv", [*given, *more])
            recipe.main()
        said = capsys.readouterr().out
        assert said.count("without a checkpoint") == 1 and "temperature" in said
        config = json.loads((run / "finished" / "model" / "config.json").read_text())
        assert config["base"] == "multilingual-e5-small" and config["temperature"] > 0
        kind = config["architectures"][0].removeprefix("BertFor")
        packed.load(run / "finished" / "model", f"AutoModelFor{kind}", base=encoder)
    assert list(config["id2label"].values()) == list(LABELS)


def test_translated_sentences_keep_their_label_and_odd_ones_are_left_out(tmp_path: Path) -> None:
    rows = [Said(f"a {label} row {number}", label, "en") for label in LABELS for number in range(4)]
    rows.append(Said("x" * 300, "neutral", "en"))
    drawn = translated_sentences.drawn(rows, 3)
    assert [sum(row.label == label for row in drawn) for label in LABELS] == [3, 3, 3]

    def translate(texts: Sequence[str]) -> list[str]:
        odd = {0: "no", 1: "si si si si si si", 2: "y" * 200}
        return [odd.get(place, f"una {text}") for place, text in enumerate(texts)]

    made = translated_sentences.translated_rows(drawn, translate, "es")
    assert len(made) == 6 and {row.language for row in made} == {"es"} and made[0].text == f"una {drawn[3].text}"
    sentiments_data.write_translated(made, tmp_path / "es.tsv.gz")
    assert sentiments_data._read_translated(tmp_path / "es.tsv.gz") == made
    assert sentiments_data.share("translated es") == sentiments_data.TRANSLATED_SHARE
    assert sentiments_data.share("films") == sentiments_data.SHARES["films"]
