"""Rows that the translators learn from: read, cleaned, and a part of the everyday ones held out. No torch here."""

from __future__ import annotations

import hashlib
import lzma
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = (
    "tatoeba", "europarl", "libreoffice-help", "libreoffice-ui", "python-docs", "wesnoth", "gnome-help", "iso-codes",
    "debian-descriptions",
)  # fmt: skip
"""The rows that shipped weights may learn from; news tests, multi30k and chat are in the files and stay out."""
EVERYDAY = "tatoeba"
FLORES = {"en": "eng_Latn", "fr": "fra_Latn", "de": "deu_Latn", "es": "spa_Latn", "zh": "zho_Hans"}
OTHERS = ("fr", "de", "es", "zh")

MAX_CHARACTERS = {"en": 500, "fr": 500, "de": 500, "es": 500, "zh": 170}
ENGLISH_PER_CHARACTER = {"fr": 0.9, "de": 0.9, "es": 0.95, "zh": 3.2}
"""Characters of English for one of the other language, in the mean of the Tatoeba rows."""
MAX_RATIO, SLACK = 1.9, 14
"""Longest side over the shortest, after that; short sentences may differ by so many characters more."""
MAX_VARIANTS = 4
"""Translations kept of one sentence into one language."""
MIN_GUESSED_CHARACTERS = 24
"""The language of shorter texts is not checked: names and single words look like any."""
SURE = 0.95
HELD_OUT_SHARE = 12
"""In a thousand English sentences; of every language the same ones, so that none is learned through another."""
MAX_HELD_OUT = 500
MIN_LETTERS = 0.6

SPEAKER = re.compile(r"^(?:par écrit|in writing)?[\W\d]*\((?:[A-Z]{2})\)\s*", re.IGNORECASE)
MARKUP = re.compile(r"[{}<>|\\_=^~`]|%[a-z(]|&\w+;|https?:|www\.|\$\w|\(\)|--\w")
DIGITS = re.compile(r"\d")
HAN = re.compile(r"[\u3400-\u9fff]")
LATIN_MARKS = re.compile(r"(?<=[\u3400-\u9fff])([,?!:;]) ?(?=[\u3400-\u9fff]|$)")
FULL_WIDTH = str.maketrans(",?!:;「」『』", "，？！：；“”‘’")


@dataclass(frozen=True, order=True)
class Pair:
    """An English sentence and its translation into `language`, from the source of that name."""

    english: str
    other: str
    language: str
    source: str


@dataclass
class Report:
    """How many rows were read, kept, and dropped for which reason."""

    read: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """For people: a line a reason and a line a source."""
        total = sum(self.read.values())
        reasons = [f"dropped {count:>9,} {reason}" for reason, count in self.dropped.most_common()]
        sources = [f"{name:<24} {self.read[name]:>9,} read {self.kept[name]:>9,} kept" for name in sorted(self.read)]
        return [*sources, *reasons, f"kept {sum(self.kept.values()):,} of {total:,}"]


@dataclass(frozen=True)
class Corpus:
    """`train` to learn from; `everyday` (Tatoeba) and `dev` (all sources) held out. Sorted, so that they pack well."""

    train: list[Pair]
    everyday: list[Pair]
    dev: list[Pair]
    report: Report


def read(data: Path, languages: Iterable[str] = OTHERS) -> Iterator[Pair]:
    """All rows of the folder `translation` in these languages, uncleaned."""
    for language in languages:
        for source, english, other in _columns(data / f"en-{language}.train.tsv.xz", 3):
            yield Pair(english, other, language, source)
        if language == "fr":
            for english, other in _columns(data / "europarl.en-fr.tsv.xz", 2):
                yield Pair(english, other, language, "europarl")


