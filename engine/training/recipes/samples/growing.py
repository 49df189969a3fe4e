"""Sentences from templates: `[one|other]` is a choice, `{name}` a slot, `a` becomes `an` where it must."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

CHOICE = re.compile(r"\[([^\[\]]*)\]")


def grow(chance: random.Random, template: str, slots: Mapping[str, str] | None = None) -> str:
    """A text from a template: choices from the inside out, then slots, then articles and capitals."""
    while "[" in template:
        template = CHOICE.sub(lambda match: chance.choice(match[1].split("|")), template)
    text = template.format_map(slots or {})
    text = re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", text)
    text = re.sub(r" +", " ", text).replace(" \n", "\n").strip()
    return re.sub(r"(^|[.!?:] \u201c|[.!?] |\n)([a-z])", lambda match: match[1] + match[2].upper(), text)


def words(text: str) -> list[str]:
    """Phrases parted by commas or line ends."""
    return [word.strip() for word in re.split(r"[,\n]", text) if word.strip()]
