"""What must come through a translation as it is: addresses, code, names in braces, emoji, sums of money, rare letters.

`keep_aside` puts a mark such as X1 in each one's place, which models copy; `restored` puts it back, and `losses` tells
afterwards what is missing. For small translators quotes and dashes are made plain, because their vocabularies have no
other, and come back in the target's own style.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.applications.amounts import NUMBER, WORDED, compared
from engine.applications.code import COMMAND, PLURALS
from engine.applications.emphasis import QUOTE, Emphasis, edges, tags_of, taken_off
from engine.applications.glossary import find_terms

NO_TERMS: Mapping[str, str] = MappingProxyType({})
MARKS = "XZQKJ"
"""First letters of marks, of which one that the sentence does not use is taken."""
LETTERS = {
    "en": "àáâãçéêíóôõú",  # its vocabulary is shared with Portuguese
    "pt": "àáâãçéêíóôõú",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "de": "äöüßàéè",
    "es": "áéíñóúüàçè",
}
"""Letters beyond a to z that a language's vocabulary has; a word with any other is a name or foreign, and kept."""
QUOTES = {"fr": "«\u00a0 \u00a0»", "de": "„ “", "es": "« »", "pt": "“ ”", "en": "“ ”"}
"""Opening and closing quotes of a language, apart by a space."""
POINT_LANGUAGES = ("en", "zh")
"""Write 1,234.5; the others 1.234,5."""

