"""Words and short phrases by themselves, which translators of sentences read as the beginning of one: "Thanks" became
"Obrigado por". Each is asked for in several forms, and what these agree on is taken.
Of common ones it is known how each language says them (`phrases.toml`): there a translation has to be one of these."""

from __future__ import annotations

import math
import re
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from engine.applications.faults import is_doubled
from engine.requests import Generation

MAX_WORDS = 3
LONGER, UNLIKE, BEGUN = 0.6, 0.3, 0.5
"""Weight of a translation for each word that it has more than its source; of one that came back as it was, or doubled;
and of what another one begins with."""
_SIGNS = ".,;:!?¡¿…\"'“”„«»\u00a0\u202f。！？， "
_ENDS: dict[str, dict[str, str]] = {
    "fr": {"!": "\u00a0!", "?": "\u00a0?"}, "zh": {"!": "！", "?": "？", ".": "。"},
}  # fmt: skip
_BEGINNINGS: dict[str, dict[str, str]] = {"es": {"!": "¡", "?": "¿"}}
"""Signs at the end of a phrase as a language writes them, and those that it begins with too."""


def is_phrase(text: str) -> bool:
    """Whether a text is a few words and no more than that."""
    bare = text.strip(_SIGNS)
    return bool(re.fullmatch(r"[^\W\d_]+(?:[ '’-][^\W\d_]+)*", bare)) and len(bare.split()) <= MAX_WORDS


def forms(text: str) -> list[str]:
    """Other ways to ask for the same."""
    bare = text.strip(_SIGNS)
    return [form for form in (bare, f"{bare}.", f"{bare}!", f'"{bare}"') if form != text]


def agreed(text: str, made: Sequence[Generation]) -> Generation:
    """What most of these translations of a phrase say, ended and begun as the phrase is."""
    votes, best = defaultdict[str, float](float), dict[str, tuple[float, Generation]]()
    for one in made:
        key = one.text.strip(_SIGNS).casefold()
        weight = _weight(text, one) if key else 0.0
        votes[key] += weight
        if weight > best.get(key, (0.0, one))[0] or key not in best:
            best[key] = weight, one
    support = {
        key: votes[key] + BEGUN * sum(votes[other] for other in votes if other.startswith(f"{key} ")) for key in votes
    }
    chosen = best[max(support, key=lambda key: support[key])][1]
    return replace(chosen, text=_like(text, chosen.text.strip(_SIGNS)))


def common(text: str, source: str, target: str) -> list[str]:
    """How a common phrase is said in the target, as the phrase is ended and begun; nothing of any other text."""
    lines, said = _lines_of(source).get(_bare(text), ()), _common(target)
    return [_signed(text, phrase, target) for number in lines for phrase in (said[number] if said else ())]


def among(translation: str, known: Sequence[str]) -> str:
    """Which of the ways to say a common phrase a translation is, whatever its signs; "" where it is none."""
    return next((phrase for phrase in known if _bare(phrase) == _bare(translation)), "")


def _bare(text: str) -> str:
    return " ".join(text.replace("’", "'").strip(_SIGNS).casefold().split())


@cache
def _common(language: str) -> list[list[str]]:
    """Common phrases of a language, each in its variants; none of a language that the file does not have."""
    file = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["phrases"]
    return [line.split(" | ") for line in file.get(language, "").split("\n") if line]


@cache
def _lines_of(language: str) -> dict[str, list[int]]:
    """The lines in which each phrase stands, without its signs; first those in which it stands furthest ahead."""
    found = defaultdict[str, dict[int, int]](dict)
    for number, line in enumerate(_common(language)):
        for place, phrase in enumerate(line):
            found[_bare(phrase)].setdefault(number, place)
    return {bare: sorted(places, key=lambda number: (places[number], number)) for bare, places in found.items()}


def _signed(text: str, phrase: str, target: str) -> str:
    whole = _like(text, phrase)
    end = whole[len(whole.rstrip(".!?…:;,")) :]
    before, signs = _BEGINNINGS.get(target, {}).get(end[-1:], ""), _ENDS.get(target, {})
    begun = "" if before in whole else before
    return begun + whole.removesuffix(end) + "".join(signs.get(sign, sign) for sign in end)


def _weight(text: str, made: Generation) -> float:
    bare = made.text.strip(_SIGNS)
    extra = max(0, len(bare.split()) - len(text.split()))
    is_unlike = bare.casefold() == text.strip(_SIGNS).casefold() or is_doubled(bare)
    return math.exp(made.mean_logprob or 0.0) * LONGER**extra * (UNLIKE if is_unlike else 1.0)


def _like(text: str, translation: str) -> str:
    """With the phrase's own sign at the end, and a capital where it has one or its script has none."""
    asked = text.strip().translate(str.maketrans("！？。，", "!?.,"))
    end = asked[len(asked.rstrip(".!?…:;,")) :]
    first = text.strip(_SIGNS)[:1]
    begun = translation[:1].upper() if not first.islower() else translation[:1]
    return begun + translation[1:] + end
