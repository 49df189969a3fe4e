"""The figures of readers, classifiers and adapters that their cards tell, through the engine as pages use it.

    python -m benchmarks.heads answers --data DATA [--model answer-e5 | --head FOLDER]
    python -m benchmarks.heads sentiment [--data DATA] [--model sentiment-e5 | --head FOLDER]
    python -m benchmarks.heads emotions --data DATA [--head FOLDER]
    python -m benchmarks.heads toxicity [--data DATA] [--head FOLDER]

DATA holds `qa/`, `sentiment/` and `toxicity/`; FOLDER is a head on the multilingual encoder that is not in the
catalogue. Sentiment and toxicity end with a table of the project's own rows (`benchmarks/rows`), for which no DATA is
needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ours import CALLER, open_engine
from benchmarks.own_rows import own_rows, table
from engine.applications.sentiment import APPLICATION, SentimentRequest
from engine.catalogue.models import Model, read_catalogue
from engine.catalogue.sources.folder import Folder
from engine.evaluation.metrics import accuracy, answer_f1, calibration_error, macro_f1
from engine.requests import Classification, Classify, Extract, Extraction
from engine.serving.protocol import Engine
from models.recipes import answers_data, emotions, sentiments_data, toxicity
from models.recipes.answers import with_unanswerable
from models.recipes.answers_data import Asked
from models.recipes.sentiment_corpora import sst_dev
from models.recipes.sentiments import by_language
from models.recipes.sentiments_data import Said

CHUNK = 200
RIGHT_F1 = 0.5
"""An answer counts as right, for how sure one may be of it, from this share of agreement on."""


def head(folder: Path, architecture: Any) -> Model:
    """A head that is not in the catalogue."""
    base = read_catalogue().find("multilingual-e5-small")
    source = Folder(str(folder.absolute()), base=base.id)
    return replace(base, id="head", title="Head", architecture=architecture, source=source, is_embedded=False)


def asked(engine: Engine, model: str, rows: Sequence[Asked]) -> list[Extraction]:
    """What the model finds for each."""
    found: list[Any] = []
    for start in range(0, len(rows), CHUNK):
        requests = [Extract(row.question, row.passage, 1) for row in rows[start : start + CHUNK]]
        found += engine.run(model, requests, CALLER)
    return found


def of_answers(rows: Sequence[Asked], found: Sequence[Extraction]) -> dict[str, float]:
    """F1 always answering, what abstention costs, the share of unanswerable ones told so, and the calibration error.

    All in percent. `rows` without answers are the unanswerable ones.
    """
    texts = [one.spans[0].text if one.spans else "" for one in found]
    f1 = np.array([
        answer_f1(text, [known for known, _ in row.answers], row.language)
        for row, text in zip(rows, texts, strict=True)
    ])  # fmt: skip
    has = np.array([bool(row.answers) for row in rows])
    says = np.array([one.has_answer for one in found])
    sure = [max(one.null_score, one.spans[0].score if one.spans else 0.0) for one in found]
    right = [
        (score >= RIGHT_F1 if one.spans and one.spans[0].score >= one.null_score else not is_there)
        for one, score, is_there in zip(found, f1, has, strict=True)
    ]
    return {
        "F1": 100 * float(f1[has].mean()),
        "F1 with abstention": 100 * float((f1 * says)[has].mean()),
        "told so": 100 * float((~says)[~has].mean()) if (~has).any() else 0.0,
        "calibration error": 100 * calibration_error(sure, [bool(one) for one in right]),
    }


def of_sentiment(
    rows: Sequence[Said], labels: Sequence[str], scores: Sequence[float], *, is_two: bool = False
) -> dict[str, float]:
    """Accuracy for two classes, macro F1 for three, and the calibration error, in percent."""
    right = [row.label for row in rows]
    error = calibration_error(scores, [a == b for a, b in zip(labels, right, strict=True)])
    name, metric = ("accuracy", accuracy) if is_two else ("macro F1", macro_f1)
    return {name: 100 * metric(labels, right), "calibration error": 100 * error}


def judged(engine: Engine, model: str, rows: Sequence[Said], *, is_two: bool = False) -> tuple[list[str], list[float]]:
    """Label and probability of each row, as the page tells them; of two classes the likelier of the two."""
    labels, scores = [], []
    for start in range(0, len(rows), CHUNK):
        request = SentimentRequest([row.text for row in rows[start : start + CHUNK]], model)
        for one in APPLICATION.run(engine, request, CALLER).results:
            shares = {name: share for name, share in one.scores.items() if not is_two or name != "neutral"}
            label = max(shares, key=lambda name: shares[name]) if is_two else one.label
            labels.append(label)
            scores.append(shares[label] / max(sum(shares.values()), 1e-9))
    return labels, scores


def show(name: str, count: int, figures: dict[str, float]) -> None:
    """Print a line."""
    print(f"{name}, {count} rows: " + ", ".join(f"{key} {value:.1f}" for key, value in figures.items()), flush=True)


def answers(engine: Engine, model: str, data: Path, limit: int) -> None:
    """One line a set, the questions asked where there is no answer among its rows."""
    for name, rows in answers_data.measured(data).items():
        part = with_unanswerable(rows[:limit])
        show(name, len(part), of_answers(part, asked(engine, model, part)))


def sentiment(engine: Engine, model: str, data: Path | None, limit: int) -> None:
    """One line a set, and a table of the project's own rows."""
    if data:
        dev = [Said(text, label, "en") for text, label in sst_dev(data / "sentiment")][:limit]
        show("SST-2 dev", len(dev), of_sentiment(dev, *judged(engine, model, dev, is_two=True), is_two=True))
        for code in sentiments_data.XLMT:
            part = sentiments_data.tweets(data, code)[:limit]
            labels, scores = judged(engine, model, part)
            found = of_sentiment(part, labels, scores)
            share = 100 * accuracy(labels, [row.label for row in part])
            show(f"XLM-T {code}", len(part), found | {"accuracy": share})
    own = own_rows("sentiment")
    said = [Said(row.text, row.label, row.language) for row in own]
    labels, scores = judged(engine, model, said)
    show("own rows", len(said), of_sentiment(said, labels, scores))
    print(table(own, [row.label == label for row, label in zip(own, labels, strict=True)]), flush=True)


