"""English sentences with a judgement, by where they come from; all may be shipped in weights.

`data` is the folder `sentiment/`. What repeats a sentence of SST-2's dev set, which measures, is known by `Held`: the
Pang & Lee snippets hold nearly all of them.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

Row = tuple[str, str]
LABELS = ("negative", "neutral", "positive")
COMMENTS_PER_LABEL = {"negative": 1500, "neutral": 3000, "positive": 1500}
"""GoEmotions rows taken, so that they do not drown the reviews."""
PASSAGES_PER_REVIEW = 2
"""Passages of two sentences taken from each long review, from its end, where the verdict stands."""

LONG_KEY, FEW_WORDS, SAME_WORDS = 20, 5, 0.8
"""A held sentence of this many letters is looked for inside rows; one of this many words counts as repeated where a
row has this share of them (SST-2 is cut from the Pang & Lee snippets, often to a part of one)."""


class Held:
    """Sentences that no training row may repeat, whole, in part or nearly."""

    def __init__(self, sentences: list[str]) -> None:
        self._keys = {key(text) for text in sentences}
        self._long = [k for k in self._keys if len(k) >= LONG_KEY]
        self._words = [words for text in sentences if len(words := word_set(text)) >= FEW_WORDS]

    def repeats(self, text: str) -> bool:
        """Whether the text is one of the sentences, has one inside, or has most of the words of one."""
        own, words = key(text), word_set(text)
        return (
            own in self._keys
            or any(long in own for long in self._long)
            or any(len(words & other) >= SAME_WORDS * len(other) for other in self._words)
        )


def key(text: str) -> str:
    """Letters and digits only, without the treebank's brackets: equal for the same sentence in another tokenisation."""
    return re.sub(r"-[lr]rb-|[^a-z0-9]", "", text.lower())


def word_set(text: str) -> set[str]:
    """The text's words of three letters or more."""
    return set(re.findall(r"[a-z0-9]{3,}", re.sub(r"-[lr]rb-", "", text.lower())))


def polarity_sentences(data: Path) -> Iterator[Row]:
    """Pang & Lee 2005, CC BY 4.0."""
    with gzip.open(data / "sentence_polarity.no-sst-test.tsv.gz", "rt", encoding="utf-8") as file:
        for line in file:
            label, text = line.rstrip("\n").split("\t", 1)
            yield text, label


def labelled_sentences(data: Path) -> Iterator[Row]:
    """Kotzias et al. 2015: IMDB, Amazon, Yelp, CC BY 4.0."""
    for path in sorted((data / "uci_sentences").glob("*_labelled.txt")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            text, _, label = line.rpartition("\t")
            if text.strip():
                yield text.strip().strip('"'), "positive" if label.strip() == "1" else "negative"


def review_passages(data: Path) -> Iterator[Row]:
    """Pang & Lee 2004: pairs of sentences from the end of long reviews, CC BY 4.0."""
    with zipfile.ZipFile(data / "movie_reviews.zip") as archive:
        for name in sorted(archive.namelist()):
            label = {"pos": "positive", "neg": "negative"}.get(name.split("/")[-2] if "/" in name else "")
            if label and name.endswith(".txt"):
                lines = archive.read(name).decode("utf-8", "replace").split("\n")
                sentences = [line.strip() for line in lines if len(line.split()) > 3][-2 * PASSAGES_PER_REVIEW :]
                for first in range(0, len(sentences) - 1, 2):
                    yield " ".join(sentences[first : first + 2]), label


def comments(data: Path, rng: random.Random) -> Iterator[Row]:
    """GoEmotions (Demszky et al. 2020), rows with one label, CC BY 4.0."""
    names = (data / "goemotions_group" / "labels.txt").read_text(encoding="utf-8").split()
    with gzip.open(data / "goemotions_group" / "train.tsv.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row[1].isdigit()]
    rng.shuffle(rows)
    left = dict(COMMENTS_PER_LABEL)
    for text, number, *_ in rows:
        label = names[int(number)]
        if left.get(label, 0):
            left[label] -= 1
            yield text.replace("[NAME]", "Sam").replace("[RELIGION]", "faith"), label


def verses(data: Path) -> Iterator[Row]:
    """Poem sentiment (Sheng & Uthus 2020), CC BY 4.0; verses marked as mixed are left out."""
    names = {"-1": "negative", "0": "neutral", "1": "positive"}
    path = data.parent / "text" / "poems_english" / "poem_sentiment" / "train.tsv"
    for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8")), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row and row[-1] in names:
            yield row[1], names[row[-1]]


def sst_dev(data: Path) -> list[Row]:
    """SST-2's dev set: measured on, never learned from."""
    with (data / "sst2" / "dev.tsv").open(encoding="utf-8") as file:
        next(file)
        pairs = [line.rstrip("\n").split("\t", 1) for line in file]
    return [(text, "positive" if label == "1" else "negative") for label, text in pairs]
