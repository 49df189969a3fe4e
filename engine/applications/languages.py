"""Languages by ISO 639-1 code, and telling which one a text is in, offline."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import cache
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from typing import Any

from engine.errors import InputError
from engine.messages import Text

LANGUAGES = {
    "en": Text("English"),
    "fr": Text("French"),
    "de": Text("German"),
    "es": Text("Spanish"),
    "zh": Text("Chinese"),
    "it": Text("Italian"),
    "pt": Text("Portuguese"),
    "nl": Text("Dutch"),
    "pl": Text("Polish"),
    "ru": Text("Russian"),
    "ja": Text("Japanese"),
    "ko": Text("Korean"),
    "ar": Text("Arabic"),
    "hi": Text("Hindi"),
    "tr": Text("Turkish"),
}
"""Code -> name, in the order of the pickers."""

SPACELESS = ("zh", "ja")
"""Written without spaces between words and sentences."""

SURE = 0.6
"""Below this probability a guess is not acted on. Of the first three words of FLORES-200 dev sentences in en, fr, de,
es and zh it acts on 81 % and is right about 99.3 % of those; of the first six words 98 % and 99.9 %."""


@cache
def _identifier() -> Any:
    """Of our languages only, which saves 35 MB, and with its automaton in a file, of which a text needs a few pages."""
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier
    from py3langid.modelio import load_model

    scores, priors, codes, moves, rows, outputs = load_model(MODEL_DIR / MODEL_FILE)
    ours = [place for place, code in enumerate(codes) if code in LANGUAGES]
    with TemporaryFile() as file:
        moves.tofile(file)
        file.flush()
        paged = memoryview(mmap(file.fileno(), 0, access=ACCESS_READ)).cast(moves.typecode)
    known = [codes[place] for place in ours]
    found = array("i", outputs)
    return LanguageIdentifier(scores[:, ours], priors[ours], known, paged, found, tk_row=rows, norm_probs=True)


def has_chinese(text: str) -> bool:
    """Whether at least a quarter of the letters are Chinese characters and none are Japanese or Korean letters."""
    letters = [character for character in text if character.isalpha()]
    han = sum("\u3400" <= character <= "\u9fff" for character in letters)
    others = sum("\u3040" <= character <= "\u30ff" or "\uac00" <= character <= "\ud7a3" for character in letters)
    return han > 0 and han * 4 >= len(letters) and others == 0


def guess_language(text: str) -> tuple[str, float]:
    """The likeliest of LANGUAGES and its probability (py3langid; Lui & Baldwin 2012)."""
    if has_chinese(text[:2000]):
        return "zh", 1.0
    language, probability = _identifier().classify(text[:2000])
    return str(language), float(probability)


def read_tables() -> None:
    """Read what guessing takes, most of a second."""
    _identifier()


def detect_language(text: str, allowed: Iterable[str]) -> str:
    """The text's language. Raises InputError when the guess is unsure or the language is not among those allowed."""
    language, probability = guess_language(text)
    known = list(allowed)
    if probability < SURE:
        raise InputError(
            "This may be {language}, but the text does not make it certain. Choose the source language.",
            param="source", language=LANGUAGES[language],
        )  # fmt: skip
    if language not in known:
        raise InputError(
            "The text looks {language}; this model knows {known}. Choose the source language.",
            param="source", language=LANGUAGES[language], known=names_of(known),
        )  # fmt: skip
    return language


def names_of(codes: Iterable[str]) -> list[Text | str]:
    """Names of languages, for a sentence; a code that we have none for stands for itself."""
    return [LANGUAGES.get(code, code) for code in codes]
