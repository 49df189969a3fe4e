"""Files of every kind become rows, and faulty ones a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jinja2 import TemplateError
from tokenizers_on_the_spot import wordpiece

from engine.errors import InputError
from engine.training.data import (
    IGNORED,
    HiddenTokens,
    collate,
    question_features,
    read_questions,
    read_rows,
    read_texts,
    shift_right,
    text_features,
)
from engine.training.lessons.causal import blocks, turn_feature

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
    assert [(row["text"], row["label"]) for row in rows] == [('"good" film', "positive"), ("bad, very bad", "negative")]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "sentence,label\nx,positive\n", "needs the columns text and label; it has sentence, label"),
        ("a.csv", "text,label\nx,happy\n", "row 2: label 'happy' is none of negative, positive"),
        ("a.csv", "text,label\n", "has no rows"),
        ("a.csv", "", "is empty"),
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
        ("[", "not JSON"),
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


def test_rows_of_questions_find_their_answers(tmp_path: Path) -> None:
    rows = [
        {"question": "When?", "passage": " It was 1843, yes 1843.", "answer": "1843", "answer_start": 17},
        {"question": "When?", "passage": "It was 1843.", "answer": "1843"},
        {"question": "Who?", "passage": "It was 1843.", "answer": ""},
    ]
    path = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [row.answers for row in read_questions(path)] == [(("1843", 17),), (("1843", 7),), ()]
    lost = write(tmp_path, "b.jsonl", json.dumps(rows[1] | {"answer": "1844"}))
    with pytest.raises(InputError, match="row 1: the answer '1844' is not in its passage"):
        read_questions(lost)


def test_rows_without_a_text_are_left_out_and_others_keep_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"text": " "}\n\n{"text": "here"}\n')
    assert read_rows(path, ("text",)) == [{"text": "here", "#": "3"}]
    with pytest.raises(InputError, match="row 1: text must be a text"):
        read_rows(write(tmp_path, "b.jsonl", '{"text": ["x"]}'), ("text",))
    with pytest.raises(InputError, match="needs the column text; it has words"):
        read_rows(write(tmp_path, "c.jsonl", '{"words": "x"}'), ("text",))


def test_hidden_tokens_follow_from_seed_and_epoch() -> None:
    tokenizer = wordpiece(["one two three four"] * 3)
    features = [{"input_ids": tokenizer("one two three four " * 9)["input_ids"], "length": 38}]
    first, same, other = (HiddenTokens(features, tokenizer, 0.5, seed) for seed in (1, 1, 2))
    assert first[0] == same[0] != other[0]
    ids = first[0]["input_ids"]
    assert tokenizer.mask_token_id in ids and (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    same.set_epoch(1)
    assert first[0] != same[0]
    tokenizer.mask_token = None
    with pytest.raises(InputError, match="no mask token"):
        HiddenTokens(features, tokenizer, 0.5)


class Letters:
    """A tokenizer of single letters; 1 ends a text."""

    eos_token_id, eos_token, chat_template = 1, "!", None

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [1 if letter == "!" else ord(letter) for letter in text]}


def test_running_text_fills_blocks() -> None:
    rows = [{"text": "abc", "#": "1"}, {"text": "defgh", "#": "2"}]
    found = blocks(rows, Letters(), 4)
    assert [feature["input_ids"] for feature in found] == [[97, 98, 99, 1], [100, 101, 102, 103], [104, 1]]
    assert [feature["row"] for feature in found] == [1, 2, 2]
    with pytest.raises(InputError, match="too little text"):
        blocks([{"text": "", "#": "1"}], Letters(), 4)


def test_only_the_response_is_learned_and_too_long_turns_are_cut_where_it_hurts_least() -> None:
    row = {"prompt": "ask", "response": "so", "#": "7"}
    feature = turn_feature(row, Letters(), 16)
    assert feature["input_ids"] == [*map(ord, "ask\nso"), 1]
    assert feature["labels"] == [*[IGNORED] * 4, *map(ord, "so"), 1] and not feature["is_cut"]
    long = turn_feature({"prompt": "x" * 30, "response": "short", "#": "8"}, Letters(), 16)
    assert long["is_cut"] and long["length"] == 16 and long["labels"][-6:] == [*map(ord, "short"), 1]
    longer = turn_feature({"prompt": "x" * 30, "response": "y" * 30, "#": "9"}, Letters(), 16)
    assert longer["labels"] == [*[IGNORED] * 8, *[ord("y")] * 8]


def test_everything_said_before_a_response_is_read() -> None:
    history = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    row = {"prompt": "ask", "response": "so", "history": json.dumps(history), "#": "1"}
    feature = turn_feature(row, Letters(), 64)
    assert feature["input_ids"] == [*map(ord, "Be brief.\nhi\nask\nso"), 1]
    assert feature["labels"][-4:] == [IGNORED, *map(ord, "so"), 1]


def test_a_template_without_system_messages_gets_all_as_the_users_words() -> None:
    class Strict(Letters):
        chat_template = "{{ turns }}"

        def apply_chat_template(self, turns: list[dict[str, str]], **_: object) -> str:
            if turns[0]["role"] != "user":
                raise TemplateError("System role not supported")
            return "".join(f"<{turn['content']}>" for turn in turns)

    row = {"prompt": "ask", "response": "so", "history": '[{"role": "system", "content": "Be brief."}]', "#": "1"}
    assert bytes(turn_feature(row, Strict(), 64)["input_ids"]) == b"<Be brief.\n\nask>so\x01"


def test_the_decoder_reads_the_labels_one_late() -> None:
    import torch

    labels = torch.tensor([[5, 6, 2], [7, 2, IGNORED]])
    assert shift_right(labels, 9, 1).tolist() == [[9, 5, 6], [9, 7, 2]]
    batch = collate([{"input_ids": [3, 4], "labels": [5]}, {"input_ids": [3], "labels": [5, 6]}], pad=8)
    assert batch["input_ids"].tolist() == [[3, 4], [3, 8]] and batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch["labels"].tolist() == [[5, IGNORED], [5, 6]]
