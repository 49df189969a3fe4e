"""Which output words a sentence may need, so that the last product is over a thousand of them and not over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from engine.backends.marian.model import UNKNOWN

FREQUENT = 50
"""The first ids of a vocabulary, which every sentence may need."""
MULTIPLE = 8
"""Marian fills the words of a sentence up to a multiple of this with the next of the first ids."""


class Shortlist:
    """For each source id the target ids that it may become: `ids[offsets[i]:offsets[i + 1]]`."""

    def __init__(self, offsets: Tensor, ids: Tensor, *, is_shared: bool) -> None:
        self._offsets, self._ids, self._is_shared = offsets.numpy(), ids.numpy(), is_shared
        self._size = max(len(offsets) - 1, int(self._ids.max(initial=0)) + 1, FREQUENT) + MULTIPLE

    def candidates(self, source: Sequence[int], forced: Sequence[int] = ()) -> Tensor:
        """The target ids for a sentence in order, those that it must begin with among them."""
        lists = [self._ids[self._offsets[id] : self._offsets[id + 1]] for id in source]
        is_wanted = np.zeros(self._size, dtype=bool)
        is_wanted[:FREQUENT] = is_wanted[list(forced)] = True
        is_wanted[np.concatenate(lists)] = True
        if self._is_shared:
            is_wanted[list(source)] = True
        lacking = -int(is_wanted.sum()) % MULTIPLE
        is_wanted[FREQUENT + np.flatnonzero(~is_wanted[FREQUENT:])[:lacking]] = True
        return torch.from_numpy(np.flatnonzero(is_wanted))


class Network(Protocol):
    """What decoding asks of a student, the exact one or the quick one."""

    def encode(self, ids: Tensor, lengths: Sequence[int]) -> Any:
        """Read sources; what comes back can `pick` rows."""

    def start(self, rows: int) -> list[Tensor]:
        """The decoder's state before the first token."""

    def step(self, encoded: Any, cells: list[Tensor], ids: Tensor | None, place: int) -> tuple[Tensor, Tensor]:
        """The next state and its alignment; changes `cells`."""

    def output(self, ids: Tensor) -> Callable[[Tensor], Tensor]:
        """The last product, for these words alone."""

    def logits(self, states: Tensor) -> Tensor:
        """Of every word."""


class Output(Protocol):
    """The last layer for the rows of a batch."""

    def logits(self, states: Tensor) -> Tensor:
        """One column for each word that a row may choose; unknown words have none of the probability."""

    def ids(self, columns: Tensor) -> Tensor:
        """Ids of columns, (rows) or (rows, some)."""

    def column(self, place: int, id: int) -> int:
        """A row's column of an id."""

    def pick(self, places: Tensor) -> None:
        """Only these rows, in this order."""


class Whole:
    """All words for every row."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def logits(self, states: Tensor) -> Tensor:
        logits = self._network.logits(states)
        logits[:, UNKNOWN] = float("-inf")
        return logits

    def ids(self, columns: Tensor) -> Tensor:
        return columns

    def column(self, place: int, id: int) -> int:
        return id

    def pick(self, places: Tensor) -> None:
        pass


class Short:
    """Each row has its own words, whoever shares the batch: one product over all of them, of which it takes its own."""

    def __init__(self, network: Network, rows: Sequence[Tensor]) -> None:
        owned = [row[row != UNKNOWN] for row in rows]
        every = torch.cat(owned).unique()
        self._product = network.output(every)
        self._ids = pad_sequence(owned, batch_first=True, padding_value=UNKNOWN)
        is_padding = self._ids == UNKNOWN
        self._columns = torch.searchsorted(every, self._ids) if len(rows) > 1 else None
        self._mask = torch.zeros(self._ids.shape).masked_fill_(is_padding, -torch.inf) if is_padding.any() else None

    def logits(self, states: Tensor) -> Tensor:
        logits = self._product(states)
        if self._columns is not None:
            logits = logits.gather(1, self._columns)
        return logits if self._mask is None else logits.add_(self._mask)

    def ids(self, columns: Tensor) -> Tensor:
        return self._ids.gather(1, columns.view(len(self._ids), -1)).view(columns.shape)

    def column(self, place: int, id: int) -> int:
        return int((self._ids[place] == id).nonzero()[0])

    def pick(self, places: Tensor) -> None:
        self._ids = self._ids[places]
        self._columns = None if self._columns is None else self._columns[places]
        self._mask = None if self._mask is None else self._mask[places]


def output_for(
    network: Network, shortlist: Shortlist | None, sources: Sequence[Sequence[int]], starts: Sequence[Sequence[int]]
) -> Output:
    """The last layer for these sentences; `starts` are what their translations must begin with."""
    if shortlist is None:
        return Whole(network)
    rows = [shortlist.candidates(source, start) for source, start in zip(sources, starts, strict=True)]
    return Short(network, rows)
