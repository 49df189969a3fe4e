"""The built-in samples: whole, varied, correct, and as their recipe makes them."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from engine.errors import NotFoundError
from engine.training import tasks
from engine.training.columns import Rows, apply, guess, split, usable
from engine.training.config import TrainingConfig, defaults
from engine.training.formats import Table, read_table
from engine.training.preflight import check_rows
from engine.training.tasks import Sample

ALL = [(task, sample) for task, found in tasks.registry().items() for sample in found.samples]
IDS = [sample.id for _, sample in ALL]


def read(sample: Sample) -> Table:
    return read_table(sample.file, sample.file.name)


def rows_of(task: str, sample: Sample) -> Rows:
    return apply(read(sample), task, guess(read(sample), task))


def test_every_task_has_a_sample() -> None:
    assert all(task.samples for task in tasks.registry().values())
    assert len(set(IDS)) == len(IDS)
    assert tasks.find_sample("tickets").id == "tickets"
    with pytest.raises(NotFoundError):
        tasks.find_sample("../tickets")


@pytest.mark.parametrize(("task", "sample"), ALL, ids=IDS)
def test_a_sample_passes_its_own_preflight(task: str, sample: Sample) -> None:
    assert {role: column for role, column in guess(read(sample), task).items() if column} == {
        role: role for role in tasks.find(task).roles
    }
    rows = rows_of(task, sample)
    assert len(usable(rows, task)) == len(rows)
    train, held = split(rows, 0.15, 13, tasks.find(task).split_by)
    settings = defaults(task, has_base=task not in ("pretraining", "translation"))
    base = "" if task in ("pretraining", "translation") else "base"
    settings |= dict(sample.settings) | {"sample_prompts": sample.prompts}
    config = TrainingConfig(task=task, base=base, train_file="t", validation_file="v", **settings)
    assert check_rows(config, train, held) == []


@pytest.mark.parametrize(("task", "sample"), ALL, ids=IDS)
def test_a_sample_is_clean_and_varied(task: str, sample: Sample) -> None:
    rows = rows_of(task, sample)
    texts = [text for row in rows for text in row.values() if isinstance(text, str)]
    size = sample.file.stat().st_size
    assert 20_000 < size < 300_000 and (task != "pretraining" or size > 100_000)
    for text in texts:
        assert not re.search(r"[{}\[\]|]|  | [.,;]|\.\.| a [aeio]", text.replace("il y a ", "").replace(" a o", "")), (
            text
        )
        assert text == text.strip() and (not text or text[0].isupper() or text[0].isdigit() or len(text) < 40), text
    whole = [row.get("passage", next(iter(row.values()))) for row in rows]
    assert len(set(whole)) > 0.15 * len(whole)
    common = Counter(word for text in texts for word in re.findall(r"\w+", text.lower()))
    assert len(common) > 300


def test_the_log_has_its_voice() -> None:
    entries = [row["text"] for row in rows_of("style", tasks.find_sample("lighthouse"))]
    days = [int(re.match(r"Day (\d+)\. ", entry)[1]) for entry in entries]  # type: ignore[index]
    assert days == sorted(set(days)) and len(days) >= 150
    assert all(entry.endswith("The lamp is lit. The sea is the sea.") for entry in entries)


def test_cards_have_four_lines() -> None:
    rows = rows_of("instructions", tasks.find_sample("cards"))
    shape = re.compile(r"[^\n]+\nKind: [^\n]+\nWhere: [^\n]+\nKnown for: [^\n]+\nIn a word: [^\n]+")
    assert all(shape.fullmatch(row["response"]) for row in rows)
    assert len({row["response"].split("\n")[0] for row in rows}) == len(rows)


def test_tickets_are_balanced() -> None:
    counts = Counter(row["label"] for row in rows_of("classification", tasks.find_sample("tickets")))
    assert counts == {"account": 70, "billing": 70, "delivery": 70, "technical": 70}


def test_answers_stand_once_in_their_passage() -> None:
    rows = rows_of("answer", tasks.find_sample("passages"))
    answered = [row for row in rows if row["answer"]]
    assert 0.08 < 1 - len(answered) / len(rows) < 0.25
    assert all(row["passage"].count(row["answer"]) == 1 and "answer_start" in row for row in answered)


def test_summaries_are_short_and_about_their_text() -> None:
    for row in rows_of("summary", tasks.find_sample("headlines")):
        assert len(row["summary"]) < 0.6 * len(row["text"])
        names = re.findall(r"(?<!^)\b[A-Z]\w+", row["summary"])
        assert all(name in row["text"] for name in names), row


def test_french_agrees() -> None:
    for row in rows_of("translation", tasks.find_sample("pairs")):
        french = row["target"].lower()
        assert not re.search(r"\b(le|la|de le|ma|je|ne) [aeéêhio]", french.replace("la haut", "")), french
        assert not re.search(r"\b(à le|de le|à les|de les) ", french), french
        assert (french[-1] == "?") == (row["source"][-1] == "?") and not re.search(r"\S[?!]", french), french
