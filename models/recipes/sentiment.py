"""How `models/sentiment-minilm` was made.

    python -m models.recipes.sentiment --data DATA --base MINILM --lexicon vader_lexicon.txt --run RUN

DATA is the folder with `sentiment/` and `text/`; the lexicon is in the package vaderSentiment 3.3.2.
Only corpora whose licence lets weights be shipped. Every row that repeats a sentence of SST-2's dev set is taken out
first (the Pang & Lee snippets hold nearly all of them), so that the figure measured on it is honest.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from engine.requests import clean_text
from engine.training.columns import MAX_TEXT_CHARACTERS
from engine.training.config import TrainingConfig
from models.recipes import read_arguments, train_stages

Row = tuple[str, str]
SEED = 13
LABELS = ("negative", "neutral", "positive")
HELD_OUT = 800
"""Pang & Lee sentences kept for choosing the checkpoint."""
COMMENTS_PER_LABEL = {"negative": 1500, "neutral": 3000, "positive": 1500}
"""GoEmotions rows taken, so that they do not drown the reviews."""
PASSAGES_PER_REVIEW = 2
"""Passages of two sentences taken from each long review, from its end, where the verdict stands."""

LONG_KEY, FEW_WORDS, SAME_WORDS = 20, 5, 0.8
"""A held sentence of this many letters is looked for inside rows; one of this many words counts as repeated where a
row has this share of them (SST-2 is cut from the Pang & Lee snippets, often to a part of one)."""
CLEAR_VALENCE = 1.0
"""Least mean rating of a word, of 4, that makes it a row."""


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


def rated_words(lexicon: Path) -> Iterator[Row]:
    """Words of the VADER lexicon (Hutto & Gilbert 2014), MIT, that its ten raters found clearly good or bad."""
    for line in lexicon.read_text(encoding="utf-8").splitlines():
        word, mean, *_ = line.split("\t")
        if word.isalpha() and abs(float(mean)) >= CLEAR_VALENCE:
            yield word, "positive" if float(mean) > 0 else "negative"


def sst_dev(data: Path) -> list[Row]:
    """SST-2's dev set: measured on, never learned from."""
    with (data / "sst2" / "dev.tsv").open(encoding="utf-8") as file:
        next(file)
        pairs = [line.rstrip("\n").split("\t", 1) for line in file]
    return [(text, "positive" if label == "1" else "negative") for label, text in pairs]


@dataclass(frozen=True)
class Files:
    """What `write_data` wrote, as JSONL."""

    train: Path
    finish: Path
    """The training rows without single words and passages of long reviews, whose labels are the roughest."""
    validation: Path
    sst_dev: Path


def write_data(data: Path, lexicon: Path, folder: Path) -> Files:
    """Write the rows of both stages, the held-out rows and SST-2 dev into the folder; print how many were left out."""
    rng = random.Random(SEED)
    dev = sst_dev(data)
    measured = Held([text for text, _ in dev])
    polarity = list(polarity_sentences(data))
    clean = [row for row in polarity if not measured.repeats(row[0])]
    print(f"{len(polarity) - len(clean)} of {len(polarity)} Pang & Lee snippets repeat SST-2 dev and were taken out")
    rng.shuffle(clean)
    validation, learned = clean[:HELD_OUT], clean[HELD_OUT:]
    passages = list(review_passages(data))
    others = [*labelled_sentences(data), *passages, *comments(data, rng), *verses(data), *rated_words(lexicon)]
    chosen_by = Held([text for text, _ in validation])
    kept = [row for row in others if not measured.repeats(row[0]) and not chosen_by.repeats(row[0])]
    print(f"{len(others) - len(kept)} of {len(others)} other rows repeat SST-2 dev or the held-out rows")
    train = [*learned, *kept]
    rng.shuffle(train)
    rough = {text for text, _ in passages}
    finish = [row for row in train if " " in row[0] and row[0] not in rough]
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(*(folder / f"{name}.jsonl" for name in ("train", "finish", "validation", "sst2-dev")))
    write(files.train, train)
    write(files.finish, finish)
    write(files.validation, validation)
    write(files.sst_dev, dev)
    return files


def write(path: Path, rows: list[Row]) -> None:
    """Write rows as JSONL with the columns text and label, the texts as the page Fine-tune takes them."""
    lines = (json.dumps({"text": clean_text(t, "text", MAX_TEXT_CHARACTERS), "label": label}) for t, label in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def main() -> None:
    """Prepare the data, write both configs and, unless told only to prepare, train in two stages and measure."""
    options = read_arguments(__doc__, "data", "base", "lexicon", "run")
    run: Path = options.run
    files = write_data(options.data / "sentiment", options.lexicon, run / "data")
    first = TrainingConfig(
        task="classification",
        base=str(options.base),
        train_file=str(files.train),
        validation_file=str(files.validation),
        epochs=2.0,
        batch_size=32,
        max_length=128,
        learning_rate=6e-5,
        label_smoothing=0.05,
        average_decay=0.997,
        evaluations_per_epoch=2,
        threads=options.threads,
        seed=SEED,
        labels=LABELS,
    )
    second = replace(
        first,
        base=str(run / "first" / "model"),
        train_file=str(files.finish),
        epochs=1.0,
        learning_rate=5e-5,
        average_decay=0.99,
    )

    stages = ((run / "first", first), (run, second))
    train_stages(stages, is_prepared_only=options.prepare)
    if options.prepare:
        return

    from engine.training.measure import measure

    print(json.dumps({"sst2_dev": measure(run / "model", files.sst_dev, options.threads)}))


if __name__ == "__main__":
    main()