_EMOJI = (
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\u2b50-\u2b55\u231a-\u23ff\u2190-\u21ff"
    "\u200d\ufe0f\u20e3]+"
)
_STRONG = (
    r"`+[^`\n]+`+",
    r"<\|[^|<>\s]{1,40}\|>|</?[A-Za-z][^<>\n]*>",
    r"\{\{[^{}\n]*\}\}|\$?\{[^{}\n]*\}|%\(\w+\)[sdif]|%[sdif]\b",
    r"(?:https?|ftp)://[^\s<>\"»”]*[^\s<>\"»”.,;:!?)\]']|\bwww\.[^\s<>\"»”]*[^\s<>\"»”.,;:!?)\]']",
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    r"(?<![\w/])(?:[~.]{1,2}(?=/)|[A-Za-z]:(?=\\))?(?:[/\\][\w.+~-]+){2,}[/\\]?|(?<![\w/])~/[\w.+/-]*\w",
    r"(?<!\w)[@#]\w[\w-]*",
    COMMAND + r"(?: (?=\S*[-./@:=+~]\w)[-\w./@:=+~]*[\w/])*",
    rf"\b\w+(?:\.\w+)*(?!{PLURALS})\([\w.\"', ]*\)",
    r"\b[\w-]+\.(?:py|js|ts|c|h|cpp|rs|go|sh|txt|md|pdf|docx?|xlsx?|csv|json|ya?ml|toml|html?|css|xml|png|jpe?g|gif|zip|gz|exe|com|org|net|eu)\b",
    r"\b\w+(?:_\w+)+\b|(?<!\w)_{1,2}\w+",
    r"(?<!\S)--?[a-z][\w-]*(?:=\S+)?",
    r"\b\w+\^\w+",
    r"\b[A-Z]{1,6}\d[A-Z\d]+\b",
    r"\b\d+(?:\.\d+){2,}\b|\bv\d+(?:\.\d+)+\b",
    r"\b\d+(?:(?:-\d+){2,}|(?:/\d+){2,})(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)?\b",
    r"(?<![\w+])\+(?=(?:[ ().-]{0,2}\d){8,15}(?!\d))\d[\d ().-]*\d",
    _EMOJI,
)
"""Come through letter by letter."""
_SUM = r"[€£¥₹]\s?\d+(?:[.,\u00a0 ]\d{3})*(?:[.,]\d{1,2})?\b|\d+(?:[.,\u00a0]\d{3})*(?:[.,]\d{1,2})?\s?[€£¥₹]"
_UNIT = r"\s?(?:[kMGT]i?B|[kMG]?Hz|mAh|[kM]?Wh?|kV|km/h|m/s|mph|[kcmµ]?m[²³]?|[kmµ]?g|[cm]?l|dpi|px|kcal)(?![\w²³])"
_PATTERNS = (
    *_STRONG,
    _SUM,
    r"§+\s?\d[\w.]*",
    r"\d*[½¼¾⅓⅔⅛]",
    r"\d+(?:[.,]\d+)?(?:\s?[×÷±*]\s?\d+(?:[.,]\d+)?)+|[≈≤≥≠±~<>]\s?\d+(?:[.,]\d+)?%?",
    r"\d+(?:[.,]\d+)?\s?°\s?[CFK]?",
    rf"\b\d+(?:[.,\u00a0]\d+)*{_UNIT}",
    r"\w+[²³]",
    r"\b\d{1,3}(?:[.,\u00a0]\d{3}){2,}\b|\b\d{7,}\b",
    r"\b[A-Z]+(?:-[A-Z]+)*-\d+(?:-[A-Z\d]+)*\b|\b[A-Z]{2,}-[A-Z]\b|\b\d{3}-\d{3,4}\b|\b\d+[A-Z]\b",
    r"\b[A-Z]{1,3} \d{2,4} [A-Z]{1,3}\b|\b[A-Z]{2,3} \d{2,5}\b|\b\d+\s?h\s\d+\s?min\b",
    r"\b(?!\d+[A-Za-z]{1,3}\b(?!-[A-Z\d]))(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z\d]+(?:-[A-Z\d]+)*\b",
    r"\b(?:Ctrl|Alt|Shift|Cmd|Strg)(?:\+\w+)+",
    r"[\\^{}|<>€£¥§•†‡©®™µ@]|(?<!~)~(?!~)",
)
_LITERAL, _STRONG_LITERAL = re.compile("|".join(_PATTERNS)), re.compile("|".join(_STRONG))
_MARKDOWN = re.compile(r"\*\*|~~|\]\(|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)")
"""Checked too, though models rather keep it where it stands."""
_SPACELESS = re.compile(
    r"((?<!\w)[@#][\u3040-\u30ff\u3400-\u9fff]\w*|://[^\s\u3000-\u9fff\uff01-\uff60]*[/=][\u3040-\u30ff\u3400-\u9fff]+)"
    r"|[\u3000-\u30ff\u3400-\u9fff\uff01-\uff60]"
)
"""Chinese and Japanese letters and signs, but for those of a tag or an address."""
_EDGE = re.compile(rf"^(?:{_EMOJI}\s*)+|(?:\s*{_EMOJI})+$")
_NUMBER, _MEASURED = re.compile(NUMBER), re.compile(rf"({NUMBER})({_UNIT})?")
_TAGGED = re.compile(r"<([A-Za-z][\w-]*)[^<>]*>([^<>]*)</\1>")
MIN_SHOUTED = 3
"""Letters that a name in capitals may have: EU, USA."""
_FIGURES = re.compile(rf"{_SUM}|(?<![^\W\u3400-\u9fff])\d(?:[\d.,:\u00a0]*\d)?(?![^\W\u3400-\u9fff])")
"""A sum, a number, or several with signs between them, as of a clock."""
_RARE = re.compile(r"[^\w\s.,:;!?'\"()/%&+=-]")
"""What a small vocabulary may lack."""
_MONEY = re.compile(r"([€£¥₹])\s?(\d[\d.,\u00a0 ]*\d|\d)|(\d[\d.,\u00a0]*\d|\d)\s?([€£¥₹])")
_OTHER_SIGN = (r"(?:(?<!\d)(?<!\d\s)[$€£¥₹]\s?)?", r"(?:\s?[$€£¥₹](?!\s?\d))?")
"""Before and behind a sum's mark: one that the translator wrote beside it, and no other number's."""
_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")
_QUOTE_SIGNS = re.compile(r"[«‹]\s*|\s*[»›]|[“”„‟]")
_DASHES = re.compile(r"\s*[—–]\s*")


