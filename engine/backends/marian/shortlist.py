"""Which output words a sentence may need, so that the last product is over a thousand of them and not over all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.backends.marian.model import UNKNOWN, Student

FREQUENT = 50
"""The first ids of a vocabulary, which every sentence may need."""
MULTIPLE = 8
"""Marian fills the words of a sentence up to a multiple of this with the next of the first ids."""


class Shortlist:
    """For each source id the target ids that it may become: `ids[offsets[i]:offsets[i + 1]]`."""

    def __init__(self, offsets: Tensor, ids: Tensor, is_shared: bool) -> None:
        self._lists = [part.tolist() for part in ids.tensor_split(offsets[1:-1])]
        self._is_shared = is_shared

    def candidates(self, source: Sequence[int], forced: Sequence[int] = ()) -> set[int]:
        """The target ids for a sentence, those that it must begin with among them."""
        found = set(range(FREQUENT)).union(forced, *(self._lists[id] for id in source))
        if self._is_shared:
            found.update(source)
        extra = FREQUENT
        while len(found) % MULTIPLE:
            found.add(extra)
            extra += 1
        return found


class Output(Protocol):
    """The last layer for the rows of a batch."""

    def logits(self, states: Tensor) -> Tensor:
        """One column for each word that some row may choose; unknown words have none of the probability."""

    def ids(self, columns: Tensor) -> Tensor:
        """Ids of columns."""

    def columns(self, ids: Sequence[int]) -> list[int]:
        """Columns of ids."""

    def pick(self, places: Tensor) -> None:
        """Keep only these rows."""


class Whole:
    """All words for every row."""

    def __init__(self, student: Student) -> None:
        self._student = student

    def logits(self, states: Tensor) -> Tensor:
        logits = self._student.logits(states)
        logits[:, UNKNOWN] = float("-inf")
        return logits

    def ids(self, columns: Tensor) -> Tensor:
        return columns

    def columns(self, ids: Sequence[int]) -> list[int]:
        return list(ids)

    def pick(self, places: Tensor) -> None:
        pass


class Short:
    """Each row has its own words, whoever shares the batch: one product over all, with the others' masked."""

    def __init__(self, student: Student, rows: Sequence[set[int]]) -> None:
        every = sorted(set().union(*rows) - {UNKNOWN})
        self._ids = torch.tensor(every)
        self._weight, self._bias = student.target_embedding.weight[self._ids], student.output_bias[self._ids]
        self._column = {id: column for column, id in enumerate(every)}
        self._mask: Tensor | None = None
        if len(rows) > 1:
            columns = torch.full((student.output_bias.shape[0],), -1)
            columns[self._ids] = torch.arange(len(every))
            self._mask = torch.full((len(rows), len(every)), float("-inf"))
            for place, row in enumerate(rows):
                self._mask[place, columns[torch.tensor(sorted(row - {UNKNOWN}))]] = 0.0

    def logits(self, states: Tensor) -> Tensor:
        logits = F.linear(states, self._weight, self._bias)
        return logits if self._mask is None else logits.add_(self._mask)

    def ids(self, columns: Tensor) -> Tensor:
        return self._ids[columns]

    def columns(self, ids: Sequence[int]) -> list[int]:
        return [self._column[id] for id in ids]

    def pick(self, places: Tensor) -> None:
        if self._mask is not None:
            self._mask = self._mask[places]


def output_for(
    student: Student, shortlist: Shortlist | None, sources: Sequence[Sequence[int]], starts: Sequence[Sequence[int]]
) -> Output:
    """The last layer for these sentences; `starts` are what their translations must begin with."""
    if shortlist is None:
        return Whole(student)
    rows = [shortlist.candidates(source, start) for source, start in zip(sources, starts, strict=True)]
    return Short(student, rows)
