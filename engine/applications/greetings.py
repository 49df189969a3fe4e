"""What tells the language of a few words: words that people try first, letters that few languages have, and scripts."""

from __future__ import annotations

import tomllib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

UNACCENTED, LITTLE = 0.9, 0.5
"""How much a known word counts that was typed without its accents, and one of one or two letters."""
SCRIPTS = {"HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "HEBREW": "he", "GREEK": "el", "THAI": "th",
           "DEVANAGARI": "hi", "BENGALI": "bn", "TAMIL": "ta"}  # fmt: skip
"""That one language of ours is written in."""
_STROKES = str.maketrans("łøđıß", "lodis")


def known_words(words: Iterable[str]) -> dict[str, float]:
    """How many of these words, in small letters, each language knows; little words count less."""
    exact, plain = _words()
    counts: dict[str, float] = defaultdict(float)
    for word in words:
        codes, weight = exact.get(word, frozenset()), 1.0 if len(word) > 2 else LITTLE
        for code in codes:
            counts[code] += weight
        for code in plain.get(_unaccented(word), frozenset()) - codes:
            counts[code] += weight * UNACCENTED
    return counts


def strange_letters(text: str, code: str) -> int:
    """How many letters of the text, beyond a to z and each counted once, that language does not write."""
    if text.isascii():
        return 0
    found = {letter for letter in text.casefold() if letter.isalpha() and not letter.isascii()}
    return len(found - _letters().get(code, frozenset()))


def language_of_script(text: str) -> str:
    """The one language that is written as most letters of the text are; "" where there is none."""
    letters = [letter for letter in text if letter.isalpha() and not letter.isascii()]
    codes = Counter(SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0], "") for letter in letters)
    code, count = codes.most_common(1)[0] if codes else ("", 0)
    return code if count * 2 > sum(map(str.isalpha, text)) else ""


@cache
def _words() -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """The languages of each word as it is written, and as it is typed without accents."""
    exact: dict[str, frozenset[str]] = {}
    plain: dict[str, frozenset[str]] = {}
    for code, words in _file()["words"].items():
        for word in words.split():
            exact[word] = exact.get(word, frozenset()) | {code}
            plain[_unaccented(word)] = plain.get(_unaccented(word), frozenset()) | {code}
    return exact, plain


@cache
def _letters() -> dict[str, frozenset[str]]:
    return {code: frozenset(letters) for code, letters in _file()["letters"].items()}


@cache
def _file() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _unaccented(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word.translate(_STROKES))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
