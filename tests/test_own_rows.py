"""The project's own rows: shape, counts, labels, balance, no row twice or nearly so; their reader and table."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from benchmarks.own_rows import ROWS, OwnRow, own_rows, table
from models.recipes import own_toxicity, sentiments_data

LANGUAGES = ("de", "en", "es", "fr", "zh")
SENTIMENT = {"neutral": 200, "negation": 200, "contrast": 200, "emoji": 200}
TOXIC = ("derogation", "threat", "insult", "implied", "spelling")
NOT_TOXIC = ("profanity", "counter", "reclaimed", "target", "identity")
NEAR = 0.6
"""Share of common character pieces from which on two rows are nearly one."""


def pieces(text: str, language: str) -> frozenset[str]:
    """The text's runs of four characters (two in Chinese)."""
    length = 2 if language == "zh" else 4
    plain = re.sub(r"\W+", " ", text.lower()).strip() or text
    return frozenset(plain[start : start + length] for start in range(max(1, len(plain) - length + 1)))


def words(text: str, language: str) -> list[str]:
    """The text's words (characters in Chinese)."""
    return re.findall(r"\w" if language == "zh" else r"\w+", text.lower())


def differs_by_one_word(one: list[str], other: list[str]) -> bool:
    """Whether all but one of at least three words are equal, place by place."""
    return len(one) == len(other) >= 3 and sum(a != b for a, b in zip(one, other, strict=True)) <= 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentiment_has_200_rows_a_kind(language: str) -> None:
    rows = [row for row in own_rows("sentiment") if row.language == language]
    assert Counter(row.kind for row in rows) == SENTIMENT
    assert all(row.text == row.text.strip() and "\ufffd" not in row.text for row in rows)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentiments_labels_are_balanced(language: str) -> None:
    rows = [row for row in own_rows("sentiment") if row.language == language]
    counts = {kind: Counter(row.label for row in rows if row.kind == kind) for kind in SENTIMENT}
    assert counts["neutral"] == {"neutral": 200}
    for kind in ("negation", "contrast", "emoji"):
        assert counts[kind]["positive"] == counts[kind]["negative"] >= 75
        assert set(counts[kind]) == {"positive", "neutral", "negative"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_toxicity_has_as_many_rows_of_each_kind_and_a_kind_one_label(language: str) -> None:
    rows = [row for row in own_rows("toxicity") if row.language == language]
    count = 40 if language == "en" else 10
    kinds = dict.fromkeys(TOXIC, "toxic") | dict.fromkeys(NOT_TOXIC, "not toxic")
    assert Counter((row.kind, row.label) for row in rows) == dict.fromkeys(kinds.items(), count)


@pytest.mark.parametrize("task", ["sentiment", "toxicity"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_row_is_there_twice_or_nearly_so(task: str, language: str) -> None:
    rows = [row for row in own_rows(task) if row.language == language]
    known = [(row.text, pieces(row.text, language), words(row.text, language)) for row in rows]
    near = [
        (one[0], other[0])
        for one, other in combinations(known, 2)
        if len(one[1] & other[1]) > NEAR * len(one[1] | other[1]) or differs_by_one_word(one[2], other[2])
    ]
    assert not near


def test_rows_with_emoji_have_some() -> None:
    symbols = re.compile(r"[\u203c-\u3299\U0001f000-\U0001faff]")
    assert all(symbols.search(row.text) for row in own_rows("sentiment") if row.kind == "emoji")


@pytest.mark.parametrize("task", [folder.name for folder in sorted(ROWS.iterdir()) if folder.is_dir()])
def test_own_rows_are_trained_on_by_no_recipe(task: str) -> None:
    texts = {row.text for row in own_rows(task)}
    recipes = Path(ROWS.parents[1] / "models" / "recipes")
    lines = {line for file in recipes.iterdir() if file.is_file() for line in file.read_text("utf-8").split("\n")}
    lines |= {row.text for row in sentiments_data.written_rows()}
    trained = {match for line in lines for match in re.findall(r'"([^"]*)"', line)} | lines
    filled = {row.text for is_choosing in (False, True) for row in own_toxicity.own_rows(10**6, is_choosing)}
    assert not texts & trained and not texts & filled


def test_a_file_of_another_shape_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "sentiment"
    folder.mkdir()
    (folder / "en.tsv").write_text("kind\tlabel\ttext\nneutral\tneutral\tone\ttwo\n")
    with pytest.raises(ValueError, match=r"en\.tsv, line 2"):
        own_rows("sentiment", tmp_path)
    (folder / "en.tsv").write_text("kind\ttext\tlabel\n")
    with pytest.raises(ValueError, match="line 1"):
        own_rows("sentiment", tmp_path)


def test_the_table_has_kinds_and_languages() -> None:
    rows = [OwnRow("emoji", "positive", "a", "en"), OwnRow("emoji", "positive", "b", "en")]
    rows.append(OwnRow("neutral", "neutral", "c", "fr"))
    lines = table(rows, [True, False, True]).split("\n")
    assert lines[0] == "| kind | en | fr | all |"
    assert lines[2:] == [
        "| emoji | 50.0 |  | 50.0 |",
        "| neutral |  | 100.0 | 100.0 |",
        "| all | 50.0 | 100.0 | 66.7 |",
    ]
