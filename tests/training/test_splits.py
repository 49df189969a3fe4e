"""From a file to what is learned and what is held out: what cannot be used goes first, and what was read is told."""

from __future__ import annotations

import json

import pytest

from engine.errors import InputError, TooLargeError
from engine.jobs import apart
from engine.training import columns, splitting
from engine.training.config import TrainingConfig
from engine.training.formats import _apart, read_table
from engine.training.splits import Splits


def make(task: str, content: str, held_out: str = "", name: str = "a.csv", share: float = 0.2, seed: int = 1) -> Splits:
    table = read_table(content.encode(), name)
    other = read_table(held_out.encode(), name) if held_out else None
    return splitting.make(task, table, other, columns.guess(table, task), share, False, seed)


def said(task: str, parts: Splits, **settings: str) -> list[str]:
    return [f"{found.level}: {found.message}" for found in splitting.check(task, parts, settings)]


def csv(*rows: tuple[str, str]) -> str:
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)


MANY = [(f"text {n}", "ab"[n % 2]) for n in range(40)]


def test_every_class_is_on_both_sides_whatever_cannot_be_used() -> None:
    rare = [("rare one", "c"), ("rare two", "c"), *[("", "c")] * 5, *[("rare one", "c")] * 5]
    for seed in range(8):
        parts = make("classification", csv(*MANY, *rare, ("lost", ""), ("none", "nan")), seed=seed)
        for rows in (parts.usable_train, parts.usable_validation):
            assert {row["label"] for row in rows} == {"a", "b", "c"}
            assert all(row["text"] and row["label"] for row in rows)
        assert len(parts.usable_train) + len(parts.usable_validation) == 42
        assert parts.train == parts.usable_train


def test_what_cannot_be_used_is_named_by_its_rows_in_the_file() -> None:
    found = said("classification", make("classification", csv(*MANY, ("", "a"), ("text 0", "a"), ("x", "NULL"))))
    assert "warning: Row 42 (in the file) has an empty text; it is left out." in found
    assert "warning: Row 43 (in the file) repeats an earlier row; it is left out." in found
    assert "warning: Row 44 has “NULL” as label, which counts as missing. Write it otherwise if it is meant." in found
    assert not said("classification", make("classification", csv(*MANY)))


def test_a_text_under_two_labels_is_found_and_stays_on_one_side() -> None:
    torn = [("Torn text", "a"), ("torn  text", "b")]
    for seed in range(8):
        parts = make("classification", csv(*MANY, *torn), seed=seed)
        sides = [
            {row["text"] for row in rows} & {"Torn text", "torn  text"} for rows in (parts.train, parts.validation)
        ]
        assert sorted(map(len, sides)) == [0, 2]
    assert (
        "warning: Rows 42 and 43 (in the file) have texts that stand under several labels (“a”, “b”). "
        "Decide for one each." in said("classification", parts)
    )


def test_labels_are_joined_over_both_files() -> None:
    parts = make(
        "classification", csv(*[(text, "1.0") for text, _ in MANY[:9]], ("z", "2")), csv(("x", "1"), ("y", "2"))
    )
    assert (
        {row["label"] for row in parts.usable_train}
        == {row["label"] for row in parts.usable_validation}
        == {"1.0", "2"}
    )
    (found,) = [words for words in said("classification", parts) if "File held out: Row 2 has a label" in words]
    assert "“1” → “1.0”" in found


def test_a_class_of_one_text_is_learned_and_told() -> None:
    parts = make("classification", csv(*MANY, ("only", "c")))
    assert "c" in {row["label"] for row in parts.train} and "c" not in {row["label"] for row in parts.validation}
    assert any("No row held out has “c”" in words for words in said("classification", parts))


def test_the_rows_of_a_chat_stay_on_one_side() -> None:
    def chat(n: int) -> str:
        turns = [("user", f"hi {n}"), ("assistant", "ho"), ("user", "and?"), ("assistant", f"so {n}")]
        return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]})

    parts = make("instructions", "\n".join(map(chat, range(10))), name="a.jsonl", share=0.3)
    assert len(parts.train) + len(parts.validation) == 20
    assert not set(parts.train.numbers) & set(parts.validation.numbers)
    found = said("instructions", parts)
    assert "note: 10 chats have 20 answers: each is a row, with everything said before it." in found
    assert not any("among the rows" in words for words in found)


PAIRS = "".join(f"the cat {n},die Katze {n}\n" for n in range(30))


