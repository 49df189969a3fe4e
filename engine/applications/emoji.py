"""Emoji that say how somebody feels, chosen and judged for this project: those that hardly anybody reads otherwise;
and faces made of signs, `:-)`, where they are all that a text has (in a sentence the models read them)."""

from __future__ import annotations

import re

POSITIVE = "😀😃😄😁😆😂🤣😊🙂☺😇😍🥰😘😻😋😎🤩🥳🤗👍👏🙌💪❤💕💖💗💙💚💛🧡💜🎉🎊🌟🏆💯😌👌"
NEGATIVE = "😢😭😞😔😟😕🙁☹😣😖😫😩😤😠😡🤬👎💔😨😰😓😥🤮🤢😒🙄💩😿😾🤦"
_SIGNS = "\ufe0f\u200d\U0001f3fb-\U0001f3ff♀♂"
"""What changes an emoji's look only."""
_KNOWN = re.compile(f"([{POSITIVE}{NEGATIVE}])[{_SIGNS}]*")
_FACES = re.compile(r"(?<!\S)(?:([:;=]-?[)\]D]|<3+|[xX]D+|\^_?\^)|>?[:;=]'?-?[(\[]|D:|</3+)(?=[\s.!?]|$)")
"""Its group is one that is glad."""
_WORD = re.compile(r"[^\W_xXD3]{2}")
"""The beginning of one that no face has, which nearly every text has at once."""
CERTAIN = 0.9
"""Probability of what one emoji says."""


def polarity(text: str) -> float | None:
    """The mean of a text's emoji, from -1 (negative) to 1 (positive); None where it has none of these."""
    signs = [1.0 if match[1] in POSITIVE else -1.0 for match in _KNOWN.finditer(text)]
    signs += [1.0 if match[1] else -1.0 for match in _FACES.finditer(text)] if _has_no_words(text) else []
    return sum(signs) / len(signs) if signs else None


def without(text: str) -> str:
    """The text without these emoji."""
    if _has_no_words(text):
        text = _FACES.sub(" ", text).strip()
    if text.isascii():
        return text
    return re.sub(r"[^\S\n]+", " ", _KNOWN.sub(" ", text)).strip()


def _has_no_words(text: str) -> bool:
    return not (_WORD.search(text) or any(map(str.isalnum, _FACES.sub("", text))))


def shares(polarity: float) -> dict[str, float]:
    """The probability of each sentiment for a polarity."""
    rest = (1 - CERTAIN) / 2
    strength = abs(polarity)
    told = rest + (CERTAIN - rest) * strength
    other, neutral = rest, 1 - told - rest
    positive, negative = (told, other) if polarity >= 0 else (other, told)
    return {"negative": negative, "neutral": neutral, "positive": positive}
