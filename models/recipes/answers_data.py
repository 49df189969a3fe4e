"""Questions in five languages for the reader on the multilingual encoder: who learns from what, and what is held out.

Whole articles are held out: every eighth of SQuAD's and PIAF's for measuring (those of SQuAD that the earlier head was
measured on), a few others for choosing. XQuAD is for measuring alone. Passages that share eight words in a row with a
held-out one are left out of what is learned.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engine.training.data import Question

SEED = 19
MEASURED_EVERY, CHOOSING_EVERY, CHOOSING_PLACE = 8, 24, 4
LONGEST_PASSAGE = 4000
"""Characters; longer ones are cut around the answer when they are learned from."""
SHARED_WORDS = 8


@dataclass(frozen=True)
class Asked(Question):
    """A question with its language and the article that its passage is of."""

    language: str = "en"
    article: str = ""


@dataclass(frozen=True)
class Set:
    """One corpus: its file below qa/, its language, and how large a share of what is learned is of it."""

    file: str
    language: str
    share: float
    is_held_out: bool = False
    has_articles: bool = True
    """Whether articles are of one subject, so that another passage of the same makes a hard question without answer."""


SETS = {
    "squad": Set("squad_train_part/test-v1.1.json.gz", "en", 0.24, is_held_out=True),
    "new_wiki": Set("squadshifts/new_wiki_v1.0.json.gz", "en", 0.14),
    "amazon": Set("squadshifts/amazon_reviews_v1.0.json.gz", "en", 0.06),
    "reddit": Set("squadshifts/reddit_v1.0.json.gz", "en", 0.06, has_articles=False),
    "piaf": Set("piaf_fr/piaf-v1.0.json.gz", "fr", 0.20, is_held_out=True),
    "cmrc": Set("cmrc2018/cmrc2018_dev.fixed.json.gz", "zh", 0.12, is_held_out=True),
    "cmrc_trial": Set("cmrc2018/cmrc2018_trial.fixed.json.gz", "zh", 0.04),
    "drcd": Set("drcd/DRCD_dev.json.gz", "zh", 0.04),
    "drcd_test": Set("drcd/DRCD_test.json.gz", "zh", 0.04),
    "mlqa": Set("mlqa_de_dev/mlqa_dev_de.json.gz", "de", 0.06),
}
MEASURED = {
    "SQuAD articles held out": ("squad", "en"),
    "PIAF articles held out": ("piaf", "fr"),
    "XQuAD part, German": ("xquad_part/xquad.de.part.json.gz", "de"),
    "XQuAD part, Spanish": ("xquad_part/xquad.es.part.json.gz", "es"),
    "XQuAD part, Chinese": ("xquad_part/xquad.zh.part.json.gz", "zh"),
}
"""What figures are told of."""
TRANSLATED, TRANSLATED_SHARE = "translated", 0.08
"""Name and share of each set that a student made of SQuAD (`translated_questions`)."""


@dataclass(frozen=True)
class Parts:
    """Rows by name of their set: to learn from, to choose by."""

    learned: dict[str, list[Asked]]
    choosing: dict[str, list[Asked]]


def read(file: Path, language: str, *, has_articles: bool = True) -> list[Asked]:
    """A file of SQuAD's form; of several answers the one that most gave comes first, then the shortest."""
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        articles = json.load(opened)["data"]
    rows = []
    for number, article in enumerate(articles):
        for place, paragraph in enumerate(article["paragraphs"]):
            name = f"{file.name} {number}" + ("" if has_articles else f" {place}")
            seen: set[str] = set()
            for item in paragraph["qas"]:
                answers = _answers(item["answers"], paragraph["context"])
                if answers and item["question"] not in seen:
                    seen.add(item["question"])
                    rows.append(Asked(item["question"], paragraph["context"], answers, 0, language, name))
    return rows


def _answers(given: Sequence[dict[str, Any]], passage: str) -> tuple[tuple[str, int], ...]:
    texts = [answer["text"] for answer in given]
    found = {
        (a["text"], int(a["answer_start"])) for a in given if passage.startswith(a["text"], int(a["answer_start"]))
    }
    return tuple(sorted(found, key=lambda one: (-texts.count(one[0]), len(one[0]), one)))


def split(name: str, rows: Sequence[Asked]) -> dict[str, list[Asked]]:
    """Rows by what they are for, whole articles each: learned, choosing, measured."""
    parts: dict[str, list[Asked]] = {"learned": [], "choosing": [], "measured": []}
    for row in rows:
        number = int(row.article.split()[1])
        is_measured = SETS[name].is_held_out and number % MEASURED_EVERY == 0 and name != "cmrc"
        is_choosing = SETS[name].is_held_out and number % CHOOSING_EVERY == CHOOSING_PLACE
        parts["measured" if is_measured else "choosing" if is_choosing else "learned"].append(row)
    return parts


