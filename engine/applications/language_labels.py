"""A language's name and a colon before a sentence: "German: Der Hund bellt."

A model whose prompt has such labels takes them for its own and leaves them out, so they are put aside, and stand before
the translation as the target says them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from engine.applications.languages import SPACELESS
from engine.applications.segments import Segment

_LABEL = re.compile(r"([^\W\d_]{2,14})\s?[:：]\s*")


@cache
def _names() -> dict[str, list[str]]:
    """Names of the same languages in each of some."""
    file = tomllib.loads(Path(__file__).with_name("translate.toml").read_text(encoding="utf-8"))
    return {code: line.split(" | ") for code, line in file["called"].items()}


def labels_aside(segments: Iterable[Segment], target: str) -> list[Segment]:
    """The segments with such labels moved into what stands before their text."""
    found, kept = list[Segment](), ""
    for segment in segments:
        match, before, text = _LABEL.match(segment.text), segment.before, segment.text
        if match and (name := _said(match[1], target)):
            before = before or " " * (bool(found) and target not in SPACELESS)
            before += name + {"zh": "：", "fr": "\u00a0: "}.get(target, ": ")
            text = text[match.end() :]
        kept += before
        if text or not match:
            found.append(Segment(kept, text))
            kept = ""
    return [*found, Segment(kept.rstrip(" "), "")] if kept else found


def _said(name: str, target: str) -> str:
    """A language's name in the target, written as large as it was; "" of what is none."""
    places = {_plain(one): place for names in _names().values() for place, one in enumerate(names)}
    place = places.get(_plain(name))
    if place is None:
        return ""
    said = _names()[target][place] if target in _names() else name
    return said.upper() if name.isupper() else said.lower() if name.islower() else said


def _plain(name: str) -> str:
    """Without capitals; 英文 and 英语 are the same."""
    return re.sub("文$", "语", name.casefold())