@dataclass(frozen=True)
class Kept:
    """A sentence as the model reads it, and what to put back: marks in order with what they stand for.

    `glued` says of each whether it touched what stands before and behind it; `head` and `tail` are emoji and
    signs of Markdown at the edges; `emphases` is the inline Markdown that was taken off the text.
    """

    text: str
    emphases: tuple[Emphasis, ...] = ()
    literals: tuple[tuple[str, str], ...] = ()
    glued: tuple[tuple[bool, bool], ...] = ()
    head: str = ""
    tail: str = ""
    has_quotes: bool = False
    has_apostrophes: bool = False
    dash: str = ""

    def within(self, text: str) -> str:
        """The text without what stands at its edges."""
        return text.removeprefix(self.head).removesuffix(self.tail)

    def around(self, text: str) -> str:
        """The text with what stands at its edges."""
        return self.head + text + self.tail


def keep_aside(
    sentence: str, source: str, target: str, *, is_small: bool = True, tried: tuple[Kept, str] | None = None,
    terms: Mapping[str, str] = NO_TERMS,
) -> Kept:  # fmt: skip
    """Make the sentence fit for a translator, a small one or a larger model; languages are ISO 639-1 codes.

    `terms` of a glossary are kept aside in any case, and their own translations put back.
    `tried` is what was kept before and what was made of it: numbers that it lost are kept too, while literals whose
    marks it lost stand as they are, unless no small vocabulary could write them.
    """
    emoji = {match.start() == 0: match[0] for match in _EDGE.finditer(sentence)}
    head, tail = emoji.get(True, ""), emoji.get(False, "")
    sentence = sentence[len(head) : len(sentence) - len(tail)]
    letter = next((letter for letter in MARKS if not re.search(rf"\b{letter}\d", sentence)), MARKS[0])
    pieces, literals, glued, place = [], [], [], 0
    own = {(start, end): made for start, end, made in find_terms(sentence, terms)}
    spans = literal_spans(sentence, source if is_small else "", is_small=is_small)
    tags = tags_of(sentence) if is_small else []
    spans = sorted([*own, *(span for span in spans if span not in tags and not _is_within(span, own))])
    spans = spans if tried is None else _needed(sentence, spans, *tried, own, (source, target), is_small=is_small)
    is_emphasised = is_small and not (tried and _lacks_emphasis(*tried))
    spans = spans if is_emphasised else sorted([*spans, *tags])
    for number, (start, end) in enumerate(spans, 1):
        mark = f"{letter}{number}"
        literals.append((mark, own.get((start, end)) or _localised(sentence[start:end], source, target)))
        glued.append((sentence[start - 1 : start].isalnum(), sentence[end : end + 1].isalnum()))
        pieces += [sentence[place:start], " " * glued[-1][0], mark, " " * glued[-1][1]]
        place = end
    text = "".join([*pieces, sentence[place:]])
    text, style = _plain(text) if is_small else (text, (False, False, ""))
    emphases: tuple[Emphasis, ...] = ()
    if is_emphasised:
        opening, text, closing = edges(text)
        head, tail = head + opening, closing + tail
        text, emphases = taken_off(text)
    return Kept(text, emphases, tuple(literals), tuple(glued), head, tail, *style)


def _lacks_emphasis(kept: Kept, made: str) -> bool:
    """Whether words that were emphasised could not be found in what was made."""
    return any(one.opening not in made or one.closing not in made for one in kept.emphases)


def _needed(
    sentence: str, spans: list[tuple[int, int]], kept: Kept, made: str, own: Container[tuple[int, int]],
    languages: tuple[str, str], *, is_small: bool,
) -> list[tuple[int, int]]:  # fmt: skip
    lost = set(missing(made, kept))
    needed = [
        (start, end)
        for (start, end), (_, literal) in zip(spans, kept.literals, strict=True)
        if literal not in lost or (is_small and _RARE.search(literal)) or (start, end) in own
    ]
    numbers = [span for span in map(re.Match.span, _FIGURES.finditer(sentence)) if not _is_within(span, spans)]
    lost_now, invented = losses(sentence, restored(made, kept, ""), languages)
    gone = set(_NUMBER.findall(" ".join(lost_now)))
    if any(map(str.isdecimal, "".join(invented))):  # made of some number here, nobody knows of which
        gone |= set(_NUMBER.findall(sentence))
    return sorted(needed + [(a, b) for a, b in numbers if gone & set(_NUMBER.findall(sentence[a:b]))])


