"""Batches of similar lengths, and what to do with one that does not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from engine.backends.memory import free_caches, is_memory_error

T = TypeVar("T")


def group_by_length(lengths: Sequence[int], max_tokens: int, min_fill: float) -> list[list[int]]:
    """Indices in groups of similar length, short ones first; a group's rows times its longest is at most `max_tokens`.

    At least the share `min_fill` of that is real tokens, not padding. A row longer than the limit is a group by itself.
    """
    groups: list[list[int]] = []
    total = 0
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        length = lengths[index]
        padded = (len(groups[-1]) + 1) * length if groups else 0
        if groups and padded <= max_tokens and total + length >= min_fill * padded:
            groups[-1].append(index)
            total += length
        else:
            groups.append([index])
            total = length
    return groups


def work_in_halves(items: list[T], work: Callable[[list[T]], None], give_up: Callable[[T], None]) -> None:
    """Do the work on all items at once; short of memory, on each half; give an item up that does not fit alone.

    `work` must be able to start again with those of the items that are not done.
    """
    if not items:
        return
    try:
        work(items)
        return
    except Exception as error:
        if not is_memory_error(error):
            raise
    free_caches()  # outside the handler: the traceback would keep the tensors
    if len(items) == 1:
        give_up(items[0])
        return
    middle = len(items) // 2
    work_in_halves(items[:middle], work, give_up)
    work_in_halves(items[middle:], work, give_up)