def share(name: str) -> float:
    """How large a part of what is learned is of this set."""
    return SETS[name].share if name in SETS else TRANSLATED_SHARE


def read_rows(data: Path, translated: Mapping[str, Path] = MappingProxyType({})) -> Parts:
    """What is learned from and chosen by, from the folder with `qa/`, and from files of translated rows by language."""
    parts = {
        name: split(name, read(data / "qa" / one.file, one.language, has_articles=one.has_articles))
        for name, one in SETS.items()
    }
    for language, file in translated.items():
        parts[f"{TRANSLATED} {language}"] = {"learned": read(file, language), "choosing": [], "measured": []}
    held = [row for part in parts.values() for kind in ("choosing", "measured") for row in part[kind]]
    held += [row for rows in measured(data).values() for row in rows]
    known = {run for passage in {row.passage for row in held} for run in _runs(passage)}
    learned = {}
    for name, part in parts.items():
        repeats = {
            passage for passage in {row.passage for row in part["learned"]} if not known.isdisjoint(_runs(passage))
        }
        learned[name] = [row for row in part["learned"] if row.passage not in repeats]
    return Parts(learned, {name: part["choosing"] for name, part in parts.items() if part["choosing"]})


def measured(data: Path) -> dict[str, list[Asked]]:
    """Rows that figures are told of, by their names; none of them is learned from or chosen by."""
    found = {}
    for title, (name, language) in MEASURED.items():
        if name in SETS:
            found[title] = split(name, read(data / "qa" / SETS[name].file, language))["measured"]
        else:
            found[title] = read(data / "qa" / name, language)
    return found


def _runs(passage: str) -> set[tuple[str, ...]]:
    """All runs of eight words; of Chinese, of sixteen characters."""
    is_chinese = 3 * len(re.findall(r"[\u4e00-\u9fff]", passage)) > len(passage)
    words = re.findall(r"\w" if is_chinese else r"\w+", passage.lower())
    length = SHARED_WORDS * (2 if is_chinese else 1)
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


class Elsewhere:
    """Asks questions over passages that do not answer them: of the same article, or of another one in the language."""

    def __init__(self, rows: Sequence[Asked]) -> None:
        self._of_article: dict[str, list[str]] = {}
        self._of_language: dict[str, list[tuple[str, str]]] = {}
        for row in dict.fromkeys((row.article, row.language, row.passage) for row in rows):
            article, language, passage = row
            self._of_article.setdefault(article, []).append(passage)
            self._of_language.setdefault(language, []).append((article, passage))

    def same_article(self, row: Asked, rng: random.Random) -> Asked | None:
        """Over another passage of the article, which has none of the answers in it."""
        return self._asked(row, [p for p in self._of_article[row.article] if p != row.passage], rng)

    def other_article(self, row: Asked, rng: random.Random) -> Asked | None:
        """Over a passage of another article."""
        offered = [passage for article, passage in self._of_language[row.language] if article != row.article]
        return self._asked(row, rng.sample(offered, min(8, len(offered))), rng)

    def _asked(self, row: Asked, passages: list[str], rng: random.Random) -> Asked | None:
        texts = [text.lower() for text, _ in row.answers]
        fitting = [passage for passage in passages if not any(text in passage.lower() for text in texts)]
        return replace(row, passage=rng.choice(fitting), answers=()) if fitting else None


def shortened(row: Asked, rng: random.Random) -> Asked:
    """The row with a passage of at most LONGEST_PASSAGE characters around its first answer."""
    if len(row.passage) <= LONGEST_PASSAGE:
        return row
    text, at = row.answers[0] if row.answers else ("", rng.randrange(len(row.passage)))
    start = max(0, min(at - rng.randrange(LONGEST_PASSAGE - len(text)), len(row.passage) - LONGEST_PASSAGE))
    answers = ((text, at - start),) if row.answers else ()
    return replace(row, passage=row.passage[start : start + LONGEST_PASSAGE], answers=answers)


def stretch(rows: Sequence[Any], start: int, count: int, name: str) -> Iterator[Any]:
    """Rows `start` to `start + count` of an endless list in which each row comes once before any comes again."""
    order: list[int] = []
    epoch = -1
    for place in range(start, start + count):
        if place // len(rows) != epoch:
            epoch, order = place // len(rows), list(range(len(rows)))
            random.Random(f"{SEED}-{name}-{epoch}").shuffle(order)
        yield rows[order[place % len(rows)]]
