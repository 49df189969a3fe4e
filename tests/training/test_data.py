"""Files of every kind become rows, and faulty ones a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers_on_the_spot import wordpiece

from engine.errors import InputError
from engine.training.data import collate, question_features, read_questions, read_texts, text_features

LABELS = ("negative", "positive")


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def squad(answer: str = "1843", start: int = 8) -> str:
    item = {"question": "When?", "answers": [{"text": answer, "answer_start": start}]}
    none = {"question": "Who?", "answers": []}
    return json.dumps({"data": [{"paragraphs": [{"context": "It was, 1843 or so.", "qas": [item, none]}]}]})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", 'label\ttext\npositive\t"good" film\nnegative\tbad, very bad\n'),
        ("a.csv", 'text,label\n"""good"" film",positive\n"bad, very bad",negative\n'),
        (
            "a.jsonl",
            '{"text": "\\"good\\" film", "label": "positive"}\n\n{"text": "bad, very bad", "label": "negative"}\n',
        ),
    ],
)
def test_three_forms_hold_the_same_rows(tmp_path: Path, name: str, text: str) -> None:
    rows = read_texts(write(tmp_path, name, text), LABELS)
    assert [(row.text, row.label) for row in rows] == [('"good" film', "positive"), ("bad, very bad", "negative")]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", b"text,label\ncaf\xe9,positive\n", "not UTF-8"),
        ("a.csv", "sentence,label\nx,positive\n", "needs the columns text and label; it has sentence, label"),
        ("a.csv", "text,label\nx,happy\n", "row 2: label 'happy' is none of negative, positive"),
        ("a.csv", "text,label\n", "has no rows"),
        ("a.csv", "", "has no rows"),
        ("a.jsonl", "{]\n", "row 1: this is not JSON"),
        ("a.jsonl", "[1]\n", "must be an object"),
    ],
)
def test_faulty_tables_get_a_sentence(tmp_path: Path, name: str, text: str | bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_texts(write(tmp_path, name, text), LABELS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "not SQuAD JSON"),
        ("[", "not SQuAD JSON"),
        ('{"data": []}', "has no questions"),
        (squad(start=9), "'1843' is not at character 9"),
    ],
)
def test_faulty_squad_files_get_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_questions(write(tmp_path, "q.json", text))


def test_features_carry_the_answer(tmp_path: Path) -> None:
    rows = read_questions(write(tmp_path, "q.json", squad()))
    tokenizer = wordpiece(["It was, 1843 or so.", "When? Who?"])
    features, windows, owners = question_features(rows, tokenizer, 32, 8)
    assert owners == [0, 1]
    first = features[0]["start_positions"], features[0]["end_positions"]
    start, end = windows[0].offsets[first[0]], windows[0].offsets[first[1]]
    assert start and end and rows[0].passage[start[0] : end[1]] == "1843"
    assert (features[1]["start_positions"], features[1]["end_positions"]) == (0, 0)
    batch = collate(features)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == batch["token_type_ids"].shape
    assert batch["attention_mask"].sum(1).tolist() == [len(window.input_ids) for window in windows]


def test_texts_are_cut_to_length(tmp_path: Path) -> None:
    rows = read_texts(write(tmp_path, "a.csv", f"text,label\n{'word ' * 99},positive\nshort,negative\n"), LABELS)
    features = text_features(rows, wordpiece(["word short"]), 16, LABELS)
    assert len(features[0]["input_ids"]) == 16
    assert [f["labels"] for f in features] == [1, 0]
