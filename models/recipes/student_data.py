"""Pairs of sentences that children of the Portuguese students learn from, by where they come from; all may be shipped.

FLORES dev lines 1 to 500 are learned, 501 to 697 choose, and the last 300 are read by nobody here.
"""

from __future__ import annotations

import csv
import lzma
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.applications.literals import literal_spans, plain

Pair = tuple[str, str]

FLORES = {"en": "eng_Latn", "fr": "fra_Latn", "es": "spa_Latn", "de": "deu_Latn", "zh": "zho_Hans"}
NTREX = {"fr": "fra", "es": "spa", "de": "deu", "zh": "zho-CN"}
LEARNED, CHOOSING = slice(0, 500), slice(500, 697)
UNSHIPPED = ("newstest", "multi30k", "chat")
"""Sources whose terms do not let weights be shipped."""
MOST = {"debian-descriptions": 20_000, "iso-codes": 4_000, "libreoffice-ui": 6_000}
"""Rows taken of sources that say the same thing over and over."""
_SAME = str.maketrans("’\u00a0\u202f", "'  ", "\ufeff\u200b")
_SPEAKER = re.compile(r"^[.\s]*\([A-Z]{2}\)\s*")


@dataclass(frozen=True)
class Pairs:
    """English and the other language: the many, the professional few, and those that choose the checkpoint."""

    many: list[Pair]
    best: list[Pair]
    choosing: list[Pair]


def read_pairs(data: Path, language: str, rng: random.Random) -> Pairs:
    """All pairs of a language; `data` is the folder with `translation/`."""
    folder = data / "translation"
    by_source: dict[str, list[Pair]] = {}
    for source, english, other in _pool(folder / f"en-{language}.train.tsv.xz"):
        if source not in UNSHIPPED:
            by_source.setdefault(source, []).append((english, other))
    many: list[Pair] = []
    for source, pairs in by_source.items():
        rng.shuffle(pairs)
        many += pairs[: MOST.get(source, len(pairs))]
    europarl = folder / f"europarl.en-{language}.tsv.xz"
    if europarl.is_file():
        many += [(english, other) for english, other in _rows(europarl, 2)]
    flores = list(zip(_lines(_flores(folder, "en")), _lines(_flores(folder, language)), strict=True))
    best = flores[LEARNED] + list(_ntrex(folder / "ntrex", language)) + list(_gender(folder / "mtgeneval", language))
    return Pairs(_cleaned(many), _cleaned(best), _cleaned(flores[CHOOSING]))


def _cleaned(pairs: list[Pair]) -> list[Pair]:
    return [marked(plain(_bare(a)), _bare(b)) for a, b in pairs]


def marked(english: str, other: str) -> Pair:
    """The pair with marks for the literals of both sides, as the page shows them to a translator."""
    literals = {english[start:end] for start, end in literal_spans(english, "en")}
    common = [literal for literal in sorted(literals, key=len, reverse=True) if literal in other]
    for number, literal in enumerate(common, 1):
        english, other = english.replace(literal, f"X{number}"), other.replace(literal, f"X{number}")
    return english, other


def _bare(text: str) -> str:
    """Without a speaker's language at its beginning, with one form of apostrophe and no spaces of special width."""
    return _SPEAKER.sub("", text).translate(_SAME).strip()


def _pool(path: Path) -> Iterator[list[str]]:
    return _rows(path, 3)


def _rows(path: Path, columns: int) -> Iterator[list[str]]:
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) == columns and row[-1].strip() and row[-2].strip():
                yield row


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").rstrip("\n").split("\n")


def _flores(folder: Path, language: str) -> Path:
    return folder / f"flores200.{FLORES[language]}.dev"


def _ntrex(folder: Path, language: str) -> Iterator[Pair]:
    yield from zip(
        _lines(folder / "newstest2019-src.eng.txt"),
        _lines(folder / f"newstest2019-ref.{NTREX[language]}.txt"),
        strict=True,
    )


def _gender(folder: Path, language: str) -> Iterator[Pair]:
    path = folder / f"en-{language}.tsv"
    for line in _lines(path) if path.is_file() else ():
        _, english, other = line.split("\t")
        yield english, other
