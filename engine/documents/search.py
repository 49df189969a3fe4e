"""Passages found by words (BM25) and by meaning (vectors), and both joined: reciprocal rank fusion (Cormack 2009)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.documents.passages import Passage

Vectors = NDArray[np.float16]

RANK_CONSTANT = 60
"""Added to a rank before its reciprocal is taken, as in the paper."""
LOOKED_AT = 50
"""First places of each search that are joined."""
MIN_STEM = 4
"""Letters of a word whose plural ending is left out."""
_WORD = re.compile(r"[\u3040-\u9fff]+|[^\W_\u3040-\u9fff]+")


@dataclass(frozen=True)
class Hit:
    """A passage that was found: `score` from 0 to 1 (1: first in both searches); `words` is its BM25, `meaning` the
    scalar product with the question; None where that search did not look."""

    passage: Passage
    score: float
    words: float
    meaning: float | None


class Index:
    """The passages of some documents."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        import bm25s  # type: ignore[import-untyped]

        self.passages = passages
        self._words: Any = bm25s.BM25(method="lucene")
        tokens = [tokens_of(one.searched) for one in passages]
        self._has_words = any(tokens)
        if self._has_words:
            self._words.index(tokens, show_progress=False)

    def search(
        self, question: str, count: int, vector: Sequence[float] | None = None, vectors: Vectors | None = None
    ) -> list[Hit]:
        """The passages that fit best. `vectors` has a row for each passage, zeros for those that have none yet."""
        words = self._by_words(question)
        orders = [_order(words, np.greater(words, 0))]
        alike = None
        if vector is not None and vectors is not None:
            alike = vectors.astype(np.float32) @ np.asarray(vector, dtype=np.float32)
            orders.append(_order(alike, vectors.any(axis=1)))
        fused = np.zeros(len(self.passages))
        for order in orders:
            fused[order] += 1 / (RANK_CONSTANT + 1 + np.arange(len(order)))
        best = [number for number in np.argsort(-fused, kind="stable")[:count] if fused[number] > 0]
        most = len(orders) / (RANK_CONSTANT + 1)
        return [
            Hit(
                self.passages[number], round(float(fused[number] / most), 4), round(float(words[number]), 2),
                None if alike is None else round(float(alike[number]), 4),
            )
            for number in best
        ]  # fmt: skip

    def _by_words(self, question: str) -> NDArray[np.float32]:
        asked = [token for token in tokens_of(question) if token in self._words.vocab_dict] if self._has_words else []
        if not asked:
            return np.zeros(len(self.passages), dtype=np.float32)
        return np.asarray(self._words.get_scores(asked), dtype=np.float32)


def _order(scores: NDArray[Any], is_found: Any) -> NDArray[np.int64]:
    """The numbers of the first places, the best first."""
    order = np.argsort(-scores, kind="stable")[:LOOKED_AT]
    return order[is_found[order]]


def tokens_of(text: str) -> list[str]:
    """Words as they are searched: small, without accents and plural endings; Chinese by letters and pairs of them."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in plain if not "\u0300" <= letter <= "\u036f")
    found: list[str] = []
    for word in _WORD.findall(plain):
        if "\u3040" <= word[0] <= "\u9fff":
            found += [word[at : at + 2] for at in range(max(1, len(word) - 1))]
        elif word not in _stop_words():
            found.append(word[:-1] if len(word) > MIN_STEM and word[-1] == "s" and word[-2] not in "su" else word)
    return found


@cache
def _stop_words() -> frozenset[str]:
    """Words of questions and of grammar, which say nothing of what is looked for."""
    return frozenset(Path(__file__).with_name("stop_words.txt").read_text(encoding="utf-8").split())