def _is_within(span: tuple[int, int], spans: Iterable[tuple[int, int]]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in spans)


def literal_spans(sentence: str, source: str, *, is_small: bool = True) -> list[tuple[int, int]]:
    """Where literals stand in a sentence, in order; for a small translator also sums, signs and foreign words."""
    apart = _SPACELESS.sub(lambda match: match[1] or "\u3000", sentence)  # letters of what stands beside them to \\w
    found = [match.span() for match in (_LITERAL if is_small else _STRONG_LITERAL).finditer(apart)]
    found += [span for span in _foreign(sentence, source) if not _is_within(span, found)]
    return sorted(found)


def prose(text: str) -> str:
    """The text without its literals."""
    return _changed(text, str, lambda _: " ")


def is_shouted(text: str) -> bool:
    """Whether a sentence is in capitals, which models have hardly read."""
    letters = [letter for letter in prose(text) if letter.isalpha()]
    return len(letters) > MIN_SHOUTED and all(map(str.isupper, letters))


def calm(text: str, language: str) -> str:
    """A sentence in capitals as it is usually written; literals stay."""
    small = _changed(text, str.lower)
    small = re.sub(r"\bi\b", "I", small) if language == "en" else small
    return re.sub(r"[^\W\d_]", lambda match: match[0].upper(), small, count=1)


def shouted(text: str) -> str:
    """A sentence in capitals; literals stay."""
    return _changed(text, str.upper)


def _changed(text: str, change: Callable[[str], str], literal: Callable[[str], str] = str) -> str:
    pieces, place = [], 0
    for start, end in literal_spans(text, "", is_small=False):
        pieces += [change(text[place:start]), literal(text[start:end])]
        place = end
    return "".join([*pieces, change(text[place:])])


def losses(source: str, translation: str, languages: Iterable[str]) -> tuple[list[str], list[str]]:
    """What of the source is missing in its translation, letter by letter or by worth, and what came from nowhere."""
    given, made = Counter(_literals(source)), _literals(translation)
    lost = [literal for literal in given if translation.count(literal) < given[literal]]
    invented = [one for one in dict.fromkeys(made) if one not in source and not any(map(one.startswith, given))]
    amounts = compared(prose(source), prose(translation), is_worded=set(languages) <= WORDED)
    lost += [f"<{tag}>…</{tag}>" for tag, inner in _TAGGED.findall(source) if _is_hollow(translation, tag, inner)]
    return lost + amounts[0], invented + amounts[1]


def _literals(text: str) -> list[str]:
    spans = literal_spans(text, "", is_small=False)
    return [*(text[start:end] for start, end in spans), *_MARKDOWN.findall(prose(text))]


def _is_hollow(translation: str, tag: str, inner: str) -> bool:
    """Whether nothing is left in the translation of the words between two tags."""
    found = [made for name, made in _TAGGED.findall(translation) if name == tag]
    return any(map(str.isalpha, inner)) and bool(found) and not any(map(str.isalpha, "".join(found)))


def plain(text: str) -> str:
    """The text with plain quotes, apostrophes and dashes."""
    return _plain(text)[0]


def missing(translation: str, kept: Kept) -> list[str]:
    """Literals whose mark is not in the translation exactly once."""
    return [literal for mark, literal in kept.literals if len(_mark(mark).findall(translation)) != 1]


