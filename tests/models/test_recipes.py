"""What the shipped heads learn from holds nothing of what they are measured on."""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path

import pytest

from engine.training.config import read_config
from engine.training.data import read_questions, read_texts
from models.recipes import answer, sentiment


@pytest.mark.parametrize(
    ("row", "is_repeat"),
    [
        ("It's a charming and often affecting journey.", True),
        ("slow at first . it 's a charming and often affecting journey . the end is weak .", True),
        ("a charming , often truly affecting journey", True),
        ("-lrb- It 's -rrb- a CHARMING and often affecting journey", True),
        ("charming", False),
        ("a journey to the end of the night", False),
    ],
)
def test_a_row_that_repeats_a_measured_sentence_is_known(row: str, is_repeat: bool) -> None:
    measured = sentiment.Held(["it 's a charming and often affecting journey . ", "dull"])
    assert measured.repeats(row) == is_repeat


def test_questions_asked_elsewhere_have_no_answer_there() -> None:
    paragraphs = [
        {
            "context": f"The tower number {n} was built in {1800 + n}.",
            "qas": [{"id": str(n), "question": f"When {n}?", "answers": [{"text": str(1800 + n), "answer_start": 27}]}],
        }
        for n in range(10, 60)
    ]
    mixed = answer.with_unanswerable({"title": "Towers", "paragraphs": paragraphs}, 0.5, random.Random(1))
    added = [(p, item) for p in mixed["paragraphs"] for item in p["qas"] if not item["answers"]]
    assert 15 < len(added) < 35
    for paragraph, item in added:
        year = str(1800 + int(item["question"].removeprefix("When ").removesuffix("?")))
        assert year not in paragraph["context"]
    assert all(len(paragraph["qas"]) == 1 for paragraph in paragraphs), "the article itself stays as it was"


def test_a_recipe_can_stop_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves is what the page takes: two files and the settings."""
    question = {"id": "1", "question": "What is old?", "answers": [{"text": "mill", "answer_start": 8}]}
    articles = [{"title": str(n), "paragraphs": [{"context": "The old mill", "qas": [question]}]} for n in range(9)]
    (tmp_path / "qa" / "squad_train_part").mkdir(parents=True)
    with gzip.open(tmp_path / "qa" / "squad_train_part" / "test-v1.1.json.gz", "wt") as file:
        json.dump({"data": articles}, file)
    run = tmp_path / "run"
    options = ["answer", "--data", str(tmp_path), "--base", "base", "--run", str(run), "--prepare"]
    monkeypatch.setattr(sys, "argv", options)
    answer.main()
    assert [len(read_questions(run / "data" / f"{name}.json")) for name in ("train", "validation")] == [7, 2]
    first, second = (read_config(run / name / "config.json") for name in ("first", "second"))
    assert (first.task, first.seed, first.token_dropout) == ("answer", answer.SEED, 0)
    assert (second.task, second.seed, second.token_dropout) == ("answer", answer.SEED, 0.1)
    assert sorted(path.name for path in run.rglob("*.json*")) == ["config.json"] * 2 + ["train.json", "validation.json"]


def test_held_out_articles_are_whole(shared_data: Path, tmp_path: Path) -> None:
    train_file, validation_file = answer.write_data(shared_data, tmp_path)
    train, validation = read_questions(train_file), read_questions(validation_file)
    assert not {row.passage for row in train} & {row.passage for row in validation}
    without = sum(not row.answers for row in train) / len(train)
    assert 0.05 < without < 0.2


def test_the_measured_sentences_are_out_of_the_training_rows(shared_data: Path, tmp_path: Path) -> None:
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("good\t1.9\t0.9\t[]\nawful\t-2.0\t0.6\t[]\nodd\t-0.4\t0.5\t[]\n:)\t2.0\t0.5\t[]\n")
    files = sentiment.write_data(shared_data / "sentiment", lexicon, tmp_path)
    train, finish, validation, dev = (
        read_texts(file, ("negative", "neutral", "positive"))
        for file in (files.train, files.finish, files.validation, files.sst_dev)
    )
    assert {row["text"] for row in finish} < {row["text"] for row in train}
    keys = [sentiment.key(row["text"]) for row in (*train, *validation)]
    assert len(dev) == 872 and len(validation) == sentiment.HELD_OUT
    assert not {sentiment.key(row["text"]) for row in dev} & set(keys)
    joined = "\n".join(keys)
    assert not [
        row["text"] for row in dev if len(k := sentiment.key(row["text"])) >= sentiment.LONG_KEY and k in joined
    ]
    words = {(row["text"], row["label"]) for row in train if " " not in row["text"]}
    assert {("good", "positive"), ("awful", "negative")} <= words and ("odd", "negative") not in words
