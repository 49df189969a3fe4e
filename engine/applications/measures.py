"""Forms of verse: how long each line is, which lines rhyme, in which languages; and whether lines keep to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.applications.rhymes import LEVEL, do_rhyme, last_word, tone_of
from engine.applications.syllables import count
from engine.messages import Text

VerseForm = Literal["haiku", "couplet", "limerick", "sonnet", "quatrain5", "quatrain7"]


@dataclass(frozen=True)
class Measure:
    """Of one line: syllables at least and at most, and a letter that it shares with the lines it rhymes with."""

    low: int
    high: int
    rhyme: str = ""


@dataclass(frozen=True)
class Form:
    """A form; `breaks` are the lines after which a stanza ends."""

    id: VerseForm
    title: Text
    lines: tuple[Measure, ...]
    languages: tuple[str, ...]
    """In which code can measure it; docs/writing.md says which of them a real model was seen to keep."""
    breaks: tuple[int, ...] = ()
    is_level: bool = False
    """Whether rhymes are in a level tone, as a Chinese quatrain's are."""


@dataclass(frozen=True)
class VerseLine:
    """A line, how long it is and was to be, its letter of rhyme, and what is wrong with it (empty where nothing is)."""

    text: str
    syllables: int
    low: int
    high: int
    rhyme: str = ""
    tones: str = ""
    """Of Chinese: each character's, level (平) or oblique (仄)."""
    faults: list[Text] = field(default_factory=list)


def _lines(*measures: tuple[int, int, str]) -> tuple[Measure, ...]:
    return tuple(Measure(low, high, rhyme.strip("-")) for low, high, rhyme in measures)


_LIMERICK = {"A": (7, 11, "A"), "B": (4, 7, "B")}
_SONNET = "ABABCDCDEFEFGG"
_QUATRAIN = "-A-A"
FORMS: Mapping[str, Form] = {
    one.id: one
    for one in (
        Form("haiku", Text("Haiku"), _lines((5, 5, ""), (7, 7, ""), (5, 5, "")), ("en", "de", "fr", "es", "zh")),
        Form("couplet", Text("Couplet"), _lines((6, 12, "A"), (6, 12, "A")), ("en",)),
        Form("limerick", Text("Limerick"), _lines(*(_LIMERICK[one] for one in "AABBA")), ("en",)),
        Form("sonnet", Text("Sonnet"), _lines(*((8, 12, one) for one in _SONNET)), ("en",), (4, 8, 12)),
        Form("quatrain5", Text("绝句, 5 characters"), _lines(*((5, 5, one) for one in _QUATRAIN)), ("zh",), (), True),
        Form("quatrain7", Text("绝句, 7 characters"), _lines(*((7, 7, one) for one in _QUATRAIN)), ("zh",), (), True),
    )
}
COUPLET_DIFFERENCE = 3
"""Syllables by which the two lines of a couplet may differ."""


def measure(form: Form, texts: Sequence[str], language: str) -> list[VerseLine]:
    """Lines with what is wrong with each; lines that are missing are not told."""
    return [_measured(form, place, texts, language) for place in range(min(len(texts), len(form.lines)))]


def is_kept(form: Form, lines: Sequence[VerseLine]) -> bool:
    """Whether all lines are there and none has a fault."""
    return len(lines) == len(form.lines) and not any(line.faults for line in lines)


def _measured(form: Form, place: int, texts: Sequence[str], language: str) -> VerseLine:
    wanted, text = form.lines[place], texts[place]
    syllables = count(text, language)
    tones = "".join("平" if tone_of(one) in LEVEL else "仄" for one in text if tone_of(one)) if language == "zh" else ""
    faults = [*_length_faults(form, place, texts, language), *rhyme_faults(form, place, texts, language)]
    return VerseLine(text, syllables, wanted.low, wanted.high, wanted.rhyme, tones, faults)


def _length_faults(form: Form, place: int, texts: Sequence[str], language: str) -> list[Text]:
    wanted, syllables = bounds(form, place, texts, language), count(texts[place], language)
    if wanted[0] <= syllables <= wanted[1]:
        return []
    return [Text("{count} syllables, not {low} to {high}", count=syllables, low=wanted[0], high=wanted[1])]


def bounds(form: Form, place: int, texts: Sequence[str], language: str) -> tuple[int, int]:
    """Syllables that a line may have after those before it."""
    wanted = form.lines[place]
    if form.id != "couplet" or not place:
        return wanted.low, wanted.high
    first = count(texts[0], language)
    return max(wanted.low, first - COUPLET_DIFFERENCE), min(wanted.high, first + COUPLET_DIFFERENCE)


def partners(form: Form, place: int) -> list[int]:
    """The lines before this one that it is to rhyme with."""
    letter = form.lines[place].rhyme
    return [other for other in range(place) if letter and form.lines[other].rhyme == letter]


def rhyme_faults(form: Form, place: int, texts: Sequence[str], language: str) -> list[Text]:
    """What is wrong with the line's rhyme."""
    faults = [
        Text("does not rhyme with line {number}", number=other + 1)
        for other in partners(form, place)
        if not do_rhyme(texts[other], texts[place], language)
    ]
    is_oblique = form.is_level and form.lines[place].rhyme and tone_of(last_word(texts[place])) not in LEVEL
    return faults + ([Text("ends in an oblique tone")] if is_oblique else [])
