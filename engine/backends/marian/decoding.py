"""Decoding loops over a student: greedy in a batch whose rows end by themselves, and scoring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.backends.marian.model import EOS, Student, pad
from engine.backends.marian.shortlist import Network, Output, Shortlist, output_for

PACK_SHARE = 0.8
"""A batch is packed anew when no more than this share of its rows goes on: copying costs as much as some idle rows."""


class Choice(NamedTuple):
    """One token of a sentence; log-probabilities are among the words that the sentence may need."""

    id: int
    logprob: float
    place: int
    """Of the sentence in what follows, which is of the whole batch."""
    weights: Tensor
    logprobs: Tensor
    output: Output

    def shares(self, count: int) -> list[float]:
        """How it looks at the first so many pieces of its source."""
        return list(self.weights[self.place, :count].tolist())

    def rivals(self, count: int) -> list[tuple[int, float]]:
        """The likeliest so many other ids with their log-probabilities."""
        values, columns = self.logprobs.topk(min(count + 1, self.logprobs.shape[1]))
        found = zip(self.output.ids(columns)[self.place].tolist(), values[self.place].tolist(), strict=True)
        return [(other, value) for other, value in found if other != self.id][:count]


def greedy(
    student: Network,
    sources: Sequence[Sequence[int]],
    take: Callable[[int, Choice], bool],
    shortlist: Shortlist | None = None,
    starts: Sequence[Sequence[int]] = (),
) -> None:
    """The likeliest token at every step, until `take(row, choice)` has said of each row that it is done.

    Sources end in EOS. `starts` are ids that a translation must begin with; `take` hears of them too.
    """
    starts = starts or [()] * len(sources)
    encoded = student.encode(*pad(sources))
    output = output_for(student, shortlist, sources, starts)
    rows = list(range(len(sources)))
    cells = student.start(len(rows))
    forced_steps = max(map(len, starts))
    ids: Tensor | None = None
    for step in count():
        states, weights = student.step(encoded, cells, ids, step)
        logprobs = output.logits(states).log_softmax(-1)
        values, columns = logprobs.max(-1)
        if step < forced_steps:
            columns = _forced(columns, output, [starts[row][step : step + 1] for row in rows])
            values = logprobs.gather(1, columns[:, None])[:, 0]
        ids = output.ids(columns)

        for place, (id, logprob) in enumerate(zip(ids.tolist(), values.tolist(), strict=True)):
            if rows[place] >= 0 and take(rows[place], Choice(id, logprob, place, weights, logprobs, output)):
                rows[place] = -1
        kept = [place for place, row in enumerate(rows) if row >= 0]
        if not kept:
            return
        if len(kept) <= PACK_SHARE * len(rows):
            index = torch.tensor(kept)
            encoded, cells, ids = encoded.pick(index), [cell[index] for cell in cells], ids[index]
            output.pick(index)
            rows = [rows[place] for place in kept]


def _forced(columns: Tensor, output: Output, given: Sequence[Sequence[int]]) -> Tensor:
    """Columns with those of the rows that have a given id replaced."""
    chosen = columns.tolist()
    for place, ids in enumerate(given):
        for id in ids:
            chosen[place] = output.column(place, id)
    return torch.tensor(chosen)


def translate(
    student: Network, sources: Sequence[Sequence[int]], shortlist: Shortlist | None = None, per_piece: float = 2.5
) -> list[list[int]]:
    """Greedy translations of sources that end in EOS, without the end; at most `per_piece` ids for each of a source."""
    results: list[list[int]] = [[] for _ in sources]

    def take(row: int, choice: Choice) -> bool:
        if choice.id == EOS:
            return True
        results[row].append(choice.id)
        return len(results[row]) >= per_piece * len(sources[row]) + 4

    with torch.inference_mode():
        greedy(student, sources, take, shortlist)
    return results


def score(
    student: Student, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[tuple[list[float], Tensor]]:
    """Of given translations, both ending in EOS: each token's log-probability among all words, and its alignment.

    In one pass over all of them, a few hundred tokens of the last layer at a time.
    """
    ids, lengths = pad(targets)
    states, weights = student.decode(student.encode(*pad(sources)), ids)
    found = []
    for row, (length, source) in enumerate(zip(lengths, sources, strict=True)):
        logits = student.logits(states[row, :length])
        logprobs = -F.cross_entropy(logits, ids[row, :length], reduction="none")
        found.append((logprobs.tolist(), weights[row, :length, : len(source)]))
    return found
