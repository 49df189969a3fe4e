"""Metrics over plain Python values: figures of predictions against references. Imports nothing of the engine."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower case, without punctuation, English articles and repeated spaces (Rajpurkar et al. 2016)."""
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1.0 if the normalised prediction equals a reference, else 0.0."""
    return float(any(normalize_answer(prediction) == normalize_answer(reference) for reference in references))


def answer_f1(prediction: str, references: Sequence[str]) -> float:
    """Best token F1 in [0, 1] against the references (SQuAD). An empty prediction matches only an empty reference."""
    return max((_token_f1(prediction, reference) for reference in references), default=0.0)


def _token_f1(prediction: str, reference: str) -> float:
    predicted, expected = normalize_answer(prediction).split(), normalize_answer(reference).split()
    if not predicted or not expected:
        return float(predicted == expected)
    common = sum((Counter(predicted) & Counter(expected)).values())
    return 2 * common / (len(predicted) + len(expected))


def mean_f1(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean token F1 of answers, 0 to 1 (SQuAD); each question has one or more references, none where unanswerable."""
    return _mean(answer_f1, predictions, references)


def mean_exact_match(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Share of answers equal to a reference but for case, punctuation and articles (SQuAD)."""
    return _mean(exact_match, predictions, references)


def _mean(
    metric: Callable[[str, Sequence[str]], float], predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> float:
    pairs = zip(predictions, references, strict=True)
    return sum(metric(prediction, list(known) or [""]) for prediction, known in pairs) / len(predictions)


def bleu(predictions: Sequence[str], references: Sequence[str], target: str = "") -> float:
    """Corpus BLEU, 0 to 100 (Papineni et al. 2002; sacrebleu's signature); Chinese is cut into characters."""
    import sacrebleu

    return float(sacrebleu.corpus_bleu(predictions, [references], tokenize="zh" if target == "zh" else "13a").score)


def chrf(predictions: Sequence[str], references: Sequence[str], target: str = "") -> float:
    """Corpus chrF, 0 to 100 (Popović 2015), for any language."""
    import sacrebleu

    return float(sacrebleu.corpus_chrf(predictions, [references]).score)


def accuracy(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of equal pairs. Raises ValueError when the lengths differ or are zero."""
    if not references:
        raise ValueError("accuracy needs at least one pair")
    return sum(p == r for p, r in zip(predictions, references, strict=True)) / len(references)


MAX_MEAN_LOSS = 100.0
"""Above this the perplexity is that of this loss, so that it stays a number."""


def perplexity(loss: float, count: int = 1) -> float:
    """Of `count` tokens whose losses (nats) add up to `loss`, or of their mean loss."""
    return math.exp(min(loss / max(count, 1), MAX_MEAN_LOSS))
