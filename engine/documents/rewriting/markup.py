"""Inline markup apart from its text and back: pieces of text, each in the signs that stand around it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import TypeAlias

from engine.documents.rewriting import Made, Spans, Unit

Signs: TypeAlias = tuple[tuple[str, str], ...]
"""What opens and closes around a piece, from the outside in."""
Piece = tuple[str, Signs]
"""A text, or with the signs MARK something that stands for itself."""
MARK: Signs = (("", ""),)


class Marked:
    """A text with markup: as a unit without it, and written with it again."""

    def __init__(self, pieces: Sequence[Piece], raw: str) -> None:
        self.signs: list[Signs] = [()]
        self.objects: list[str] = []
        text, spans, marks = "", [], []
        for words, signs in pieces:
            if signs == MARK:
                marks.append(len(text))
                self.objects.append(words)
                continue
            if signs not in self.signs:
                self.signs.append(signs)
            if signs and words:
                spans.append((len(text), len(text) + len(words), self.signs.index(signs)))
            text += words
        has_markup = bool(spans or marks)
        self.unit = Unit(text, tuple(spans), tuple(marks), raw if has_markup else "")

    def written(self, made: Made) -> str:
        """What was made, in the same signs. Spaces at a sign's inner edge go outside."""
        if made.is_raw:
            return made.text
        marks = [*made.marks, *[len(made.text)] * len(self.objects)]
        objects = list(zip(marks, self.objects, strict=False))
        out = ""
        is_open: Signs = ()
        for start, end, signs in self._runs(made):
            common = len(_common(is_open, signs))
            out += "".join(close for _, close in reversed(is_open[common:]))
            out += "".join(opening for opening, _ in signs[common:])
            for place in range(start, end):
                out += "".join(one for at, one in objects if at == place) + made.text[place]
            is_open = signs
        out += "".join(close for _, close in reversed(is_open))
        return out + "".join(one for at, one in objects if at >= len(made.text))

    def _runs(self, made: Made) -> list[tuple[int, int, Signs]]:
        """Runs of words, and of the spaces at their edges, which are in the signs that both neighbours are in."""
        numbers = numbers_of(made.spans, len(made.text))
        keys = [(numbers[place], letter.isspace()) for place, letter in enumerate(made.text)]
        runs, place = [], 0
        for (number, is_space), group in groupby(keys):
            size = len(list(group))
            runs.append((place, place + size, None if is_space else self._signs(number)))
            place += size
        found: list[tuple[int, int, Signs]] = []
        for index, (start, end, signs) in enumerate(runs):
            after = next((one for *_, one in runs[index + 1 :] if one is not None), ())
            found.append((start, end, _common(found[-1][2] if found else (), after) if signs is None else signs))
        return found

    def _signs(self, number: int) -> Signs:
        return self.signs[number] if number < len(self.signs) else ()


def _common(one: Signs, other: Signs) -> Signs:
    """What both are in, from the outside."""
    size = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    return one[: min(len(one), len(other)) if size is None else size]


def numbers_of(spans: Spans, length: int) -> list[int]:
    """The formatting of each character."""
    numbers = [0] * length
    for start, end, number in spans:
        for place in range(max(0, start), min(length, end)):
            numbers[place] = number
    return numbers


def spans_of(numbers: Sequence[int]) -> Spans:
    """The way back from `numbers_of`."""
    found, place = [], 0
    for number, group in groupby(numbers):
        size = len(list(group))
        found += [(place, place + size, number)] if number else []
        place += size
    return tuple(found)


TAG = re.compile(r"</?([a-z][a-z0-9]*)(?:[.\s][^<>]*)?>|<\d[\d:.]*>|\{\\[^{}]*\}", re.IGNORECASE)
"""Of subtitles."""


def tagged(text: str) -> list[Piece]:
    """Text with tags such as <i> as pieces; what opens nothing, or is never closed, stands for itself."""
    pieces: list[Piece] = []
    stack: list[tuple[str, str]] = []
    place = 0
    for match in TAG.finditer(text):
        pieces.append((text[place : match.start()], tuple(stack)))
        place = match.end()
        name, is_end = match[1] or "", match[0].startswith("</")
        if is_end and stack and stack[-1][1].lower() == f"</{name}>".lower():
            stack.pop()
        elif not is_end and name and f"</{name}>".lower() in text[place:].lower():
            stack.append((match[0], f"</{name}>"))
        else:
            pieces.append((match[0], MARK))
    pieces.append((text[place:], tuple(stack)))
    return [piece for piece in pieces if piece[0]]