def _columns(path: Path, count: int) -> Iterator[list[str]]:
    with lzma.open(path, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            cells = line.rstrip("\n").split("\t")
            if len(cells) == count:
                yield cells


def flores(data: Path, language: str) -> list[str]:
    """FLORES-200 dev in a language, in the order that all languages share."""
    return (data / f"flores200.{FLORES[language]}.dev").read_text(encoding="utf-8").splitlines()


def clean(
    pairs: Iterable[Pair], measured: Iterable[str], guess: Callable[[str], tuple[str, float]] | None = None
) -> Corpus:
    """Keep the pairs that are worth learning from, and hold some out.

    `measured` are sentences that models are measured on: no pair with one of them is kept, whatever its case and
    punctuation. `guess` tells a text's language and how sure that is; None leaves languages unchecked.
    """
    report, forbidden = Report(), {key(text) for text in measured}
    seen: set[tuple[str, str, str]] = set()
    variants: Counter[tuple[str, str]] = Counter()
    kept: list[Pair] = []
    for raw in pairs:
        report.read[raw.source] += 1
        pair = Pair(tidy(raw.english), tidy(raw.other, raw.language), raw.language, raw.source)
        keys = key(pair.english), key(pair.other)
        reason = fault(pair)
        if not reason and not forbidden.isdisjoint(keys):
            reason = "is measured on"
        if not reason and (*keys, pair.language) in seen:
            reason = "is there already"
        if not reason and max(variants[keys[0], pair.language], variants[pair.language, keys[1]]) >= MAX_VARIANTS:
            reason = "is one of too many variants"
        if not reason and guess is not None:
            reason = wrong_language(pair, guess)
        if reason:
            report.dropped[reason] += 1
            continue
        seen.add((*keys, pair.language))
        variants[keys[0], pair.language] += 1
        variants[pair.language, keys[1]] += 1
        report.kept[pair.source] += 1
        kept.append(pair)
    return _divided(kept, report)


def _divided(kept: list[Pair], report: Report) -> Corpus:
    """Hold out the pairs of some English sentences, and drop all others that share a side with them."""
    held = [pair for pair in kept if _draw(key(pair.english)) < HELD_OUT_SHARE]
    everyday: list[Pair] = []
    dev: list[Pair] = []
    counts: Counter[tuple[str, bool]] = Counter()
    for pair in sorted(held, key=lambda pair: _digest(key(pair.english) + pair.language)):
        is_everyday = pair.source == EVERYDAY and len(pair.english.split()) >= 4
        if (is_everyday or pair.source != EVERYDAY) and counts[pair.language, is_everyday] < MAX_HELD_OUT:
            counts[pair.language, is_everyday] += 1
            (everyday if is_everyday else dev).append(pair)
    sides = {key(text) for pair in (*everyday, *dev) for text in (pair.english, pair.other)}
    train = [pair for pair in kept if sides.isdisjoint((key(pair.english), key(pair.other)))]
    report.dropped["is held out"] = len(kept) - len(train)
    return Corpus(sorted(train), sorted(everyday), sorted(dev), report)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _draw(text: str) -> int:
    """A number below 1000 that depends on the text alone."""
    return _digest(text) % 1000


def key(text: str) -> str:
    """A text without case, punctuation and spaces: what makes two sentences the same."""
    return "".join(character for character in text.casefold() if character.isalnum())


def tidy(text: str, language: str = "") -> str:
    """NFC, one kind of space, no marks of a speaker's language or of lists; Chinese with its own marks."""
    text = unicodedata.normalize("NFC", text).replace("\ufeff", "")
    text = SPEAKER.sub("", " ".join(text.split())).lstrip("*•·– ")
    if language == "zh":
        text = LATIN_MARKS.sub(lambda found: found[1].translate(FULL_WIDTH), text)
        text = text.translate(str.maketrans("「」『』", "“”‘’"))
    return text


def is_simplified(text: str) -> bool:
    """Whether all Chinese characters of a text are among the 6,763 of GB 2312, which holds none but simplified ones."""
    try:
        "".join(HAN.findall(text)).encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def can_write(pair: Pair) -> bool:
    """Whether the other side is fit to be written; a translator only reads traditional Chinese."""
    return pair.language != "zh" or is_simplified(pair.other)


def fault(pair: Pair) -> str:
    """Why a pair is not worth learning from; empty when it is."""
    if pair.source not in SOURCES:
        return "is of a source that stays out"
    if not key(pair.english) or not key(pair.other):
        return "has a side without words"
    if len(pair.english) > MAX_CHARACTERS["en"] or len(pair.other) > MAX_CHARACTERS[pair.language]:
        return "is too long"
    if MARKUP.search(pair.english) or MARKUP.search(pair.other):
        return "holds code"
    if _letters(pair.english) < MIN_LETTERS or _letters(pair.other) < MIN_LETTERS:
        return "has few letters"
    if pair.english.casefold() == pair.other.casefold():
        return "is a copy"
    if _is_uneven(pair):
        return "has sides of too different length"
    return _mismatch(pair)


def _letters(text: str) -> float:
    return sum(map(str.isalpha, text)) / max(1, len(text) - text.count(" "))


def _is_uneven(pair: Pair) -> bool:
    one, other = len(pair.english), len(pair.other) * ENGLISH_PER_CHARACTER[pair.language]
    return max(one, other) > MAX_RATIO * min(one, other) + SLACK


def _mismatch(pair: Pair) -> str:
    numbers = [sorted(DIGITS.findall(text)) for text in (pair.english, pair.other)]
    if numbers[0] != numbers[1] and (all(numbers) or max(map(len, numbers)) > 2):
        return "has other digits on each side"
    questions = [text.rstrip("\"'»”)」』 ").endswith(("?", "？")) for text in (pair.english, pair.other)]
    if questions[0] != questions[1]:
        return "is a question on one side"
    if abs(pair.english.count("(") - pair.other.count("(") - pair.other.count("（")) > 0:
        return "has brackets on one side"
    return ""


def wrong_language(pair: Pair, guess: Callable[[str], tuple[str, float]]) -> str:
    """Whether a longer side is surely in another language than it should be, in words; empty when not."""
    for text, language in ((pair.english, "en"), (pair.other, pair.language)):
        long_enough = len(text) * (ENGLISH_PER_CHARACTER["zh"] if language == "zh" else 1) >= MIN_GUESSED_CHARACTERS
        if long_enough:
            guessed, probability = guess(text)
            if guessed != language and probability >= SURE:
                return "is in another language"
    return ""


COPIES: Mapping[str, float] = {EVERYDAY: 2.0, "europarl": 1.0, "iso-codes": 0.5, "libreoffice-ui": 0.7}
"""How often a row is read in one pass, by source; the others once. Everyday sentences are what the page is asked."""
LANGUAGE_COPIES: Mapping[str, float] = {"fr": 1.0, "de": 1.6, "es": 1.8, "zh": 2.2}
"""The same by language, so that those with few rows are not drowned; about the rows to the power of 0.6."""


def copies(pair: Pair) -> float:
    """How often a pair is read in one pass."""
    return COPIES.get(pair.source, 1.0) * LANGUAGE_COPIES[pair.language]
