"""Beam search over a student: several sentences in a batch, each with its likeliest beginnings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.backends.marian.decoding import PACK_SHARE, Choice
from engine.backends.marian.model import EOS, pad
from engine.backends.marian.shortlist import Network, Output, Shortlist, output_for


class Hypothesis(NamedTuple):
    """A translation of a beam; its ids end in EOS unless it was cut off."""

    ids: list[int]
    logprobs: list[float]
    told: list[Any]
    """What was told of each token, where that was asked for."""

    @property
    def total(self) -> float:
        """Log-probability of all of it."""
        return sum(self.logprobs)

    @property
    def score(self) -> float:
        """Mean log-probability of its tokens."""
        return self.total / len(self.logprobs)


def beams(
    student: Network,
    sources: Sequence[Sequence[int]],
    size: int,
    take: Callable[[int, list[Hypothesis]], None],
    is_over: Callable[[int, int], bool],
    shortlist: Shortlist | None = None,
    starts: Sequence[Sequence[int]] = (),
    tell: Callable[[int, Choice], Any] | None = None,
) -> None:
    """The `size` best translations of each source by mean log-probability; `take(row, found)` gets them, best first.

    A row ends when it has as many, or once `is_over(row, tokens)`, with what there is so far. `starts` as in `greedy`;
    what `tell` says of a token stays with it.
    """
    rows = [_Beam(number, size, start) for number, start in enumerate(starts or [()] * len(sources))]
    output = output_for(student, shortlist, sources, [row.start for row in rows])
    each = torch.arange(len(rows)).repeat_interleave(size)
    encoded, cells, ids = student.encode(*pad(sources)).pick(each), student.start(len(each)), None
    output.pick(each)
    for step in count():
        states, weights = student.step(encoded, cells, ids, step)
        logprobs = output.logits(states).log_softmax(-1)
        index: list[int] = []
        for row, candidates in zip(rows, _likeliest(rows, logprobs, output, step), strict=True):
            first = len(index)
            index += [first + parent for parent in row.grow(candidates, first, tell, (weights, logprobs, output))]
            if not row.is_done and (not row.alive or len(row.ended) >= size or is_over(row.number, step + 1)):
                row.is_done = True
                take(row.number, row.best())
        rows, index, encoded = _packed(rows, index, encoded, output)
        if not rows:
            return
        cells = [cell[torch.tensor(index)] for cell in cells]
        ids = torch.tensor([id for row in rows for id in row.last])


def _packed(rows: list[_Beam], index: list[int], encoded: Any, output: Output) -> tuple[list[_Beam], list[int], Any]:
    """Without the beams that are done, where these are enough; `index` is which row each of the batch follows."""
    kept = [place for place, row in enumerate(rows) if not row.is_done]
    if len(kept) > PACK_SHARE * len(rows):
        return rows, index, encoded
    size = rows[0].size
    index = [index[place * size + nth] for place in kept for nth in range(size)]
    if kept:
        encoded = encoded.pick(torch.tensor(index))
        output.pick(torch.tensor(index))
    return [rows[place] for place in kept], index, encoded


class _Beam:
    """The hypotheses of one source on their way, which have `size` rows of the batch."""

    def __init__(self, number: int, size: int, start: Sequence[int]) -> None:
        self.number, self.size, self.start = number, size, start
        self.alive, self.ended, self.is_done = [Hypothesis([], [], [])], list[Hypothesis](), False

    @property
    def totals(self) -> list[float]:
        """Of its rows; those that hold nothing have none of the probability."""
        found = [] if self.is_done else [one.total for one in self.alive]
        return found + [-math.inf] * (self.size - len(found))

    @property
    def last(self) -> list[int]:
        """The token of each of its rows."""
        return [one.ids[-1] for one in self.alive] + [EOS] * (self.size - len(self.alive))

    def grow(
        self,
        candidates: Sequence[tuple[int, int, float]],
        first: int,
        tell: Callable[[int, Choice], Any] | None,
        about: tuple[Tensor, Tensor, Output],
    ) -> list[int]:
        """One token more, of candidates (which of `alive`, id, log-probability), best first; which row each follows."""
        if self.is_done:
            return list(range(self.size))
        going, parents = list[Hypothesis](), list[int]()
        for parent, id, logprob in candidates:
            if logprob == -math.inf or parent >= len(self.alive) or (id != EOS and len(going) == self.size):
                continue
            ids, logprobs, told = self.alive[parent]
            more = [tell(self.number, Choice(id, logprob, first + parent, *about))] if tell else []
            grown = Hypothesis([*ids, id], [*logprobs, logprob], told + more)
            if id == EOS:
                self.ended.append(grown)
            else:
                going.append(grown)
                parents.append(parent)
        self.alive = going
        return parents + [0] * (self.size - len(parents))

    def best(self) -> list[Hypothesis]:
        """What has come to its end, else what there is."""
        return sorted(self.ended or self.alive, key=lambda one: -one.score)[: self.size]


def _likeliest(
    rows: Sequence[_Beam], logprobs: Tensor, output: Output, step: int
) -> Iterator[list[tuple[int, int, float]]]:
    """For each row's hypotheses together twice as many ways to go on as there may be; one where it must begin so."""
    size, width = rows[0].size, logprobs.shape[1]
    totals = torch.tensor([row.totals for row in rows]).view(-1, 1)
    places = (logprobs + totals).view(len(rows), -1).topk(min(2 * size, width)).indices
    ids = output.ids((places % width).repeat_interleave(size, 0))[::size]
    found = logprobs.view(len(rows), -1).gather(1, places)
    lists = ((places // width).tolist(), ids.tolist(), found.tolist())
    for place, (row, *candidates) in enumerate(zip(rows, *lists, strict=True)):
        if step < len(row.start):
            column = output.column(place * size, row.start[step])
            yield [(0, row.start[step], float(logprobs[place * size, column]))]
        else:
            yield list(zip(*candidates, strict=True))


def search(
    student: Network,
    sources: Sequence[Sequence[int]],
    size: int,
    shortlist: Shortlist | None = None,
    per_piece: float = 2.5,
) -> list[list[int]]:
    """The best translation of each source that ends in EOS, without the end; at most `per_piece` ids for each of a
    source. As `decoding.translate`, with beams."""
    results: list[list[int]] = [[] for _ in sources]

    def take(row: int, found: list[Hypothesis]) -> None:
        results[row] = [id for id in found[0].ids if id != EOS]

    def is_over(row: int, tokens: int) -> bool:
        return tokens >= per_piece * len(sources[row]) + 4

    with torch.inference_mode():
        beams(student, sources, size, take, is_over, shortlist)
    return results
