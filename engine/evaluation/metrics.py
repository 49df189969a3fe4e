"""Metrics over plain Python values: figures of predictions against references. Imports nothing of the engine."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_ARTICLES = {
    "en": re.compile(r"\b(a|an|the)\b"),
    "fr": re.compile(r"\b(le|la|les|l|un|une|du|des|au|aux)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
}
"""By language, as MLQA leaves them out (Lewis et al. 2020), and FQuAD for French (d'Hoffschmidt et al. 2020)."""
_HAN = re.compile(r"([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")


def normalize_answer(text: str, language: str = "en") -> str:
    """Lower case, without punctuation, articles and repeated spaces (Rajpurkar et al. 2016); Chinese by character."""
    text = re.sub("['’]", " ", text) if language == "fr" else text
    bare = "".join(c for c in text.lower() if c not in string.punctuation and not _is_mark(c, language))
    bare = _HAN.sub(r" \1 ", bare) if language == "zh" else bare
    return " ".join(_ARTICLES[language].sub(" ", bare).split() if language in _ARTICLES else bare.split())


def _is_mark(character: str, language: str) -> bool:
    """SQuAD knows ASCII's punctuation alone, MLQA all."""
    return language != "en" and unicodedata.category(character).startswith("P")


def exact_match(prediction: str, references: Sequence[str], language: str = "en") -> float:
    """1.0 if the normalised prediction equals a reference, else 0.0."""
    found = normalize_answer(prediction, language)
    return float(any(found == normalize_answer(reference, language) for reference in references))


def answer_f1(prediction: str, references: Sequence[str], language: str = "en") -> float:
    """Best token F1 in [0, 1] against the references (SQuAD; in other languages MLQA's rules).

    An empty prediction matches only an empty reference.
    """
    return max((_token_f1(prediction, reference, language) for reference in references), default=0.0)


def _token_f1(prediction: str, reference: str, language: str) -> float:
    predicted, expected = (normalize_answer(text, language).split() for text in (prediction, reference))
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


@dataclass(frozen=True)
class MetricScore:
    """A metric's figure, and sacrebleu's signature of how it was counted."""

    name: str
    score: float
    signature: str


def translation_scores(
    predictions: Sequence[str], references: Sequence[str], target: str = "", *, has_ter: bool = True
) -> list[MetricScore]:
    """BLEU, chrF and TER (Snover et al. 2006) of translations; of one sentence BLEU counts effective orders alone.

    TER tries where words could be shifted to: of two texts of 500 words that differ it takes half a minute.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    is_asian = target in ("zh", "ja", "ko")
    metrics = {
        "BLEU": BLEU(tokenize="zh" if target == "zh" else "13a", effective_order=len(predictions) == 1),
        "chrF": CHRF(),
        **({"TER": TER(asian_support=is_asian, normalized=is_asian)} if has_ter else {}),
    }
    found = {name: metric.corpus_score(predictions, [references]) for name, metric in metrics.items()}
    return [MetricScore(name, float(found[name].score), str(metrics[name].get_signature())) for name in metrics]


def accuracy(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of equal pairs. Raises ValueError when the lengths differ or are zero."""
    if not references:
        raise ValueError("accuracy needs at least one pair")
    return sum(p == r for p, r in zip(predictions, references, strict=True)) / len(references)


def macro_f1(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Mean over the labels that references have of each one's F1, 0 to 1."""
    scores = []
    for label in sorted(set(references)):
        right = sum(p == r == label for p, r in zip(predictions, references, strict=True))
        scores.append(2 * right / (predictions.count(label) + references.count(label)))
    return sum(scores) / len(scores)


_ROUGE_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)
"""A run of letters and digits in any script; of Chinese and Japanese each character."""
MAX_ROUGE_WORDS = 2_000
"""Of each text; the longest common subsequence takes the product of both lengths in time."""


def rouge(prediction: str, references: Sequence[str]) -> dict[str, float]:
    """F1 of common words (rouge1), of common pairs (rouge2) and of the longest common subsequence (rougeL), 0 to 1.

    Of several references the best counts for each (Lin 2004). On English it is `rouge_score` without stemming, which
    drops every letter beyond a to z, so that other languages could not be measured with it.
    """
    pairs = [(_rouge_words(prediction), _rouge_words(reference)) for reference in references]
    scored = [(_common(one, other, 1), _common(one, other, 2), _longest(one, other)) for one, other in pairs]
    best = map(max, zip(*scored, strict=True)) if scored else (0.0, 0.0, 0.0)
    return dict(zip(("rouge1", "rouge2", "rougeL"), best, strict=True))


def mean_rouge(name: str, predictions: Sequence[str], references: Sequence[str]) -> float:
    """Mean of one of them over pairs of texts, 0 to 1."""
    pairs = zip(predictions, references, strict=True)
    return sum(rouge(prediction, [reference])[name] for prediction, reference in pairs) / len(predictions)


def _rouge_words(text: str) -> list[str]:
    return _ROUGE_WORD.findall(unicodedata.normalize("NFC", text).lower())[:MAX_ROUGE_WORDS]


def _common(one: Sequence[str], other: Sequence[str], length: int) -> float:
    """F1 of the runs of so many words, each counted as often as both have it."""
    counts = [Counter(zip(*(words[at:] for at in range(length)), strict=False)) for words in (one, other)]
    return _f1((counts[0] & counts[1]).total(), counts[0].total(), counts[1].total())


def _longest(one: Sequence[str], other: Sequence[str]) -> float:
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for at, same in enumerate(other, 1):
            before, row[at] = row[at], before + 1 if word == same else max(row[at], row[at - 1])
    return _f1(row[-1], len(one), len(other))


def _f1(common: int, one: int, other: int) -> float:
    return 2 * common / (one + other) if common else 0.0


CONFIDENCE_BINS = 10


def calibration_error(confidences: Sequence[float], is_right: Sequence[bool]) -> float:
    """Expected calibration error, 0 to 1, over ten even bins of confidence (Guo et al. 2017)."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(CONFIDENCE_BINS)]
    for confidence, right in zip(confidences, is_right, strict=True):
        bins[min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)].append((confidence, right))
    gaps = [abs(sum(right - confidence for confidence, right in one)) for one in bins]
    return sum(gaps) / len(confidences)


MAX_MEAN_LOSS = 100.0
"""Above this the perplexity is that of this loss, so that it stays a number."""


def perplexity(loss: float, count: int = 1) -> float:
    """Of `count` tokens whose losses (nats) add up to `loss`, or of their mean loss."""
    return math.exp(min(loss / max(count, 1), MAX_MEAN_LOSS))
