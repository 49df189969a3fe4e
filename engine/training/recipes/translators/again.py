"""Pairs whose other side a translator of ours wrote: back-translation (Sennrich et al. 2016) and sequence-level
distillation (Kim and Rush 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from engine.applications.translate import is_looping
from engine.training.recipes.translators.corpus import EVERYDAY, Pair, fault, key
from engine.training.recipes.translators.judge import generate
from engine.training.recipes.translators.pack import SYNTHETIC

Teaches = Literal["written", "read"]


def synthesise(
    model: Any,
    tokenizer: Any,
    pairs: Sequence[Pair],
    language: str,
    *,
    reads: str,
    teaches: Teaches,
    limit: int,
    beams: int = 1,
    batch_tokens: int = 16_384,
) -> list[Pair]:
    """New pairs of English and `language`: the model reads sentences in `reads` and writes the other side.

    `reads` is "en" (the English of all other pairs, then of this one) or the language itself. `teaches` "written" has a
    smaller model learn to write what this one wrote (distillation), "read" to write what people wrote, from what this
    one made of it (back-translation). Faulty outputs are left out.
    """
    texts = _texts(pairs, language, reads)[:limit]
    target = language if reads == "en" else "en"
    outputs = generate(model, tokenizer, texts, target, beams, batch_tokens)
    learned = target if teaches == "written" else reads
    found = []
    for text, output in zip(texts, outputs, strict=True):
        english, other = (text, output) if reads == "en" else (output, text)
        pair = Pair(english, other, language, EVERYDAY)
        if not fault(pair) and not is_looping(output):
            found.append(replace(pair, source=f"{SYNTHETIC}-{learned}"))
    return sorted(found)


def _texts(pairs: Sequence[Pair], language: str, reads: str) -> list[str]:
    """Different sentences to read; English ones that have no translation into the language come first."""
    own = [pair for pair in pairs if pair.language == language]
    if reads != "en":
        chosen = [pair.other for pair in own]
    else:
        chosen = [pair.english for pair in pairs if pair.language != language] + [pair.english for pair in own]
    return list({key(text): text for text in chosen}.values())
