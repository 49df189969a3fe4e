"""What must stay as it is in a translation: addresses, code, names in braces, emoji, sums of money, rare letters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LETTERS = {"fr": "àâæçéèêëîïôœùûüÿ", "de": "äöüß", "es": "áéíñóúü", "pt": "áâãàçéêíóôõú", "en": "éèêçïà"}
"""Letters beyond a to z that a language's vocabulary has; a word with any other is a name or foreign, and kept."""
_EMOJI = (
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\u2b50-\u2b55\u231a-\u23ff\u2190-\u21ff"
    "\u200d\ufe0f\u20e3]+"
)
_PATTERNS = (
    r"`+[^`\n]+`+",
    r"</?[A-Za-z][^<>\n]*>",
    r"\{\{[^{}\n]*\}\}|\$?\{[^{}\n]*\}|%\(\w+\)[sdif]|%[sdif]\b",
    r"(?:https?|ftp)://[^\s<>\"»”]*[^\s<>\"»”.,;:!?)\]']|\bwww\.[^\s<>\"»”]*[^\s<>\"»”.,;:!?)\]']",
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    r"(?<![\w/])(?:[~.]{1,2}(?=/)|[A-Za-z]:(?=\\))?(?:[/\\][\w.+~-]+){2,}[/\\]?|(?<![\w/])~/[\w.+/-]*\w",
    r"(?<!\w)[@#]\w[\w-]*",
    r"\b\w+(?:\.\w+)*\(\w*\)",
    r"\b\w+(?:_\w+)+\b|(?<!\w)_{1,2}\w+",
    r"(?<!\S)--?[a-z][\w-]*(?:=\S+)?",
    r"\b[\w-]+\.(?:py|js|ts|c|h|cpp|rs|go|sh|txt|md|pdf|docx?|xlsx?|csv|json|ya?ml|toml|html?|css|xml|png|jpe?g|gif|zip|gz|exe|com|org|net|eu)\b",
    r"[€£¥₹]\s?\d+(?:[.,\u00a0 ]\d{3})*(?:[.,]\d{1,2})?\b|\d+(?:[.,\u00a0]\d{3})*(?:[.,]\d{1,2})?\s?[€£¥₹]",
    r"§+\s?\d[\w.]*",
    r"\d*[½¼¾⅓⅔⅛]",
    r"\d+(?:[.,]\d+)?\s?[×÷±]\s?\d+(?:[.,]\d+)?|[≈≤≥≠±~<>]\s?\d+(?:[.,]\d+)?%?",
    r"\d+(?:[.,]\d+)?\s?°\s?[CFK]?",
    r"\b\d+(?:\.\d+){2,}\b|\bv\d+(?:\.\d+)+\b",
    _EMOJI,
    r"[\\^~{}|<>€£¥§•†‡©®™µ]",
)
_LITERAL = re.compile("|".join(_PATTERNS))
_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")


def literal_spans(sentence: str, source: str) -> list[tuple[int, int]]:
    """Where literals stand in a sentence, in order."""
    found = [match.span() for match in _LITERAL.finditer(sentence)]
    found += [span for span in _foreign(sentence, source) if not any(a < span[1] and span[0] < b for a, b in found)]
    return sorted(found)


def plain(text: str) -> str:
    """The text with plain quotes, apostrophes and dashes, because small vocabularies have no other."""
    plain = re.sub(r"[«‹]\s*|\s*[»›]|[“”„‟]", '"', text)
    plain = re.sub(r"[’‘‚]", "'", plain)
    plain = re.sub(r"(?<=\d)\s*[–—]\s*(?=\d)", "-", plain)
    plain = re.sub(r"\s*[—–]\s*", " - ", plain).strip()
    return plain.replace("…", "...")


def _foreign(sentence: str, source: str) -> Iterable[tuple[int, int]]:
    """Words of letters that the source language's vocabulary does not have."""
    if source not in LETTERS:
        return
    known = set("abcdefghijklmnopqrstuvwxyz'-" + LETTERS[source])
    for match in _WORD.finditer(sentence):
        letters = {letter for letter in match[0].lower() if letter not in known}
        if letters and all("LATIN" in unicodedata.name(letter, "") for letter in letters):
            yield match.span()