@pytest.mark.parametrize(
    ("content", "settings", "sentence"),
    [
        ("en,de\n" + PAIRS, {"source_language": "en", "target_language": "fr"},
         "The column de seems to be German, but is learned as French. Change From and To, or the columns."),
        ("en,ru\n" + PAIRS, {"source_language": "en", "target_language": "fr"},
         "The column ru seems to be Russian, but is learned as French."),
        ("German,English\n" + PAIRS, {"source_language": "en", "target_language": "de"},
         "The column German seems to be German, but is learned as English."),
        ("source,target,target_lang\n" + PAIRS.replace("\n", ",de\n", 15).replace("9\n", "9,fr\n"),
         {"source_language": "en", "target_language": "de"},
         "The column target_lang names several languages (“de”, “fr”), but all rows are learned as one pair."),
    ],
)  # fmt: skip
def test_columns_named_after_languages_are_compared_with_the_settings(
    content: str, settings: dict[str, str], sentence: str
) -> None:
    parts = make("translation", content)
    assert any(words.startswith(f"warning: {sentence}") for words in said("translation", parts, **settings))


def test_good_columns_of_languages_give_the_settings() -> None:
    from engine.training import tasks

    parts = make("translation", "en,de\n" + PAIRS)
    found = tasks.find("translation").settings_in(parts.mapping)
    assert found == {"source_language": "en", "target_language": "de"}
    assert said("translation", parts, **found) == []
    assert tasks.find("summary").settings_in(parts.mapping) == {}


def test_too_few_rows_say_what_became_of_the_others() -> None:
    content = csv(("only one", "a"), *[("", "b")] * 6)
    with pytest.raises(
        InputError, match=r"too few different rows .* Rows 3, 4, 5, 6, 7 and 8 \(in the file\) have an empty"
    ):
        make("classification", content)


def test_a_check_with_all_settings_says_the_same_and_more() -> None:
    parts = make("classification", csv(*MANY, ("x", "nan")))
    config = TrainingConfig(task="classification", base="b", train_file="t", validation_file="v", labels=("a", "z"))
    found = splitting.check(config, parts)
    assert found[0].level == "error" and "labels does not name" in str(found[0].message)
    assert {str(each.message) for each in parts.findings} <= {str(each.message) for each in found}


CHATS = "\n".join(
    json.dumps({"messages": [{"role": role, "content": f"{role} {n}"} for role in ("user", "assistant") * turns]})
    for n, turns in enumerate([1, 2] * 15)
)
ANSWERS = "question,passage,answer\n" + "".join(f"When {n}?,It was in {n}.,{'in' * (n % 3)}\n" for n in range(30))


@pytest.mark.parametrize(
    ("task", "content", "held_out", "name"),
    [
        ("classification", "\ntext,label\n" + csv(*MANY, ("x", "nan"), ("text 1", "b"))[11:], "", "a.csv"),
        ("classification", csv(*MANY), csv(("v", "a"), ("", "b"), ("w", "B ")), "a.csv"),
        ("instructions", CHATS, "", "a.jsonl"),
        ("answer", ANSWERS, "", "a.csv"),
    ],
)
def test_many_rows_are_parted_and_checked_in_a_child_as_they_are_here(
    monkeypatch: pytest.MonkeyPatch, task: str, content: str, held_out: str, name: str
) -> None:
    here = make(task, content, held_out, name)
    found = said(task, here)
    monkeypatch.setattr(splitting, "MANY_ROWS", 0)
    for place in ("splits.make", "preflight.check_rows"):
        monkeypatch.setattr(f"engine.training.{place}", lambda *_: pytest.fail("in the process that serves"))
    apart = make(task, content, held_out, name)
    assert apart.findings == here.findings and said(task, apart) == found
    for part in ("whole", "train", "validation", "usable_train", "usable_validation"):
        rows, same = getattr(apart, part), getattr(here, part)
        assert (rows is None) is (same is None)
        if rows is None:
            continue
        assert list(rows) == list(same) and list(rows.numbers) == list(same.numbers)
        assert rows[:2].values == list(rows)[:2] == [rows[n] for n in range(2)]


def test_a_child_says_which_column_is_wrong_and_ends_at_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MANY_ROWS", 0)
    with pytest.raises(InputError, match="too few different rows") as caught:
        make("classification", csv(("only one", "a"), ("", "b")))
    assert caught.value.param == "text"
    monkeypatch.setattr(apart, "free_memory_bytes", lambda: 2**20)
    with pytest.raises(TooLargeError, match="takes more time or memory than there is"):
        make("classification", csv(*MANY))


def test_rows_are_read_as_well_where_a_child_read_them() -> None:
    table = read_table("sep=;\ntext;;label\ncafé;1;a\nnoir;2;b\n".encode("cp1252"), "a.csv")
    answer = _apart.Answer()
    answer.take([*_apart.lines_of(table), *_apart.lines_of(table)])
    for same in answer.tables:
        assert same.findings == table.findings and list(same.rows) == list(table.rows)
