"""What int8 costs the embedded classifier and reader: held-out figures through the engine, beside float32's.

Run `python -m benchmarks.encoder_quality DATA`, where DATA is the folder that the recipes of the two models learn from.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.ours import CALLER, open_engine
from engine.evaluation.metrics import answer_f1
from engine.requests import Classify, Extract, Request
from models.recipes.answer import write_data
from models.recipes.sentiment import sst_dev

DTYPES = ("auto", "float32")


def results(model: str, requests: Sequence[Request], dtype: str) -> list[Any]:
    """The model's results with weights of that kind."""
    engine = open_engine(dtype=dtype)
    try:
        return engine.run(model, requests, CALLER)
    finally:
        engine.close()


def main() -> None:
    """Print one line a model: the figure with each kind of weights, and how many outputs are the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data

    rows = sst_dev(data / "sentiment")
    labels = {
        dtype: [
            max(("negative", "positive"), key=lambda name: one.scores[name])
            for one in results("sentiment-minilm", [Classify(text) for text, _ in rows], dtype)
        ]
        for dtype in DTYPES
    }
    right = {
        dtype: fmean(ours == label for ours, (_, label) in zip(labels[dtype], rows, strict=True)) for dtype in DTYPES
    }
    show("sentiment-minilm, SST-2 dev, accuracy", right, labels)

    with tempfile.TemporaryDirectory() as folder:
        articles = json.loads(write_data(data, Path(folder))[1].read_text(encoding="utf-8"))["data"]
    asked = [
        (item["question"], paragraph["context"], [answer["text"] for answer in item["answers"]])
        for article in articles for paragraph in article["paragraphs"] for item in paragraph["qas"] if item["answers"]
    ]  # fmt: skip
    questions = [Extract(question, passage, max_answer_tokens=40) for question, passage, _ in asked]
    answers = {dtype: [one.spans[0].text for one in results("answer-minilm", questions, dtype)] for dtype in DTYPES}
    scores = {
        dtype: fmean(answer_f1(text, right) for text, (_, _, right) in zip(answers[dtype], asked, strict=True))
        for dtype in DTYPES
    }
    show(f"answer-minilm, {len(asked):,} held-out questions, F1", scores, answers)


def show(name: str, figures: dict[str, float], outputs: dict[str, list[str]]) -> None:
    """Print a line."""
    same = fmean(ours == theirs for ours, theirs in zip(*outputs.values(), strict=True))
    listed = ", ".join(f"{dtype} {value:.2%}" for dtype, value in figures.items())
    print(f"{name}: {listed}; {same:.1%} of the outputs the same", flush=True)


if __name__ == "__main__":
    main()
