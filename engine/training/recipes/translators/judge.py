"""How good and how fast a translator is, as the page uses it; beside it the page's default, and beam search."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from engine.applications.translate import TranslateRequest, Translation, bleu, chrf, run, stream
from engine.backends.languages import TARGET_TAGS
from engine.catalogue import Model, Source, read_catalogue
from engine.core import Engine
from engine.settings import current
from engine.store import Store
from engine.training.recipes.translators.corpus import Pair, flores

ID = "own-translator"
COLUMNS = ("FLORES BLEU", "FLORES chrF", "beam 4 BLEU", "everyday BLEU", "everyday chrF", "words/s", "first words ms")
CHUNK = 16
"""Texts of one request."""
TIMED_TEXTS = 5
"""Sentences whose first words are timed, one alone after the other; the middle one counts."""


def entry(folder: Path, languages: Sequence[str]) -> Model:
    """The catalogue entry of a folder that `ship.save_model` wrote."""
    size = (folder / "model.safetensors").stat().st_size
    return Model(
        id=ID, title="Own translator", family="Marian", architecture="seq2seq", runtime="transformers",
        parameters=size // 2, languages=("en", *languages), licence="", size_bytes=size, memory_bytes=4 * size,
        applications=("translate",), source=Source("local", folder=str(folder.resolve())), prompt_style="tags",
    )  # fmt: skip


def evaluate(
    folder: Path | None,
    directions: Iterable[str],
    *,
    data: Path | None = None,
    everyday: Sequence[Pair] = (),
    lines: int = 997,
    beams: int = 4,
    model_id: str = ID,
) -> dict[str, Any]:
    """Figures by direction of the model in the folder, or of the catalogue's `model_id` where folder is None.

    `data` holds FLORES-200 dev, `everyday` are pairs held out of Tatoeba; `lines` limits both. `beams` below 2 leaves
    beam search out. Words are those of the source (for Chinese, of the English side).
    """
    languages = sorted({name.replace("en", "").strip("-") for name in directions})
    engine = _engine(entry(folder, languages) if folder else None)
    found: dict[str, dict[str, float]] = {}
    try:
        for direction in directions:
            found[direction] = _measure(engine, model_id if folder is None else ID, direction, data, everyday, lines)
            if folder and beams > 1 and data:
                texts, references = _flores(data, direction, lines)
                outputs = beam_search(folder, texts, direction.split("-")[1], beams)
                found[direction]["beam 4 BLEU"] = bleu(outputs, references, direction.split("-")[1])
    finally:
        engine.close()
    note = f"At most {lines:,} lines a set, greedy and through the engine as the page asks it, but for beam search."
    return {"columns": COLUMNS, "directions": found, "note": note}


def _engine(model: Model | None) -> Engine:
    settings, catalogue = current(), read_catalogue()
    if model is not None:
        catalogue.add(model)
    return Engine(settings, catalogue, Store(settings, catalogue))


def _measure(
    engine: Engine, model_id: str, direction: str, data: Path | None, everyday: Sequence[Pair], lines: int
) -> dict[str, float]:
    source, target = direction.split("-")
    sets: dict[str, tuple[list[str], list[str]]] = {}
    if data is not None:
        sets["FLORES"] = _flores(data, direction, lines)
    if held := [pair for pair in everyday if pair.language in (source, target)][:lines]:
        sides = [(pair.english, pair.other) if source == "en" else (pair.other, pair.english) for pair in held]
        sets["everyday"] = [one for one, _ in sides], [other for _, other in sides]
    found: dict[str, float] = {}
    words, seconds = 0, 0.0
    for name, (texts, references) in sets.items():
        run(engine, TranslateRequest(texts[:1], source, target, model_id))
        started = time.perf_counter()
        outputs = [one.text for one in translate(engine, texts, source, target, model_id)]
        seconds += time.perf_counter() - started
        words += sum(len(text.split()) for text in (references if source == "zh" else texts))
        found[f"{name} BLEU"] = bleu(outputs, references, target)
        found[f"{name} chrF"] = chrf(outputs, references)
    texts = next(iter(sets.values()))[0][:TIMED_TEXTS]
    first = sorted(_first_words(engine, text, source, target, model_id) for text in texts)
    return found | {"words/s": words / seconds, "first words ms": 1000 * first[len(first) // 2]}


def translate(engine: Engine, texts: Sequence[str], source: str, target: str, model_id: str) -> list[Translation]:
    """Translations in order; a few texts at a time, so that none waits longer than the engine allows."""
    done: list[Translation] = []
    for start in range(0, len(texts), CHUNK):
        request = TranslateRequest(list(texts[start : start + CHUNK]), source, target, model_id)
        done += run(engine, request).translations
    return done


def _first_words(engine: Engine, text: str, source: str, target: str, model_id: str) -> float:
    """Seconds until the first words of a sentence are there."""
    started = time.perf_counter()
    for event in stream(engine, TranslateRequest(text, source, target, model_id)):
        if event.kind in ("text", "replace"):
            return time.perf_counter() - started
    return time.perf_counter() - started


def _flores(data: Path, direction: str, lines: int) -> tuple[list[str], list[str]]:
    source, target = direction.split("-")
    return flores(data, source)[:lines], flores(data, target)[:lines]


def beam_search(folder: Path, texts: Sequence[str], target: str, beams: int) -> list[str]:
    """Translations by beam search, in order."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True).float().eval()
    return generate(model, tokenizer, texts, target, beams)


def generate(
    model: Any, tokenizer: Any, texts: Sequence[str], target: str, beams: int = 1, batch_tokens: int = 4096
) -> list[str]:
    """Translations into `target` by transformers' own search, in order; sentences of like lengths together."""
    import torch

    tagged = [f"{TARGET_TAGS[target]} {text}" for text in texts]
    lengths = [len(ids) for ids in tokenizer(tagged)["input_ids"]]
    order, outputs = sorted(range(len(texts)), key=lengths.__getitem__), [""] * len(texts)
    while order:
        width = lengths[order[min(len(order), max(1, batch_tokens // max(1, lengths[order[0]]))) - 1]]
        group = order[: max(1, batch_tokens // width)]
        order = order[len(group) :]
        batch = tokenizer([tagged[index] for index in group], return_tensors="pt", padding=True).to(model.device)
        with torch.inference_mode():
            ids = model.generate(**batch, num_beams=beams, do_sample=False, max_new_tokens=24 + 2 * width)
        for index, text in zip(group, tokenizer.batch_decode(ids, skip_special_tokens=True), strict=True):
            outputs[index] = text
    return outputs
