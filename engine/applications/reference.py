"""A translation beside somebody's own: BLEU, chrF and TER as sacreBLEU counts them, the whole and by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.applications.segments import split
from engine.applications.sentences import Translation
from engine.errors import InputError
from engine.evaluation.metrics import MetricScore, translation_scores
from engine.requests import clean_text


@dataclass(frozen=True)
class Pair:
    """A sentence, its translation, and the reference's sentence, with the metrics by name."""

    source: str
    text: str
    reference: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """The whole text's metrics, and each sentence's where the reference has as many."""

    scores: list[MetricScore]
    pairs: list[Pair]


def compare(translation: Translation, reference: str, target: str, max_characters: int) -> Comparison:
    """A translation with a reference in the same language. Raises InputError, TooLargeError for an unusable one."""
    words = clean_text(reference, "reference", max_characters)
    made = [one.text for one in translation.sentences if one.text.strip()]
    if not made:
        raise InputError("There is no translation to compare with. Translate a text first.", "reference")
    given = [segment.text for segment in split(words, target) if segment.text]
    if len(given) != len(made):
        return Comparison(translation_scores([" ".join(made)], [" ".join(given)], target), [])
    sources = [one.source for one in translation.sentences if one.text.strip()]
    pairs = [_pair(*three, target) for three in zip(sources, made, given, strict=True)]
    return Comparison(translation_scores(made, given, target), pairs)


def _pair(source: str, text: str, reference: str, target: str) -> Pair:
    found: Sequence[MetricScore] = translation_scores([text], [reference], target)
    return Pair(source, text, reference, {one.name: one.score for one in found})
