"""Columns are guessed, corrected and applied; rows are cleaned and split."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InputError, TooLargeError
from engine.training import columns, tasks
from engine.training.columns import Rows, apply, guess, split, usable
from engine.training.formats import Table, read_table

ROLES = {id: task.roles for id, task in tasks.registry().items()}


def table(**cells: list[Any]) -> Table:
    count = len(next(iter(cells.values())))
    return Table(tuple(cells), [{name: cells[name][i] for name in cells} for i in range(count)], range(2, count + 2))


NO_CHAT: dict[str, str | None] = {"system": None, "history": None}
LONG = "It was built in 1843 by a baker, and it stands at the northern end of the long street to this day."


@pytest.mark.parametrize(
    ("task", "cells", "mapping"),
    [
        ("style", {"id": [1], "Text": ["a"]}, {"text": "Text"}),
        ("style", {"id": [1], "blah": ["a story of a hen"]}, {"text": "blah"}),
        ("classification", {"sentence": ["a"], "label": [1]}, {"text": "sentence", "label": "label"}),
        ("classification", {"Category": ["x"], "Message body": ["a"]}, {"text": "Message body", "label": "Category"}),
        (
            "classification",
            {"who": [f"p {n}" for n in range(9)], "a": ["x", "y", "x"] * 3, "b": [f"{LONG} {n}" for n in range(9)]},
            {"text": "b", "label": "a"},
        ),
        (
            "instructions",
            {"instruction": ["a"], "input": ["b"], "output": ["c"]},
            {"prompt": "instruction", "response": "output", "input": "input"} | NO_CHAT,
        ),
        (
            "instructions",
            {"messages.user": ["a"], "messages.assistant": ["c"]},
            {"prompt": "messages.user", "response": "messages.assistant", "input": None} | NO_CHAT,
        ),
        (
            "answer",
            {"id": ["1"], "title": ["t"], "context": ["c"], "question": ["q"], "answers.text": [["c"]],
             "answers.answer_start": [[0]]},
            {"question": "question", "passage": "context", "answer": "answers.text",
             "answer_start": "answers.answer_start"},
        ),
        (
            "answer",
            {"x": [LONG], "y": ["When was it built?"], "z": ["1843, in spring"]},
            {"question": "y", "passage": "x", "answer": "z", "answer_start": None},
        ),
        ("translation", {"fr": ["a"], "en": ["b"]}, {"source": "fr", "target": "en"}),
        ("translation", {"id": [1], "translation.de": ["a"], "translation.en": ["b"]},
         {"source": "translation.de", "target": "translation.en"}),
        ("translation", {"src": ["a"], "tgt": ["b"]}, {"source": "src", "target": "tgt"}),
        ("translation", {"x": ["a"], "y": ["b"]}, {"source": "x", "target": "y"}),
        ("summary", {"highlights": ["a"], "article": ["b"], "id": ["7"]}, {"text": "article", "summary": "highlights"}),
        ("summary", {"dialogue": ["b"], "summary": ["a"]}, {"text": "dialogue", "summary": "summary"}),
    ],
)  # fmt: skip
def test_columns_are_guessed(task: str, cells: dict[str, list[Any]], mapping: dict[str, str | None]) -> None:
    assert guess(table(**cells), task) == mapping


def test_what_fits_nothing_is_left_to_the_person() -> None:
    assert guess(table(a=[1, 2, 3], b=[0.5, 1.5, 2.5]), "summary") == {"text": None, "summary": None}
    assert guess(table(text=["x"]), "translation")["target"] is None


def test_rows_have_the_roles_and_their_numbers() -> None:
    rows = apply(table(sentence=["  a\u0301\x07 b\r\n"], class_=[1.0], other=["x"]), "classification",
                 {"text": "sentence", "label": "class_"})  # fmt: skip
    assert list(rows) == [{"text": "  á b\n", "label": "1"}]
    assert rows.numbers == [2] and rows[0]["label"] == "1" and len(rows[:0]) == 0


def test_every_task_gets_exactly_its_keys() -> None:
    cells = {role: [f"text of {role}"] for roles in ROLES.values() for role in roles}
    for task, roles in ROLES.items():
        row = apply(table(**cells), task, {role: role for role in roles})[0]
        assert set(row) == set(roles)


def test_cells_of_all_kinds_become_text() -> None:
    found = apply(table(text=["x", None, ["first", "second"], []], label=[True, 3, 2.5, "  y "]), "classification",
                  {"text": "text", "label": "label"})  # fmt: skip
    assert [tuple(row.values()) for row in found] == [("x", "true"), ("", "3"), ("first", "2.5"), ("", "y")]


def test_an_input_joins_its_prompt() -> None:
    rows = apply(table(a=["Translate.", "Sing."], b=["hello", ""], c=["bonjour", "la"]), "instructions",
                 {"prompt": "a", "input": "b", "response": "c"})  # fmt: skip
    assert [row["prompt"] for row in rows] == ["Translate.\n\nhello", "Sing."]
    assert all(set(row) == {"prompt", "response"} for row in rows)


def test_an_answer_gets_the_place_nearest_to_the_one_given() -> None:
    passage = "one two one two one"
    mapping = {"question": "q", "passage": "p", "answer": "a", "answer_start": "s"}
    rows = apply(table(q=["?"] * 5, p=[passage] * 5, a=["one", " one ", ["one"], "six", ""], s=[9, "17", [8], 0, None]),
                 "answer", mapping)  # fmt: skip
    assert [row.get("answer_start") for row in rows] == [8, 16, 8, None, None]
    for row in rows[:3]:
        assert passage[row["answer_start"] :].startswith(row["answer"])
    assert "answer_start" not in rows[3] and rows[4]["answer"] == ""


@pytest.mark.parametrize(
    ("mapping", "field", "sentence"),
    [
        ({"text": "a"}, "label", "No column is chosen for label. Choose one of a, b"),
        ({"text": "a", "label": None}, "label", "No column is chosen"),
        ({"text": "zz", "label": "b"}, "text", "There is no column zz for text. Choose one of a, b"),
        ({"text": "a", "label": "a"}, "label", "text and label cannot both be the column a"),
    ],
)
def test_wrong_columns_have_their_sentence(mapping: dict[str, str | None], field: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        apply(table(a=["x"], b=["y"]), "classification", mapping)
    assert sentence in str(caught.value) and caught.value.param == field


def test_texts_in_the_column_of_labels_are_noticed() -> None:
    mapping: dict[str, str | None] = {"text": "a", "label": "b"}
    with pytest.raises(InputError, match=r"over 100 characters\. Choose the column of the labels"):
        apply(table(a=["x"], b=["y" * 101]), "classification", mapping)
    with pytest.raises(InputError, match="label has 201 different values; the limit is 200"):
        apply(table(a=["x"] * 201, b=[str(n) for n in range(201)]), "classification", mapping)


def test_a_text_beyond_all_measure_is_refused_with_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_TEXT_CHARACTERS", 10)
    with pytest.raises(TooLargeError, match="Row 3: text has 11 characters"):
        apply(table(a=["x", "y" * 11]), "style", {"text": "a"})


def test_usable_rows_are_whole_and_different() -> None:
    rows = apply(table(q=["a?", "a?", "", "b?", "c?"], p=["x y"] * 5, a=["x", "x", "y", "z", ""]), "answer",
                 {"question": "q", "passage": "p", "answer": "a"})  # fmt: skip
    kept = usable(rows, "answer")
    assert kept.numbers == [2, 6] and [row["answer"] for row in kept] == ["x", ""]
    assert usable(rows, "answer", keeps_repeats=True).numbers == [2, 3, 6]


def labelled(counts: dict[str, int]) -> Rows:
    rows = [{"text": f"{label} {n}", "label": label} for label, count in counts.items() for n in range(count)]
    return Rows(rows, list(range(2, len(rows) + 2)))


def test_a_split_keeps_shares_order_and_every_row() -> None:
    rows = labelled({"a": 60, "b": 30, "c": 10})
    train, held = split(rows, 0.2, seed=1, by="label")
    counts = [sum(row["label"] == label for row in held) for label in "abc"]
    assert counts == [12, 6, 2]
    assert sorted(train.numbers + held.numbers) == rows.numbers
    assert train.numbers == sorted(train.numbers) and held.numbers == sorted(held.numbers)
    assert all(rows[number - 2] == row for number, row in zip(held.numbers, held, strict=True))
    assert split(rows, 0.2, seed=1, by="label") == (train, held)
    assert split(rows, 0.2, seed=2, by="label") != (train, held)


def test_rare_labels_are_never_held_out_alone() -> None:
    train, held = split(labelled({"a": 20, "b": 2, "c": 1}), 0.1, seed=3, by="label")
    assert {row["label"] for row in train} == {"a", "b", "c"}
    assert {row["label"] for row in held} == {"a", "b"}


def test_rows_of_one_passage_stay_together() -> None:
    rows = Rows([{"question": f"q{n}", "passage": f"p{n // 5}", "answer": ""} for n in range(100)], list(range(100)))
    train, held = split(rows, 0.2, seed=1)
    assert len(held) == 20
    assert not {row["passage"] for row in train} & {row["passage"] for row in held}
    repeated = Rows([{"text": text} for text in ["same ", "Same", "a", "b", "c", "d"]], list(range(6)))
    for seed in range(5):
        train, held = split(repeated, 0.3, seed)
        assert (0 in train.numbers) == (1 in train.numbers)


def test_too_few_rows_cannot_be_split() -> None:
    for count in (0, 1):
        with pytest.raises(InputError, match="too few different rows"):
            split(labelled({"a": count}), 0.5, 1)
    with pytest.raises(InputError, match="too few different rows"):
        split(Rows([{"text": "a"}] * 9, list(range(9))), 0.5, 1)
    with pytest.raises(InputError, match="share must be between 0 and 1"):
        split(labelled({"a": 9}), 1.0, 1)


def test_a_file_goes_all_the_way() -> None:
    read = read_table(b"Review;Sentiment\ngood;1\n\nbad;0\n", "a.csv")
    rows = apply(read, "classification", guess(read, "classification"))
    assert list(rows) == [{"text": "good", "label": "1"}, {"text": "bad", "label": "0"}] and rows.numbers == [2, 4]