def classified(engine: Engine, model: str, texts: Sequence[str]) -> list[Classification]:
    """What a classifier says of each."""
    found: list[Any] = []
    for start in range(0, len(texts), CHUNK):
        found += engine.run(model, [Classify(text) for text in texts[start : start + CHUNK]], CALLER)
    return found


def of_emotions(
    wanted: Sequence[Sequence[str]], found: Sequence[Classification], names: Sequence[str]
) -> dict[str, float]:
    """Macro F1 of what is said, and the calibration error of the probabilities of all emotions, in percent."""
    chosen, right = np.array([
        [[name in row for name in names] for row in rows] for rows in ([one.chosen for one in found], wanted)
    ])  # fmt: skip
    f1 = 2 * (chosen & right).sum(0) / np.maximum(1, chosen.sum(0) + right.sum(0))
    shares = np.array([[one.scores[name] for name in names] for one in found])
    sure = np.maximum(shares, 1 - shares).ravel().tolist()
    error = calibration_error(sure, ((shares >= 0.5) == right).ravel().tolist())
    return {"macro F1": 100 * float(f1.mean()), "calibration error": 100 * error}


def measure_emotions(engine: Engine, model: str, data: Path, limit: int) -> None:
    """GoEmotions' test part."""
    rows, names = emotions.read_part(data, "test")[:limit], emotions.labels(data)
    found = classified(engine, model, [row.text for row in rows])
    show("GoEmotions test", len(rows), of_emotions([row.emotions for row in rows], found, names))


def measure_toxicity(engine: Engine, model: str, data: Path | None, limit: int) -> None:
    """The rows of each language that were held out, and a table of the project's own."""
    own = own_rows("toxicity")
    parts = {"own rows": [Said(row.text, row.label, row.language) for row in own]}
    held_out = toxicity.read_rows(data).measured if data else []
    for code, rows in by_language(held_out).items():
        parts[f"held out, {code}"] = rows[:limit]
    for name, rows in parts.items():
        found = classified(engine, model, [row.text for row in rows])
        scores = [one.scores[one.label] for one in found]
        show(name, len(rows), of_sentiment(rows, [one.label for one in found], scores))
        if name == "own rows":
            print(table(own, [row.label == one.label for row, one in zip(rows, found, strict=True)]), flush=True)


ARCHITECTURES = {"answers": "extraction"}
DEFAULTS = {
    "answers": "answer-e5", "sentiment": "sentiment-e5", "emotions": "emotions-e5", "toxicity": "toxicity-e5",
}  # fmt: skip
NEEDS_DATA = ("answers", "emotions")


def main() -> None:
    """Print one line a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(DEFAULTS))
    parser.add_argument("--data", type=Path, help="without it only the project's own rows")
    parser.add_argument("--model")
    parser.add_argument("--head", type=Path)
    parser.add_argument("--limit", type=int, default=10**6, help="rows of each set, to try it out")
    options = parser.parse_args()
    if options.task in NEEDS_DATA and not options.data:
        parser.error(f"{options.task} are measured on --data")
    more = [head(options.head, ARCHITECTURES.get(options.task, "classification"))] if options.head else []
    engine = open_engine(*more)
    model = "head" if options.head else options.model or DEFAULTS[options.task]
    if options.task == "sentiment":
        sentiment(engine, model, options.data, options.limit)
    else:
        {"answers": answers, "emotions": measure_emotions, "toxicity": measure_toxicity}[options.task](
            engine, model, options.data, options.limit
        )  # fmt: skip
    engine.close()


if __name__ == "__main__":
    main()
