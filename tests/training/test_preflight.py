"""Every fault of rows, settings and machine gets its own sentence with row numbers."""

from __future__ import annotations

from typing import Any

import pytest

from engine.training import findings
from engine.training.columns import Rows
from engine.training.config import TrainingConfig, count_steps
from engine.training.findings import Finding
from engine.training.preflight import check_machine, check_rows

WORDS = ("amber", "birch", "cedar", "dune", "elm", "fern", "grove", "heath", "isle", "jetty")


def texts(count: int, start: int = 0) -> list[str]:
    return [f"{WORDS[n % 10]} {WORDS[n // 10 % 10]} {n}" for n in range(start, start + count)]


def rows(values: list[dict[str, Any]], first: int = 2) -> Rows:
    return Rows(values, list(range(first, first + len(values))))


def labelled(pairs: list[tuple[str, str]], first: int = 2) -> Rows:
    return rows([{"text": text, "label": label} for text, label in pairs], first)


def config(task: str, **changes: Any) -> TrainingConfig:
    base = "" if task == "pretraining" else "base"
    return TrainingConfig(task=task, base=base, train_file="t", validation_file="v", **changes)


GOOD = labelled([(text, "ab"[n % 2]) for n, text in enumerate(texts(40))])
HELD = labelled([(text, "ab"[n % 2]) for n, text in enumerate(texts(10, 100))], 50)


def find(findings: list[Finding], words: str) -> Finding:
    found = [finding for finding in findings if words in str(finding.message)]
    assert len(found) == 1, (words, findings)
    return found[0]


def test_good_rows_have_no_findings() -> None:
    assert check_rows(config("classification", epochs=10.0), GOOD, HELD) == []
    assert check_rows("classification", [*GOOD], [*HELD]) == []


def test_empty_rows_are_named() -> None:
    train = labelled([*((row["text"], row["label"]) for row in GOOD), (" \n", "a"), ("x", ""), ("", "b")])
    found = check_rows("classification", train, HELD)
    assert found[0].message == "Rows 42 and 44 (to learn from) have an empty text; they are left out."
    assert (found[0].level, found[0].field, found[0].rows) == ("warning", "text", (42, 44))
    assert find(found, "empty label").message == "Row 43 (to learn from) has an empty label; it is left out."
    nothing = labelled([("", "a"), ("", "b")])
    assert (
        find(check_rows("classification", nothing, HELD), "All rows to learn from have an empty text").level == "error"
    )
    assert find(check_rows("classification", [], HELD), "no rows to learn from").level == "error"
    assert find(check_rows("classification", GOOD, []), "no rows held out").level == "error"


def test_repeated_rows_are_named_and_many_are_counted() -> None:
    pairs = [(row["text"], row["label"]) for row in GOOD]
    found = find(check_rows("classification", labelled(pairs + pairs[:1]), HELD), "repeat")
    assert found.message == "Row 42 (to learn from) repeats an earlier row; it is left out." and found.rows == (42,)
    found = find(check_rows("classification", labelled(pairs + pairs[:12]), HELD), "repeat")
    assert str(found.message).startswith(
        "Rows 42, 43, 44, 45, 46, 47, 48, 49 and 4 more (to learn from) repeat earlier rows"
    )
    assert len(found.rows) == 12


def test_rows_in_both_splits_are_named() -> None:
    held = labelled([*((row["text"], row["label"]) for row in HELD), (f"  {GOOD[3]['text'].upper()} ", "b")], 50)
    found = find(check_rows("classification", GOOD, held), "among the rows to learn from")
    assert str(found.message).startswith("Row 60 (held out) is among") and (found.level, found.rows) == (
        "warning",
        (60,),
    )


def test_labels_missing_in_one_split_are_named() -> None:
    held = labelled([*((row["text"], row["label"]) for row in HELD), ("new", "c")], 50)
    found = find(check_rows("classification", GOOD, held), "no row to learn from has")
    assert (found.level, found.field, found.rows) == ("error", "label", (60,)) and "“c”" in str(found.message)
    train = labelled([*((row["text"], row["label"]) for row in GOOD), *((text, "c") for text in texts(3, 60))])
    found = find(check_rows("classification", train, HELD), "No row held out has “c”")
    assert found.level == "warning"
    rare = labelled([*((row["text"], row["label"]) for row in GOOD), ("new", "d")])
    assert find(check_rows("classification", rare, HELD), "Fewer than 3 rows to learn from have “d”").rows == (42,)


def test_labels_are_two_or_more_and_those_that_were_named() -> None:
    only = labelled([(text, "a") for text in texts(40)])
    assert find(check_rows("classification", only, HELD), "All rows have the label “a”").level == "error"
    found = find(check_rows(config("classification", labels=("a", "c")), GOOD, HELD), "labels does not name: “b”")
    assert (found.level, found.field, len(found.rows)) == ("error", "labels", 20)
    skewed = labelled([*((text, "a") for text in texts(90)), *((text, "b") for text in texts(5, 100))])
    assert find(check_rows("classification", skewed, []), "18 times the rows").level == "note"


def questions(answers: list[str], first: int = 2) -> Rows:
    values = [
        {"question": f"what {first} {n}?", "passage": f"passage {first} {n}", "answer": answer}
        for n, answer in enumerate(answers)
    ]
    return rows(values, first)


