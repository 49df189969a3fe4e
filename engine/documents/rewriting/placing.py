"""Where formatting and marks of a sentence belong in its translation: with the words that come from theirs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from engine.documents.rewriting import Made, Unit
from engine.documents.rewriting.markup import numbers_of, spans_of

Range = tuple[int, int]
Pair = tuple[Range, Range]
"""A sentence's place in the source and in the translation; or a word's, within its sentences."""
_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")


def is_mixed(unit: Unit, sentence: Range) -> bool:
    """Whether a sentence has more than one formatting, or a mark inside: then its words must be known."""
    start, end = sentence
    has_mark = any(start < mark < end for mark in unit.marks)
    return has_mark or len(set(numbers_of(unit.spans, len(unit.text))[start:end])) > 1


def placed(unit: Unit, text: str, sentences: Sequence[Pair], words: Sequence[Sequence[Pair]] | None) -> Made:
    """The translation with the unit's formatting and marks; `words` are each sentence's, from the translation to the
    source. Where nobody knows them (None) a sentence has the formatting of most of it."""
    given, numbers = numbers_of(unit.spans, len(unit.text)), [-1] * len(text)
    for place, ((start, end), (low, high)) in enumerate(sentences):
        kinds = set(given[start:end])
        if len(kinds) == 1 or words is None or not words[place]:
            numbers[low:high] = [_most(given[start:end])] * (high - low)
        else:
            numbers[low:high] = _by_words(given[start:end], unit.text[start:end], text[low:high], words[place])
    known = [-1, *numbers, -1]
    for place in range(len(text)):  # between sentences: as both neighbours, else plain
        if numbers[place] == -1:
            after = next((number for number in numbers[place:] if number != -1), 0)
            numbers[place] = after if known[place] in (after, -1) else 0
            known[place + 1] = numbers[place]
    marks = tuple(_mark(mark, unit, text, sentences, words) for mark in unit.marks)
    return Made(text, spans_of(numbers), marks)


def _most(numbers: Sequence[int]) -> int:
    return Counter(numbers).most_common(1)[0][0] if numbers else 0


def _by_words(given: Sequence[int], source: str, text: str, words: Sequence[Pair]) -> list[int]:
    """The formatting of each letter of a sentence's translation."""
    numbers: list[int | None] = [None] * len(text)
    behind: dict[int, int] = {}
    for (low, high), (start, end) in words:
        number = _most(given[start:end])
        numbers[low:high] = [number] * (high - low)
        if source[end : end + 1] and not source[end].isalnum() and source[end] != " ":
            behind[high] = given[end]  # a sign that follows the word in the source follows it here
    for number in sorted(set(given) - {found for found in numbers if found is not None} - {0}):
        _rescue(numbers, number, given, text)
    filled: list[int] = []
    for place, found in enumerate(numbers):
        if found is None:
            after = next((one for one in numbers[place:] if one is not None), 0) or 0
            before = filled[-1] if filled else after * (not text[place].isalnum())  # a quote goes with its word
            found = before if before == after else behind.get(place, 0)
        filled.append(found)
    return filled


def _rescue(numbers: list[int | None], number: int, given: Sequence[int], text: str) -> None:
    """A formatting that no word took: the word that stands about where it stood has it."""
    places = [place for place, one in enumerate(given) if one == number]
    ideal = len(text) * (places[0] + places[-1] + 1) / 2 / max(1, len(given))
    spans = [match.span() for match in _WORD.finditer(text)]
    free = [span for span in spans if not numbers[span[0]]] or spans
    if free:
        low, high = min(free, key=lambda span: abs((span[0] + span[1]) / 2 - ideal))
        numbers[low:high] = [number] * (high - low)


def _mark(mark: int, unit: Unit, text: str, sentences: Sequence[Pair], words: Sequence[Sequence[Pair]] | None) -> int:
    """Behind the words that come from what stands before it in the source."""
    for place, ((start, end), (low, high)) in enumerate(sentences):
        if mark <= start:
            return low
        if mark < end:
            found = words[place] if words is not None else []
            nearest = max((pair[1][1] for pair in found if start + pair[1][1] <= mark), default=None)
            own = [pair[0][1] for pair in found if pair[1][1] == nearest]
            if own:
                return low + max(own)
            ideal = low + (high - low) * (mark - start) / max(1, end - start)
            ends = [low + match.end() for match in re.finditer(r"\S+", text[low:high])]
            return min(ends, key=lambda each: abs(each - ideal), default=high)
        if mark == end:
            return high
    return len(text)