def restored(translation: str, kept: Kept, target: str) -> str:
    """The translation with literals put back, and quotes and dashes in the target's style.

    A literal whose mark was lost stands at the end, before the full stop: nothing is lost without a sign.
    """
    text = _styled(translation, kept, target)
    lost = []
    for (mark, literal), (is_before, is_behind) in zip(kept.literals, kept.glued, strict=True):
        pattern = _mark(mark)
        if pattern.search(text):
            before, behind = _OTHER_SIGN if _MONEY.fullmatch(literal) else ("", "")
            whole = re.compile(
                r"\s*" * is_before + before + pattern.pattern + behind + r"\s*" * is_behind, re.IGNORECASE
            )
            text = whole.sub(lambda match, literal=literal: literal, text, count=1)  # type: ignore[misc]
            text = pattern.sub("", text)
        else:
            lost.append(literal)
    if lost:
        end = re.search(r"[\s.!?…]*$", text)
        at = end.start() if end else len(text)
        text = f"{text[:at]} {' '.join(lost)}{text[at:]}"
    return kept.around(text.replace(QUOTE, '"'))


def _mark(mark: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W\d]){mark[0]}\s?{mark[1:]}(?!\d)", re.IGNORECASE)


def _foreign(sentence: str, source: str) -> Iterable[tuple[int, int]]:
    """Words of letters that the source language's vocabulary does not have."""
    if source not in LETTERS:
        return
    known = set("abcdefghijklmnopqrstuvwxyz'-" + LETTERS[source])
    for match in _WORD.finditer(sentence):
        letters = {letter for letter in match[0].lower() if letter not in known}
        if letters and all("LATIN" in unicodedata.name(letter, "") for letter in letters):
            yield match.span()


def _localised(literal: str, source: str, target: str) -> str:
    """Numbers and money as the target writes them: 5 € and 1.234,50 €, or €5 and €1,234.50; 4,5 kg or 4.5 kg."""
    is_other = (source in POINT_LANGUAGES) != (target in POINT_LANGUAGES)
    if match := _MONEY.fullmatch(literal):
        sign, amount, unit = match[1] or match[4], match[2] or match[3], ""
    elif match := _MEASURED.fullmatch(literal) if is_other else None:
        sign, amount, unit = "", match[1], match[2] or ""
    else:
        return literal
    separators = re.sub(r"\d", "", amount)
    if target in POINT_LANGUAGES:
        if separators and re.fullmatch(r"\d{1,3}(?:[.\u00a0 ]\d{3})*(?:,\d{1,2})?", amount):
            amount = amount.replace(".", "\u00a0").replace(",", ".").replace("\u00a0", ",").replace(" ", ",")
        return sign + amount + unit
    if separators and re.fullmatch(r"\d{1,3}(?:,\d{3})*(?:\.\d{1,2})?", amount):
        group = "\u00a0" if target == "fr" else "."
        amount = amount.replace(",", "\u2060").replace(".", ",").replace("\u2060", group)
    return f"{amount}\u00a0{sign}" if sign else amount + unit


def _plain(text: str) -> tuple[str, tuple[bool, bool, str]]:
    """The text with plain quotes, apostrophes and dashes, and which of them it had in another form."""
    plain = _QUOTE_SIGNS.sub('"', text)
    has_quotes = plain != text
    even = re.sub(r"[’‘‚]", "'", plain)
    dash = next((found[0].strip() for found in [_DASHES.search(even)] if found), "")
    spaced = re.sub(r"(?<=\d)\s*[–—]\s*(?=\d)", "-", even)
    spaced = re.sub(r"\s*[—–]\s*", " - ", spaced).strip()
    return spaced.replace("…", "..."), (has_quotes, even != plain, dash)


def _styled(text: str, kept: Kept, target: str) -> str:
    text = _QUOTE_SIGNS.sub('"', text) if kept.has_quotes else text  # some of which a translator may have written
    if kept.has_quotes and target in QUOTES and text.count('"') % 2 == 0:
        opening, closing = QUOTES[target].split(" ")
        signs = iter([opening, closing] * (text.count('"') // 2))
        text = re.sub('"', lambda _: next(signs), text)
    if kept.has_apostrophes:
        text = re.sub(r"(?<=\w)'(?=\w)", "’", text)
    if kept.dash:
        text = re.sub(r" - ", f" {kept.dash} ", text)
        text = re.sub(r"(?<=\d)-(?=\d)", "–", text)
    return text