def test_answers_not_in_their_passage_are_named() -> None:
    train, held = questions(["passage"] * 30 + ["Passage", "", "house"]), questions(["passage"] * 6, 50)
    found = find(check_rows("answer", train, held), "word for word")
    assert str(found.message).startswith("Rows 32 and 34 (to learn from) have an answer that is not in its passage")
    assert (found.level, found.rows) == ("warning", (32, 34))
    one = find(check_rows("answer", train[:31], held), "word for word")
    assert str(one.message).startswith(
        "Row 32 (to learn from) has an answer that is not in its passage word for word; it is"
    )
    assert (
        find(check_rows("answer", questions(["x"] * 30), held), "No row to learn from has an answer").level == "error"
    )


def test_pairs_that_teach_copying_and_swapped_columns_are_noticed() -> None:
    pairs = [{"source": text, "target": f"le {text}"} for text in texts(30)]
    train = rows([*pairs, {"source": "x", "target": " x"}])
    assert find(check_rows("translation", train, rows(pairs[:6])[:0]), "teaches copying").rows == (32,)
    swapped = rows([{"text": "short", "summary": f"a much longer {text}"} for text in texts(30)])
    assert len(find(check_rows("summary", swapped, []), "longer than the text. Are the columns swapped").rows) == 30


def test_wrongly_decoded_text_is_noticed() -> None:
    broken = labelled([*((row["text"], row["label"]) for row in GOOD), ("cafÃ©", "a"), ("a \ufffd b", "b"), ("É", "a")])
    found = find(check_rows("classification", broken, HELD), "wrong encoding")
    assert found.rows == (42, 43) and str(found.message).startswith("Rows 42 and 43 hold characters such as Ã©")


def test_texts_that_are_surely_cut_off_are_named() -> None:
    train = labelled([*((row["text"], row["label"]) for row in GOOD), ("word " * 50, "a")])
    found = find(check_rows(config("classification", max_length=16, epochs=10.0), train, HELD), "cut off")
    assert (found.field, found.rows, found.level) == ("max_length", (42,), "warning")
    assert "longer than max_length (16 tokens)" in str(found.message)
    train = rows([{"text": "word " * 5000} for _ in range(2)])
    assert not any(
        "cut off" in str(finding.message) for finding in check_rows(config("style", max_length=16), train, [])
    )


@pytest.mark.parametrize(
    ("changes", "inputs", "steps"),
    [
        ({}, 0, 0), ({"max_steps": 5}, 0, 0), ({"max_steps": 5}, 1000, 5), ({"batch_size": 16}, 40, 9),
        ({"batch_size": 16, "accumulation_steps": 4}, 40, 3), ({"epochs": 0.5, "batch_size": 1}, 9, 5),
        ({"epochs": 0.01}, 3, 1),
    ],
)  # fmt: skip
def test_steps_are_counted(changes: dict[str, Any], inputs: int, steps: int) -> None:
    assert count_steps(config("classification", **changes), inputs)[0] == steps


def test_a_step_count_of_zero_is_an_error_and_few_are_a_warning() -> None:
    nothing = rows([{"text": " "}])
    found = find(check_rows(config("pretraining"), nothing, nothing), "no step at all")
    assert (found.level, found.field) == ("error", "file")
    found = find(check_rows(config("classification", batch_size=64, epochs=1.0), GOOD, HELD), "only one step")
    assert (found.level, found.field) == ("warning", "epochs")
    long = rows([{"text": "word " * 20_000}])
    assert not any("step" in str(finding.message) for finding in check_rows(config("style", max_length=64), long, long))


def test_errors_come_first() -> None:
    train = labelled([*((row["text"], row["label"]) for row in GOOD), ("", "a")])
    levels = [finding.level for finding in check_rows("classification", train, labelled([("x", "c")] * 6, 50))]
    assert levels == sorted(levels, key=("error", "warning", "note").index) and {"error", "warning"} <= set(levels)


def test_too_little_memory_or_disk_is_said_with_figures() -> None:
    probe = {"estimated_memory_bytes": 5_000_000_000, "estimated_disk_bytes": 900_000_000, "steps": 10}
    assert check_machine(probe, 8 * 10**9, 2 * 10**9) == []
    short = check_machine(probe, 3 * 10**9, 500 * 10**6)
    assert [finding.level for finding in short] == ["error", "error"]
    assert "needs about 5.0 GB of memory, and 3.0 GB are free. Lower batch_size" in str(short[0].message)
    assert "needs about 900 MB of disk, and 500 MB are free. Delete old runs" in str(short[1].message)
    close = check_machine(probe, 6 * 10**9, 10**9)
    assert [(finding.level, finding.field) for finding in close] == [("warning", "batch_size"), ("warning", "disk")]
    assert find(check_machine(probe | {"steps": 0}, 10**11, 10**11), "no step at all").level == "error"
    assert check_machine({}, 0, 0) == []


def test_numbers_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MAX_KEPT_ROWS", 5)
    found = find(check_rows("style", rows([{"text": "same"}] * 30), []), "repeat")
    assert len(found.rows) == 5 and "and 24 more" in str(found.message)
