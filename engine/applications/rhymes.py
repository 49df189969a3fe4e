"""Rhymes: by the CMU Pronouncing Dictionary in English, by the rules of spelling in others, by pinyin in Chinese."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from engine.applications.syllables import dictionary, sounds, words_of

LANGUAGES = frozenset({"en", "de", "fr", "es", "zh"})
"""In which it can be told whether lines rhyme."""
_NO_STRESS = re.compile(r"(?<=[^aeiouyäöü])e(?:n|r|l|s|t|m|rn|ln|nd|st)?$")
_GERMAN = (
    (r"ß", "ss"), (r"äu", "eu"), (r"ai|ey|ay", "ei"), (r"ä", "e"), (r"y", "ü"), (r"([aeo])\1", r"\1"), (r"dt?$", "t"),
    (r"b$", "p"), (r"g$", "k"), (r"v", "f"), (r"([aeiouöü])h(?=[^aeiouöü]|$)", r"\1"), (r"([bdfgklmnprt])\1", r"\1"),
)  # fmt: skip
_FRENCH = (
    (r"^(am|ch|enf|f|fi|h?i?v|m|ou?tr?em|hi)er$", r"\1èr"), (r"(?<=[nr])c$", ""),
    (r"(?<=[^aeiouyéèêâôû])(?:es?)$", "ə"), (r"(?<=[aiouyé])es?$", ""), (r"(?<=.)(?:er|ez|é)$", "é"),
    (r"[tdpsxz]+$", ""), (r"eau|au|ô", "o"), (r"œu|oeu", "eu"), (r"ai|ei|è|ê|ë", "è"), (r"oî", "oi"),
    (r"(?:an|en|am|em)(?![aeiouyéèmn])", "ã"), (r"(?:oin)(?![aeiouyén])", "wĩ"),
    (r"(?:ain|ein|in|im|un|yn)(?![aeiouyéèmn])", "ĩ"), (r"(?:on|om)(?![aeiouyéèmn])", "õ"), (r"ph", "f"),
    (r"ll|rr|tt|ss|nn|mm|pp|cc|ff", lambda match: match[0][0]), (r"â|à", "a"), (r"û|ù", "u"),
)  # fmt: skip
_SPANISH = (
    (r"qu", "k"), (r"gu(?=[ei])", "g"), (r"v", "b"), (r"h", ""), (r"z|c(?=[eiéí])", "s"), (r"ll", "y"),
)  # fmt: skip
_PLAIN = str.maketrans("áéíóúü", "aeiouu")
_GROUPS: Mapping[str, str] = {
    final: name
    for name, finals in {
        "麻": "a ia ua",
        "波": "o e uo",
        "皆": "ie ve üe",
        "开": "ai uai",
        "微": "ei uei",
        "豪": "ao iao",
        "尤": "ou iou",
        "寒": "an ian uan van üan",
        "文": "en in uen vn ün",
        "唐": "ang iang uang",
        "庚": "eng ing ong iong ueng",
        "齐": "i er v ü",
        "姑": "u",
    }.items()
    for final in finals.split()
}
"""The fourteen rhymes of 中华新韵 (2005), for Mandarin as it is spoken."""
LEVEL = frozenset("12")
"""Tones that are level (平) in Mandarin as it is spoken; the others are oblique (仄)."""


def last_word(line: str) -> str:
    """The word, or the Chinese character, that a line ends on; "" where it has none."""
    words = words_of(line)
    if words and "\u4e00" <= words[-1][-1] <= "\u9fff":
        return words[-1][-1]
    return words[-1].casefold().replace("’", "'").strip("'") if words else ""


def rhyme_of(line: str, language: str) -> str:
    """What another line must have in common with this one to rhyme with it; "" where that is not known."""
    word = last_word(line)
    if not word or language not in LANGUAGES:
        return ""
    if language == "en":
        found = sounds(word)
        return found[1] if found else ""
    return {"de": _german, "fr": _french, "es": _spanish, "zh": chinese_rhyme}[language](word)


def do_rhyme(one: str, other: str, language: str) -> bool:
    """Whether two lines rhyme; a word does not rhyme with itself."""
    first = rhyme_of(one, language)
    return bool(first) and first == rhyme_of(other, language) and last_word(one) != last_word(other)


@cache
def english_rhymes() -> dict[str, list[str]]:
    """Plain English words by their rhyme."""
    found: dict[str, list[str]] = {}
    for word, (_, rhyme) in dictionary().items():
        if len(word) > 1 and word.isalpha():
            found.setdefault(rhyme, []).append(word)
    return found


@cache
def chinese_rhymes() -> dict[str, str]:
    """The common characters (GB 2312, first level) in a level tone, by their rhyme."""
    found: dict[str, str] = {}
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFA if row == 0xD7 else 0xFF):
            character = bytes((row, cell)).decode("gb2312")
            if tone_of(character) in LEVEL:
                found[chinese_rhyme(character)] = found.get(chinese_rhyme(character), "") + character
    return found


def tone_of(character: str) -> str:
    """The tone of a Chinese character's usual reading, "1" to "5" (none)."""
    from pypinyin import Style, lazy_pinyin

    spoken = lazy_pinyin(character, style=Style.TONE3, neutral_tone_with_five=True)
    return spoken[-1][-1] if spoken and spoken[-1][-1:].isdigit() else ""


def chinese_rhyme(text: str) -> str:
    """The rhyme of the last character."""
    from pypinyin import Style, lazy_pinyin

    last = text[-1:]
    final = "".join(lazy_pinyin(last, style=Style.FINALS, strict=True, errors="ignore"))
    initial = "".join(lazy_pinyin(last, style=Style.INITIALS, strict=True, errors="ignore"))
    if final in ("i", "-i") and initial in ("zh", "ch", "sh", "r", "z", "c", "s"):
        return "支"
    return _GROUPS.get(final, "")


def _german(word: str) -> str:
    for written, said in _GERMAN:
        word = re.sub(written, said, word)
    return _from_vowel(word, r"ie|ei|au|eu|aa|ee|oo|[aeiouöü]", 2 if _NO_STRESS.search(word) else 1)


def _french(word: str) -> str:
    for written, said in _FRENCH:
        word = re.sub(written, said, word)
    return _from_vowel(word.replace("ə", ""), r"eu|ou|oi|ui|[aeiouyéèîïãĩõœ]", 1)


def _spanish(word: str) -> str:
    for written, said in _SPANISH:
        word = re.sub(written, said, word)
    if marked := re.search(r"[áéíóú]", word):
        return word[marked.start() :].translate(_PLAIN)
    return _from_vowel(word, r"[iu]?[aeo][iu]?|[iu]+", 2 if word[-1:] in "aeiouns" else 1, is_nucleus=True)


def _from_vowel(word: str, vowels: str, number: int, *, is_nucleus: bool = False) -> str:
    """The end of a word, from the last, or the last but one, of its groups of vowels."""
    found = list(re.finditer(vowels, word))
    if not found:
        return ""
    chosen = found[-min(number, len(found))]
    start = chosen.start() + (is_nucleus and chosen[0][:1] in "iu" and len(chosen[0]) > 1)
    return word[start:].translate(_PLAIN)
