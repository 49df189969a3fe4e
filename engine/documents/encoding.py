"""Text from bytes: UTF-8, UTF-16, UTF-32, and a guess, named as one, at encodings of one byte a letter."""

from __future__ import annotations

import re
import unicodedata
from itertools import islice

from engine.errors import InputError
from engine.messages import Text

MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}  # fmt: skip
OLD = {
    "cp1252": "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "mac_roman": "Mac Roman",
    "cp850": "DOS 850",
}  # fmt: skip
"""Encodings that are guessed at, the likeliest first, and their names for people."""
LOOKED_AT, SHOWN_WORDS = 500, 4
MOST_ODD = 0.2
"""Share of letters in odd places up to which an encoding is believed."""


def decoded(content: bytes) -> tuple[str, Text | None]:
    """The text, and a word where its encoding is guessed. Raises InputError with the line that is something else."""
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "") or _without_mark(content)
    note = None
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding.startswith(("utf-16", "utf-32")):
            raise InputError(
                "is {encoding} text with a damaged character. Save it as UTF-8.", encoding=encoding[:6].upper()
            ) from None
        text, note = _guessed(content, error)
    if "\0" in text:
        raise InputError(
            "at line {number}: this holds zero bytes, so it is no text file.",
            number=text.count("\n", 0, text.index("\0")) + 1,
        )  # fmt: skip
    return text, note


def _without_mark(content: bytes) -> str:
    """UTF-16 of letters that ASCII has: every other byte is zero."""
    first = content[: min(len(content) & ~1, 4000)]
    low, high = first[::2].count(0), first[1::2].count(0)
    if high > 0.4 * len(first) / 2 and not low:
        return "utf-16-le"
    return "utf-16-be" if low > 0.4 * len(first) / 2 and not high else ""


def _guessed(content: bytes, error: UnicodeDecodeError) -> tuple[str, Text | None]:
    text = content.decode("utf-8", "replace")
    whole = sum(1 for _ in islice(re.finditer("[^\0-\x7f\ufffd]", text), 1_000_000))
    if whole > 3 * text.count("\ufffd"):  # UTF-8 with some damage, which the preflight names
        return text, None
    sample = b"\n".join(islice(re.findall(rb"[^\r\n]{0,30}[\x80-\xff][^\r\n]{0,30}", content[:2_000_000]), LOOKED_AT))
    oddness = {name: _oddness(sample.decode(name, "replace")) for name in OLD}
    best = min(oddness, key=lambda name: oddness[name])
    if oddness[best] > MOST_ODD:
        raise InputError(
            "at line {number}: this is not UTF-8 text (byte {byte}), perhaps another old encoding. "
            "Save the file as UTF-8.",
            number=content.count(b"\n", 0, error.start) + 1, byte=f"0x{content[error.start]:02x}",
        )  # fmt: skip
    words = re.findall(r"\w*[^\W\d_\0-\x7f]\w*|\S*[^\s\0-\x7f]\S*", sample.decode(best, "replace"))
    shown = Text(
        "The file does not say its encoding. It is read as {encoding}, a guess, with words such as {words}. "
        "If they are wrong, save the file as UTF-8.",
        encoding=OLD[best], words=[f"“{word[:30]}”" for word in dict.fromkeys(words)][:SHOWN_WORDS],
    )  # fmt: skip
    return content.decode(best, "replace"), shown


def _oddness(text: str) -> float:
    """Share of the letters beyond ASCII that stand where no word has them."""
    places = [place for place, char in enumerate(text) if char > "\x7f"]
    return sum(_is_odd(f"  {text} "[place : place + 4]) for place in places) / max(1, len(places))


def _is_odd(around: str) -> bool:
    """Whether the third of four characters is in an odd place."""
    first, before, char, after = tuple(around)
    if not char.isalpha():
        is_inside = before.isalpha() and (after.isalpha() or char in "‚„ˆ†‡‹")
        return (is_inside and char not in "’‘·\xad") or char == "\ufffd" or unicodedata.category(char) == "Cc"
    if before.isalpha() and (before < "\u0250") != (char < "\u0250"):  # two scripts in a word
        return True
    is_run = all("\x7f" < letter < "\u0250" and letter.isalpha() for letter in (first, before, char))
    return is_run or (char.isupper() and before.islower())
