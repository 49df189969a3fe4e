"""What looks broken about a generated text: loops, echoes, the wrong script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from engine.applications.languages import SPACELESS, has_chinese
from engine.applications.literals import losses, prose
from engine.backends.texts import is_endless
from engine.messages import NOTHING, Text
from engine.requests import Generation

LATE = Text("The time limit passed before every sentence was whole. Send a shorter text.")


def find_fault(source: str, generation: Generation, target: str, language: str = "en") -> Text:
    """What looks broken about a translation, in a sentence for people; empty when nothing does.

    `language` is the source's.
    """
    text = generation.text.strip()
    if generation.finish_reason == "deadline":
        return LATE
    if not text:
        return Text("The model gave no translation for a sentence.")
    if is_endless(text) and is_looping(source):
        return Text("The text repeats itself; its translation was stopped where it went on doing so.")
    if is_looping(text) and not is_looping(source):
        return Text("A sentence repeats itself; the model lost the thread there.")
    if generation.finish_reason == "length":
        return Text("A sentence reached the length limit and may be cut off.")
    if is_word(source) and is_doubled(text):
        return Text("A word came back doubled.")
    if is_echo(source, text) or has_wrong_script(text, target):
        return Text("A sentence came back untranslated.")
    if left := left_over(source, text, target):
        return Text("A part of a sentence came back untranslated: {words}.", words=left)
    lost, invented = losses(source, text, (language, target))
    if lost:
        return told_lost(lost)
    if invented:
        return Text(
            "Something is in the translation only: {things}. Compare with the text.", things=invented[:MAX_NAMED]
        )
    return NOTHING


def told_lost(lost: Sequence[str]) -> Text:
    """What of a sentence is not in its translation, or not in its place."""
    things = [SHOWN.get(thing, thing) for thing in lost[:MAX_NAMED]]
    return Text("Something did not come through: {things}. Compare with the text.", things=things)


def left_over(source: str, text: str, target: str) -> str:
    """The longest run of a source's own words in its translation, where it is too long for a name or a quotation."""
    if target not in SPACELESS and (han := re.search(r"[\u4e00-\u9fff]{2,}", text)) and han[0] in source:
        return han[0]
    given, made = (re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", prose(one)) for one in (source, text))
    match = SequenceMatcher(None, given, made, autojunk=False).find_longest_match()
    run = given[match.a : match.a + match.size]
    small = [word for word in run if word[:1].islower()]
    return " ".join(run) if len(small) >= MIN_LEFT and sum(map(len, run)) >= MIN_LEFT_LETTERS else ""


MAX_NAMED = 5
SHOWN = {"](": "[…](…)", "**": "**…**", "*": "*…*", "~~": "~~…~~"}
"""Signs that mean nothing by themselves."""
MIN_LEFT, MIN_LEFT_LETTERS = 3, 14
"""Words in small letters that a source and its translation share in a row, and letters, before it is told."""


def is_word(text: str) -> bool:
    """Whether a text is one word alone, which translators of sentences read as the beginning of one."""
    return text.strip().replace("-", "").isalpha()


def is_doubled(text: str) -> bool:
    """Whether a word comes twice, or a comma shows that more was to come: "Hello, the hello" for "Olá"."""
    words = [word.strip(",.;:!?").casefold() for word in text.split()]
    return len(set(words)) < len(words) or text.endswith(",")


def is_looping(text: str) -> bool:
    """Whether the text ends in a piece that comes four times in a row, or three times and makes up half of it."""
    units: Sequence[str] = [word.strip(",.;:!?") for word in text.split()] if " " in text else list(text)
    for size in range(1, len(units) // 3 + 1):
        tail = list(units[-size:])
        count = 1
        while list(units[-size * (count + 1) : -size * count]) == tail:
            count += 1
        if count >= 4 or (count == 3 and size * count > max(5, len(units) / 2)):
            return True
    return False


def is_echo(source: str, text: str) -> bool:
    """Whether a longer sentence came back as it was, but for a few letters. Short ones may be names."""
    source, text = (" ".join(prose(one).split()) for one in (source, text))
    if len(source) < 24 and not (has_chinese(source) and len(source) > 6):
        return False
    return SequenceMatcher(None, source.casefold(), text.casefold(), autojunk=False).ratio() > 0.9


def has_wrong_script(text: str, target: str) -> bool:
    """Whether a text's words are in Chinese characters where the target has none, or many have none for Chinese."""
    text = " ".join(prose(text).split())
    if target == "zh":
        return len(text) >= 24 and any(map(str.isalpha, text)) and not has_chinese(text)
    return target not in SPACELESS and len(text) >= 4 and has_chinese(text)
