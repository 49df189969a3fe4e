"""What a classifier or a reader had better not be trusted with: the language of a text, and what is no words to it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.applications.languages import NAMED, SURE, guess_language, names_of
from engine.applications.tidy import without_marks
from engine.catalogue.models import Model
from engine.messages import NOTHING, Text
from engine.serving.protocol import Engine

_ENGLISH = """
    the and this that have with you they their would from which there were been to but are than very just its it's his
    who what about will can isn't doesn't don't it she them these those when where how why much too only more most some
    any all
"""
ENGLISH = frozenset(_ENGLISH.split())
MIN_ENGLISH, MANY_ROWS = 2, 20
"""Of these words a text needs so many to be English without a look: hardly a sentence in another language has two.
Among many rows of which half have, one is enough."""
FEW_WORDS = 3
"""Under so many, letters of English tell no language."""
MIN_LETTERS, BROKEN = 4, 0.6
"""Letters from which on, and pieces for each letter above which, a text is no words: English has about 0.25."""
_WORD = re.compile(r"[^\W\d_]+")
_REPEATED = re.compile(r"([^\W\d_])\1{3,}")


@dataclass(frozen=True)
class Reading:
    """A text and the language that it seems to be in, looked at once somebody asks; `is_plain` where words told."""

    text: str
    is_plain: bool = False

    @cached_property
    def _guess(self) -> tuple[str, float]:
        return ("en", 1.0) if self.is_plain else guess_language(self.text)

    @property
    def language(self) -> str:
        """Its ISO 639-1 code."""
        return self._guess[0]

    @property
    def is_sure(self) -> bool:
        """Whether the guess is one to act on."""
        return self._guess[1] >= SURE


def read(texts: Sequence[str]) -> list[Reading]:
    """Each of the texts. A few words tell English: of many rows a look at each is most of the work."""
    return [Reading(text, is_plain) for text, is_plain in zip(texts, _plainly_english(texts), strict=True)]


def _plainly_english(texts: Sequence[str]) -> list[bool]:
    counts = [len(ENGLISH & set(text.lower().split())) for text in texts]
    is_most = len(texts) >= MANY_ROWS and sum(count >= MIN_ENGLISH for count in counts) * 2 >= len(texts)
    return [count >= (1 if is_most else MIN_ENGLISH) for count in counts]


def _tells_little(text: str) -> bool:
    return len(text.split()) < FEW_WORDS and text.isascii()


def caution(reading: Reading, model: Model) -> Text:
    """Why the model may be wrong about a text in this language, in a sentence; empty where it should not be."""
    if not model.languages or _tells_little(reading.text) or not reading.is_sure:
        return NOTHING
    if reading.language not in model.languages:
        return Text(
            "This looks {language}; the model learned from {known} and may be wrong here.",
            language=NAMED[reading.language], known=names_of(model.languages),
        )  # fmt: skip
    return worse_in(model, reading.language)


def worse_in(model: Model, language: str) -> Text:
    """That the model misses its aim in a language which it learned; empty where it does not."""
    if not model.best_in or language in model.best_in:
        return NOTHING
    return Text(
        "In {language} the model is wrong more often than in its other languages; its card has the figures.",
        language=NAMED[language],
    )  # fmt: skip


def unreadable(engine: Engine, model: Model, text: str) -> Text:
    """Why the model cannot read a text, in a sentence; empty where it can."""
    plain = without_marks(text)
    letters = [letter for letter in plain if letter.isalpha()]
    if not letters:
        return Text("There are no words in it that the model knows, so it cannot tell.")
    is_latin = sum("LATIN" in unicodedata.name(letter, "") for letter in letters) * 2 >= len(letters)
    if model.languages == ("en",) and not is_latin:
        return Text("The model does not know this script, so it cannot tell.")
    repeated = sum(len(match[0]) for match in _REPEATED.finditer(text))
    pieces = 0  # of other scripts a letter is a piece, and so are digits and signs, "10/10" or "!!!"
    if is_latin:
        pieces = engine.count_tokens(model.id, " ".join(_WORD.findall(plain))) or 0
    if repeated * 2 >= len(letters) or (len(letters) > MIN_LETTERS and pieces > len(letters) * BROKEN):
        return Text("The model finds no words in it, so it cannot tell.")
    return NOTHING
