"""Terms with translations of their own: found in a sentence, kept aside from the translator, and put back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from engine.errors import InputError, TooLargeError

MAX_TERMS, MAX_TERM_CHARACTERS = 500, 100
_BETWEEN = re.compile(r"\s*(?:=>|->|→|=|\t)\s*")


def read_terms(lines: Sequence[str]) -> dict[str, str]:
    """Terms in small letters with their translations, of lines like "invoice = facture". Raises InputError."""
    terms: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not isinstance(line, str) or not line.strip():
            continue
        term, *rest = _BETWEEN.split(line.strip(), maxsplit=1)
        if not rest or not term or not rest[0]:
            raise InputError(
                "Line {number} of the glossary is no pair. Write it like: invoice = facture.", "glossary", number=number
            )
        if max(len(term), len(rest[0])) > MAX_TERM_CHARACTERS or len(terms) >= MAX_TERMS:
            raise TooLargeError(
                "A glossary holds up to {most} terms of {length} characters. Shorten it.", "glossary",
                most=MAX_TERMS, length=MAX_TERM_CHARACTERS,
            )  # fmt: skip
        terms[term.casefold()] = rest[0]
    return terms


def find_terms(sentence: str, terms: Mapping[str, str]) -> list[tuple[int, int, str]]:
    """Where terms stand as whole words, the longest first where several could, and what must come of each.

    One that begins with a capital there, and not in the glossary, gets one.
    """
    if not terms:
        return []
    longest_first = sorted(terms, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
    found = []
    for match in pattern.finditer(sentence):
        made = terms.get(match[0].casefold(), match[0])
        is_first = not sentence[: match.start()].strip(" \"'“«([")
        found.append((*match.span(), made[:1].upper() + made[1:] if is_first and match[0][:1].isupper() else made))
    return found


def for_legs(lines: Sequence[str], count: int) -> list[list[str]]:
    """The glossary of each model on the way: through English a term is kept as a sign that no translator touches."""
    if count < 2 or not lines:
        return [list(lines)] * count
    terms = read_terms(lines)
    first = [f"{term} = {{{{{number}}}}}" for number, term in enumerate(terms)]
    return [first, [f"{{{{{number}}}}} = {made}" for number, made in enumerate(terms.values())]]
