"""The project's own hostile and harmless sentences in five languages: templates, filled in, some words disguised.

Whole templates are learned from or chosen by, and pairs stand at the same place of their lists (own_toxicity.toml).
"""

from __future__ import annotations

import itertools
import random
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

FILE = Path(__file__).with_suffix(".toml")
SEED = 19
CHOOSING_EVERY = 10
"""Templates of a list of which one chooses."""
EACH = 4
"""Ways to fill in a template, at most."""
LOWER_SHARE = 0.25
"""Of the rows that are in small letters and without a full stop, as many write in chats."""
SIGNS = ".-_* "
FIGURES = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7"}
VOWELS = "aeiouáéíóúàèùâêîôûäöüëï"
SHORTEST = 3
"""Letters that must be left of a word without its vowels."""
T = TypeVar("T")
Way = Callable[[str, random.Random], str]


@dataclass(frozen=True)
class Template:
    """A sentence with places for words; `place` is its own in its list."""

    text: str
    kind: str
    is_toxic: bool
    language: str
    place: int

    @property
    def is_choosing(self) -> bool:
        """Whether its rows choose; else they are learned from."""
        return self.place % CHOOSING_EVERY == 1


@dataclass(frozen=True)
class Written:
    """A filled-in template."""

    text: str
    template: Template


def read_templates(words: Mapping[str, Any], language: str) -> list[Template]:
    """Of one language."""
    return [
        Template(text, kind, name == "toxic", language, place)
        for kind, lists in words.items() if isinstance(lists, dict)
        for name, texts in lists.items()
        for place, text in enumerate(texts)
    ]  # fmt: skip


def own_rows(count: int, is_choosing: bool, file: Path = FILE) -> list[Written]:
    """At most so many, as many of each language and label; kinds, and templates of a kind, take turns."""
    rng, rows = random.Random(SEED), list[Written]()
    languages = tomllib.loads(file.read_text(encoding="utf-8"))
    for language, words in languages.items():
        templates = [one for one in read_templates(words, language) if one.is_choosing == is_choosing]
        for is_toxic in (True, False):
            kinds: dict[str, list[list[Written]]] = {}
            for one in templates:
                if one.is_toxic == is_toxic:
                    kinds.setdefault(one.kind, []).append(fill(one, words, rng))
            drawn = by_turns([by_turns(texts) for texts in kinds.values()])
            rows += itertools.islice(drawn, count // (2 * len(languages)))
    return rows


def by_turns(lists: Iterable[Iterable[T]]) -> Iterator[T]:
    """The first of each, the second of each, and so on, until all are at their end."""
    left = [iter(one) for one in lists]
    while left:
        for one in list(left):
            try:
                yield next(one)
            except StopIteration:
                left.remove(one)


def fill(template: Template, words: Mapping[str, Any], rng: random.Random) -> list[Written]:
    """Different rows of a template, with words drawn by lot."""
    texts, names = dict[str, None](), re.findall(r"\{(\w+)\}", template.text)
    pinyin = dict(re.findall(r"(\S)([a-z]+)", words.get("pinyin", "")))
    for _ in range(4 * EACH):
        text = template.text.format(**{name: rng.choice(words[name]) for name in names})
        text = re.sub(r"(?:^|[.?!] )\w", lambda found: found[0].upper(), text)
        text = re.sub(r"\*(.+?)\*", lambda found: disguise(found[1], rng, pinyin), text)
        texts[_as_in_chats(text) if rng.random() < LOWER_SHARE else text] = None
    unlike = {_as_in_chats(text): text for text in texts}
    return [Written(text, template) for text in itertools.islice(unlike.values(), EACH)]


def _as_in_chats(text: str) -> str:
    return text.lower().rstrip(".。")


def disguise(phrase: str, rng: random.Random, pinyin: Mapping[str, str]) -> str:
    """Its longest word written so that a list of words would not find it."""
    word = max(phrase.split(), key=len)
    ways: list[Way] = [_parted, _figures, _stretched, _without_vowels, _starred, _swapped]
    if not word.isascii() and re.search("[\u4e00-\u9fff]", word):
        ways = [_parted, lambda one, rng: _spelt(one, rng, pinyin)]
    for way in rng.sample(ways, len(ways)):
        found = way(word, rng)
        if found.lower() != word.lower():
            return phrase.replace(word, found)
    raise ValueError(f"cannot disguise {phrase}")


def _parted(word: str, rng: random.Random) -> str:
    return rng.choice(SIGNS).join(word)


def _figures(word: str, rng: random.Random) -> str:
    """Figures and signs for letters that look alike."""
    return "".join(
        rng.choice(FIGURES[one.lower()]) if one.lower() in FIGURES and rng.random() < 0.7 else one for one in word
    )


def _stretched(word: str, rng: random.Random) -> str:
    """Some letters twice or three times."""
    return "".join(one * rng.choice((1, 1, 2, 3)) for one in word)


def _without_vowels(word: str, rng: random.Random) -> str:
    left = word[0] + "".join(one for one in word[1:] if one.lower() not in VOWELS)
    return left if len(left) >= SHORTEST else word


def _starred(word: str, rng: random.Random) -> str:
    """A star for a vowel or two."""
    places = [place for place, one in enumerate(word) if place and one in VOWELS]
    chosen = rng.sample(places, min(len(places), rng.choice((1, 2))))
    return "".join("*" if place in chosen else one for place, one in enumerate(word))


def _swapped(word: str, rng: random.Random) -> str:
    """Two letters in each other's place."""
    if len(word) <= SHORTEST:
        return word
    place = rng.randrange(1, len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _spelt(word: str, rng: random.Random, pinyin: Mapping[str, str]) -> str:
    """A character, or each, as it sounds, or its first letter."""
    known = [place for place, one in enumerate(word) if one in pinyin]
    chosen = known if rng.random() < 0.3 else rng.sample(known, min(1, len(known)))
    sounds = {place: pinyin[word[place]] for place in chosen}
    end = 1 if rng.random() < 0.3 else None
    return "".join(sounds[place][:end] if place in sounds else one for place, one in enumerate(word))
