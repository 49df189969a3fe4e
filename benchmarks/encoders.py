"""Rows, passages and long documents through small encoders, each against what one would take instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Options, figure
from benchmarks.machine import Rates
from benchmarks.sides import Side, alternate, opened
from benchmarks.texts import documents, mixed_rows, passages
from benchmarks.weights import fetched, onnx_int8, whole_head

BATCHES = (1, 8, 32)
Function = tuple[str, dict[str, Any]]


def sentiment(options: Options, rates: Rates) -> list[Figure]:
    """Mixed-length rows: `pipeline` and ONNX Runtime int8, each with its best batch size."""
    count, folder = options.choose(2000, 120), whole_head("sentiment-e5")
    given = {"count": count, "folder": str(folder)}
    pipeline = best(
        {str(b): ("benchmarks.peers:sentiment_pipeline", given | {"batch": b}) for b in BATCHES},
        options,
        count=count // 10,
    )
    path = str(onnx_int8(folder))
    onnx = best(
        {str(b): ("benchmarks.peers:sentiment_onnx", given | {"path": path, "batch": b}) for b in BATCHES},
        options, count=count // 10,
    )  # fmt: skip
    rounds = race(
        {"ours": ("benchmarks.ours:sentiment", {"count": count}), "pipeline": pipeline, "ONNX Runtime int8": onnx},
        options,
    )
    limit = encoder_seconds(folder, mixed_rows(count), rates)
    shared: dict[str, Any] = {
        "row": "sentiment", "work": f"sentiment of {count:,} mixed rows", "unit": "s", "limit": limit,
        "limit_note": LIMIT_NOTE,
    }  # fmt: skip
    agreement = labels_agree(rounds, "pipeline")
    return [
        speedup(rounds, "pipeline", f"pipeline, batch {pipeline[1]['batch']}", reach=2.0, note=agreement, **shared),
        speedup(rounds, "ONNX Runtime int8", f"ONNX Runtime int8, batch {onnx[1]['batch']}", reach=1.0, **shared),
    ]


def answers(options: Options, rates: Rates) -> list[Figure]:
    """A question to each of many long documents."""
    count, folder = options.choose(50, 3), whole_head("answer-e5")
    given = {"count": count, "folder": str(folder)}
    peer = best(
        {str(b): ("benchmarks.peers:answers_windows", given | {"is_batched": b}) for b in (False, True)},
        options, count=max(1, count // 10),
    )  # fmt: skip
    rounds = race({"ours": ("benchmarks.ours:answers", {"count": count}), "windows": peer}, options)
    way = "windows of a document at once" if peer[1]["is_batched"] else "window by window"
    limit = encoder_seconds(folder, documents(count), rates) * 384 / 256  # windows of 384 repeat 128
    return [
        speedup(
            rounds, "windows", f"the question-answering pipeline's way, {way}", reach=2.0, row="answers",
            work=f"answers in {count} documents of 1,000 words", unit="s", limit=limit, limit_note=LIMIT_NOTE,
        )
    ]  # fmt: skip


def embeddings(options: Options, rates: Rates) -> list[Figure]:
    """A vector for each passage."""
    count = options.choose(2000, 60)
    folder = fetched("minilm-l6")
    peer: Function = ("benchmarks.peers:embeddings_sentence_transformers", {"count": count, "folder": str(folder)})
    rounds = race({"ours": ("benchmarks.ours:embeddings", {"count": count}), "sentence-transformers": peer}, options)
    limit = encoder_seconds(folder, passages(count), rates)
    return [
        speedup(
            rounds, "sentence-transformers", "sentence-transformers", reach=1.3, row="embeddings", unit="s",
            limit=limit, work=f"embeddings of {count:,} passages", limit_note=LIMIT_NOTE,
            note=f"cosine {cosine(rounds):.4f}",
        )
    ]  # fmt: skip


LIMIT_NOTE = "operations of all tokens without padding at the int8 matrix rate"


def race(functions: Mapping[str, Function], options: Options) -> list[dict[str, dict[str, Any]]]:
    """Rounds of all sides. The first is the warm-up of each, which the median leaves out."""
    with opened(functions, options.threads) as sides:
        return alternate(sides, options.pairs)


def best(candidates: Mapping[str, Function], options: Options, **changes: Any) -> Function:
    """The fastest of the candidates on a smaller piece of work, done twice, the second counts."""
    seconds = {}
    for name, (function, given) in candidates.items():
        side = Side(function, options.threads, **(given | changes))
        try:
            side()
            seconds[name] = side()["seconds"]
        finally:
            side.close()
    return candidates[min(seconds, key=lambda name: seconds[name])]


def speedup(rounds: Any, key: str, peer: str, **fields: Any) -> Figure:
    """How many times faster than the peer."""
    return figure(rounds, "seconds", key, combine=lambda ours, theirs: theirs / ours, **(fields | {"peer": peer}))


def labels_agree(rounds: Any, peer: str) -> str:
    """How many labels are the same, in words; ours are words of the application, theirs of the checkpoint."""
    ours, theirs = rounds[0]["ours"]["labels"], rounds[0][peer]["labels"]
    same = sum(a.lower() == b.lower() for a, b in zip(ours, theirs, strict=True)) / len(ours)
    return f"same label {same:.1%}"


def cosine(rounds: Any) -> float:
    """Least cosine of the first vectors of both sides."""
    pairs = zip(rounds[0]["ours"]["vectors"], rounds[0]["sentence-transformers"]["vectors"], strict=True)
    return float(min(sum(x * y for x, y in zip(a, b, strict=True)) for a, b in pairs))


def encoder_seconds(folder: Path, texts: list[str], rates: Rates) -> float:
    """The least time that the matrix products of an encoder take, attention included, nothing padded."""
    from transformers import AutoTokenizer

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    width, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    lengths = [len(ids) for ids in AutoTokenizer.from_pretrained(folder)(texts, verbose=False)["input_ids"]]
    products = sum(length * 2 * (4 * width**2 + 2 * width * inner) for length in lengths)
    attention = sum(4 * min(length, 384) * length * width for length in lengths)
    return layers * (products + attention) / rates.int8
