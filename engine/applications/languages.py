"""Languages by ISO 639-1 code, and telling which one a text is in, offline."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from typing import Any

from engine.applications.greetings import known_words, language_of_script, strange_letters
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

FURTHER = {
    "af": Text("Afrikaans"), "bg": Text("Bulgarian"), "bn": Text("Bengali"), "ca": Text("Catalan"),
    "cs": Text("Czech"), "cy": Text("Welsh"), "da": Text("Danish"), "el": Text("Greek"), "et": Text("Estonian"),
    "eu": Text("Basque"), "fa": Text("Persian"), "fi": Text("Finnish"), "ga": Text("Irish"), "gl": Text("Galician"),
    "he": Text("Hebrew"), "hr": Text("Croatian"), "hu": Text("Hungarian"), "id": Text("Indonesian"),
    "is": Text("Icelandic"), "lt": Text("Lithuanian"), "lv": Text("Latvian"), "ms": Text("Malay"),
    "no": Text("Norwegian"), "ro": Text("Romanian"), "sk": Text("Slovak"), "sl": Text("Slovenian"),
    "sq": Text("Albanian"), "sr": Text("Serbian"), "sv": Text("Swedish"), "sw": Text("Swahili"), "ta": Text("Tamil"),
    "th": Text("Thai"), "uk": Text("Ukrainian"), "ur": Text("Urdu"), "vi": Text("Vietnamese"),
}  # fmt: skip
"""Others that a text may be in, and that some models translate."""
NAMED = LANGUAGES | FURTHER

SPACELESS = ("zh", "ja")
"""Written without spaces between words and sentences."""

SURE = 0.6
"""Below this probability a guess is not acted on. Of the first three words of FLORES-200 dev sentences in en, fr, de,
es and zh it acts on 94 % and is right about 99.0 % of those; of the first six words 99 % and 99.7 %."""
OUTSIDE, TIMES = 0.65, 4
"""From this probability on, among all languages, and so many times that of the likeliest that can be done, a text is
taken for one that cannot."""
NONE = 0.02
"""Where all that can be done have no more than this together, a text is in another language, whichever it is."""
MAX_WORDS = 5
"""In a text that short the words and letters of `greetings` tell more than its letters' frequencies do."""


@dataclass(frozen=True)
class Guess:
    """The language of a text, how likely it is, and whether it is among those that were asked for."""

    code: str
    probability: float
    is_allowed: bool = True


@cache
def _identifier() -> Any:
    """Of the languages that we name, with its tables in files, of which a text needs a few pages."""
    import numpy as np
    from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier
    from py3langid.modelio import load_model

    scores, priors, codes, moves, rows, outputs = load_model(MODEL_DIR / MODEL_FILE)
    ours = [place for place, code in enumerate(codes) if code in NAMED]
    table = np.ascontiguousarray(scores[:, ours])
    paged = _in_file(moves).cast(moves.typecode)
    likely = np.frombuffer(_in_file(table), dtype=table.dtype).reshape(table.shape)
    known = [codes[place] for place in ours]
    return LanguageIdentifier(likely, priors[ours], known, paged, array("i", outputs), tk_row=rows, norm_probs=True)


def _in_file(values: Any) -> memoryview:
    with TemporaryFile() as file:
        values.tofile(file)
        file.flush()
        return memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))


def has_chinese(text: str) -> bool:
    """Whether at least a quarter of the letters are Chinese characters and none are Japanese or Korean letters."""
    letters = [character for character in text if character.isalpha()]
    han = sum("\u3400" <= character <= "\u9fff" for character in letters)
    others = sum("\u3040" <= character <= "\u30ff" or "\uac00" <= character <= "\ud7a3" for character in letters)
    return han > 0 and han * 4 >= len(letters) and others == 0


def guess_language(text: str, among: Iterable[str] = LANGUAGES) -> tuple[str, float]:
    """The likeliest of those languages and its probability: by its script, by the words of a very short text, else by
    its letters (py3langid; Lui & Baldwin 2012)."""
    shares = _shares(text[:2000])
    known = {code: shares.get(code, 0.0) for code in among}
    best, total = max(known, key=lambda code: known[code]), sum(known.values())
    return best, known[best] / total if total else 0.0


def detect_language(text: str, allowed: Iterable[str]) -> Guess:
    """The best guess among those allowed, unless the text is surely in another language: then that one."""
    shares, known = _shares(text[:2000]), list(allowed)
    best = max(shares, key=lambda code: shares[code])
    own = [shares.get(code, 0.0) for code in known]
    if best not in known and (shares[best] >= max(OUTSIDE, TIMES * max(own, default=0.0)) or sum(own) < NONE):
        return Guess(best, shares[best], is_allowed=False)
    return Guess(*guess_language(text, known))


def read_tables() -> None:
    """Read what guessing takes, most of a second."""
    _identifier()


def names_of(codes: Iterable[str]) -> list[Text | str]:
    """Names of languages, for a sentence; a code that we have none for stands for itself."""
    return [NAMED.get(code, code) for code in codes]


def _shares(text: str) -> dict[str, float]:
    """The probability of each language that we name."""
    if has_chinese(text):
        return {"zh": 1.0}
    if code := language_of_script(text):
        return {code: 1.0}
    shares = {code: float(share) for code, share in _identifier().rank(text.lower() if text.isupper() else text)}
    words = [word for part in text.casefold().split() if (word := part.strip("¡!¿?.,;:…\"'«»()"))]
    return _of_few_words(text, words, shares) if 1 <= len(words) <= MAX_WORDS else shares


def _of_few_words(text: str, words: list[str], shares: dict[str, float]) -> dict[str, float]:
    """The same of a text that short: those that know most of its words are before all others."""
    told = known_words(words)
    most = max(told.values(), default=0.0)
    if most * 2 >= len(words) or most > 1:
        return _scaled({code: share + TOLD * (told.get(code) == most) for code, share in shares.items()})
    is_clear = not text.isascii() and max(shares.values()) > CLEAR
    return _scaled(
        {
            code: share * STRANGE ** strange_letters(text, code) * (1.0 if is_clear or code in LANGUAGES else WEAKER)
            for code, share in shares.items()
        }
    )


def _scaled(weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {code: weight / total for code, weight in weights.items()}


TOLD, STRANGE, WEAKER, CLEAR = 100.0, 0.05, 0.1, 0.9
"""How knowing most words weighs against letters; what is left of a language for each letter that it does not write; how
much less the rarer languages weigh in a text that short, unless letters of their own make one clear."""
