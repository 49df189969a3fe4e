"""Numbers and sums of money by what they are worth, so that a translation's can be compared with its source's.

A point or a comma may be the decimal mark or part thousands: what can be read in two ways has both values, and is the
same as a number that has one of them. Numbers in words are looked for where a number is missing, and never missed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

Values = frozenset[Fraction]

NUMBER = r"(?<!\d)(?:\d{1,3}(?:[.,\u00a0\u2009\u202f' ]\d{3}(?!\d))+(?:[.,]\d+)?|\d+(?:[.,]\d+)?)"
SPELLED = 12
"""Numbers up to here may be written in words."""
NUMBER_WORD = re.compile(
    r"hundred|thousand|million|teen\b|twenty|thirty|fifty|half|quarter|cent\b|mille\b|demie|vingt|hundert|tausend|halb"
    r"|zwanzig|ßig\b|zig\b|cien|mil\b|veinte|media|vinte|cem\b|meia|[百千万亿半两十]",
    re.IGNORECASE,
)
_CURRENCIES = {
    r"€|EUR|euros?|欧元": ("EUR",),
    r"£|GBP|英镑": ("GBP",),
    r"(?:pounds?|pfund|libras?|livres?)(?: sterling| esterlinas?)?|磅": ("GBP", ""),
    r"\$": ("USD", "MXN"),
    "pesos?|比索": ("MXN",),
    r"(?:US|HK|A|C)\$|USD|US-dollars?|dollars?|dólar(?:es)?|美元|美金|港元|港币|加元|澳元": ("USD",),
    "¥": ("CNY", "JPY"),
    r"CNY|RMB|yuans?|renminbi|人民币|元": ("CNY",),
    "块钱?": ("CNY", ""),
    r"JPY|yen(?:es)?|日元|円": ("JPY",),
    r"₹|INR|rupees?|rupien?|rupias?|roupies?|卢比": ("INR",),
    r"R\$|BRL|reais": ("BRL",),
    r"CHF|francs?|franken|francos?|法郎": ("CHF",),
}
"""Signs, codes and words, with the currencies that each may stand for; "" where it may be something else."""
_MONEY = "|".join(sorted(_CURRENCIES, key=len, reverse=True))
_ANY_MONEY = re.compile(rf"(?<![a-z])(?:{_MONEY})(?![a-z])", re.IGNORECASE)
_KINDS = [(re.compile(pattern, re.IGNORECASE), frozenset(kinds)) for pattern, kinds in _CURRENCIES.items()]
_TIMES = {
    r"hundred|hundert|cien(?:tos)?": (2,),
    r"thousand|tausend|tsd|mille|mil": (3,),
    r"millions?|millionen|mio|millón|millones|milhão|milhões": (6,),
    r"milliards?|milliarden|mrd": (9,),
    r"billions?": (9, 12),
    r"billionen|billón|billones": (12,),
    r"trillions?": (12, 18),
    **{sign: (power,) for sign, power in (("亿", 8), ("万", 4), ("千", 3), ("百", 2), ("十", 1))},
    **{"k": (0, 3), "m": (0, 6), "bn": (9,)},
}
"""What a word multiplies a number by, as powers of ten, of which languages have different ones; a letter may be a
unit, and stands right behind its number."""
_TIMES_WORD = "|".join(pattern for pattern in _TIMES if len(pattern) > 2)
_TIMES_PATTERN = rf"(?:[\s-]?(?:{_TIMES_WORD})\b\.?|\s?(?:[万亿]|千(?![克米瓦])|百(?!分)))+"
_UNIT = (
    r"\s?-?(?:[°℃%‰度克米升]|公[里斤尺]|千[克米]|厘米|毫[米升]|[kcm]?m|[km]?g|m?l|t|mi|ft|(?:kilo|centi|milli)?"
    r"(?:met(?:er|re)s?|mètres?|gramm?e?s?|lit(?:er|re)s?)|(?:kil[óo]|cent[íi])?(?:metros?|gramos?|litros?)|kilos?"
    r"|miles?|millas?|meilen?|pounds?|pfund|grad|degrees?|grados?|degrés?|graus|per ?cent|prozent|por ciento"
    r"|pour ?cent)(?![a-z])"
)
_CLOCK = r"(?<![\d.,:])\d{1,2}(?:\s?[:h]\s?\d{2}(?![\d:])|[点时](?:\d{2}分?|半|钟)?)"
_AMOUNT = re.compile(
    rf"(?:(?<![a-z])(?P<before>(?:US|HK|R|A|C)?\$|[€£¥₹]|EUR|USD|GBP|CNY|RMB|JPY|CHF|INR|BRL|人民币)\s?)?"
    rf"(?:(?P<clock>{_CLOCK})|(?P<number>{NUMBER}))(?P<times>{_TIMES_PATTERN}|(?:k|m|bn)(?![\w]))?"
    rf"(?:[\s\u00a0-]?(?:de |d['’])?(?P<behind>{_MONEY})(?![a-z]))?(?P<unit>{_UNIT})?"
    r"(?P<hour>\s?(?:uhr|o['’]clock|[ap]\.?\s?m\b))?",
    re.IGNORECASE,
)
_HOUR_BEFORE = re.compile(r"\b(?:at|um|à|às|las)\s$", re.IGNORECASE)
_QUARTERS = re.compile(r"half|quarter|halb|viertel|media|cuarto|demie|quart|meia|[半刻]", re.IGNORECASE)
_CLOCK_WORDS = re.compile(r"\d|clock|noon|midi|mittag|mediod|meio", re.IGNORECASE)
_DECADE = re.compile(r"(\d{1,2})\s?世纪\s?(\d0)\s?(?=年代)")
_JOINED = re.compile(r"\s*(?:[-–—~～/、,至到和或]|bis|to|or|and|und|oder|a|à|o|u|ou|y|et|e)\s*", re.IGNORECASE)
"""Between two numbers that share what stands behind the second, or before the first."""
_WORDS = (
    "zero|null|cero|zéro",
    "one|an?|eine?[mnrs]?|una?|uno|une|uma?",
    "two|both|couple|zwei|beide[nrs]?|dos|ambos|deux|dois|duas",
    "three|drei|tres|trois|três",
    "four|vier|cuatro|quatre|quatro",
    "five|fünf|cinco|cinq",
    "six|sechs|seis",
    "seven|sieben|siete|sept|sete",
    "eight|acht|ocho|huit|oito",
    "nine|neun|nueve|neuf|nove",
    "ten|zehn|diez|dix|dez",
    "eleven|elf|once|onze",
    "twelve|dozen|zwölf|dutzend|doce|docena|douze|douzaine|doze",
    "thirteen|dreizehn|trece|treize|treze",
    "fourteen|vierzehn|catorce|quatorze|catorze",
    "fifteen|fünfzehn|quince|quinze",
    "sixteen|sechzehn|dieciséis|seize|dezesseis",
    "seventeen|siebzehn|diecisiete|dix-sept|dezessete",
    "eighteen|achtzehn|dieciocho|dix-huit|dezoito",
    "nineteen|neunzehn|diecinueve|dix-neuf|dezenove",
    "twenty|zwanzig|veinte|vingt|vinte",
)
_TENS = (
    "thirty|dreißig|treinta|trente|trinta",
    "forty|vierzig|cuarenta|quarante|quarenta",
    "fifty|fünfzig|cincuenta|cinquante|cinquenta",
    "sixty|sechzig|sesenta|soixante|sessenta",
    "seventy|siebzig|setenta|soixante-dix",
    "eighty|achtzig|ochenta|quatre-vingts?|oitenta",
    "ninety|neunzig|noventa|quatre-vingt-dix",
)
_NUMBERS = [*enumerate(_WORDS), *zip(range(30, 100, 10), _TENS, strict=True)]
WORDED = frozenset({"en", "fr", "de", "es", "pt", "zh"})
"""Languages whose words these are; what others say in words is not known."""
_VALUES = [(value, re.compile(words, re.IGNORECASE)) for value, words in _NUMBERS]
_WORD = rf"(?P<word>{'|'.join(words for _, words in reversed(_NUMBERS))})"
_WORDED = (
    re.compile(rf"\b{_WORD}\b(?P<many>{_TIMES_PATTERN})?", re.IGNORECASE),
    re.compile(rf"\b{_WORD}?[\s-]?(?P<many>{_TIMES_PATTERN})", re.IGNORECASE),
)
"""A number in words, which may be written together with what multiplies it, or be left out before that."""
_ROMAN = re.compile(r"\b[IVX]+(?=[eº]?\b)")
_HAN = re.compile(r"[〇零一二两三四五六七八九十百千万亿]+")
_HAN_DIGITS = "〇一二三四五六七八九"
NO_VALUES: Values = frozenset()


@dataclass(frozen=True)
class Amount:
    """A number of a text, with what it may be worth and the currency that stands beside it."""

    text: str
    span: tuple[int, int]
    values: Values
    currency: frozenset[str] = frozenset()
    times: Values = frozenset({Fraction(1)})
    is_measured: bool = False
    """A unit or a currency stands beside it."""
    clock: int | None = None
    """Minutes on a dial of twelve hours, where it can be a time."""
    is_clock: bool = False
    """It cannot be anything else."""
    parts: Values = NO_VALUES
    """Of a time, or of what a space may part: the numbers by themselves."""

    @property
    def is_small(self) -> bool:
        """Whether a language rather writes it in words."""
        return bool(self.values) and all(value.denominator == 1 and value <= SPELLED for value in self.values)

    def in_figures(self) -> Amount:
        """It without what only words beside it tell, where these are not known on the other side."""
        bare = frozenset(value / factor for value in self.values for factor in self.times)
        return replace(self, values=self.values | bare, currency=frozenset(), is_measured=False)

    def is_same(self, other: Amount) -> bool:
        """Whether a translation's number can stand for this one."""
        is_time = self.is_clock or other.is_clock
        if is_time and self.clock is not None and self.clock == other.clock:
            return True
        if self.parts and self.parts == other.parts:
            return True
        return bool(self.values & (other.values | (other.parts if other.is_clock else NO_VALUES)))


def compared(source: str, translation: str, *, is_worded: bool) -> tuple[list[str], list[str]]:
    """Numbers and sums of a source for which none of its translation stands, and those of it that came from nowhere.

    `is_worded` is whether both are in languages whose words are known here; else figures alone are compared.
    """
    source, translation = (
        _DECADE.sub(lambda match: f"{int(match[1]) - 1}{match[2]}", text) for text in (source, translation)
    )
    given, made = ([one if is_worded else one.in_figures() for one in amounts(text)] for text in (source, translation))
    said, is_told = _in_words(translation), NUMBER_WORD.search(source) is not None
    stray = [
        other
        for other in made
        if not is_told and not any(one.is_same(other) or one.parts & other.values for one in given)
    ]
    lost, foreign = [], []
    for one in given:
        found = [other.currency for other in made if one.is_same(other)]
        is_there = bool(found) or _is_said(one, made, said, translation, is_worded, bool(stray))
        if not is_there or not _is_paid(one.currency, found, translation):
            lost.append(one.text)
        elif found and not one.currency and not any(_is_paid(other, [], source) for other in found):
            foreign += [other.text for other in made if one.is_same(other)]
    is_timeless = not _CLOCK_WORDS.search(source)
    invented = [
        other.text for other in stray if (is_timeless if other.is_clock else max(other.values, default=0) >= 100)
    ]
    return lost, [*invented, *dict.fromkeys(foreign)]


def _is_said(
    one: Amount, made: Iterable[Amount], said: Values, translation: str, is_worded: bool, has_stray: bool
) -> bool:  # fmt: skip
    """Whether a number that is in no figures of a translation is there in another way, or may be."""
    every = said.union(*(other.values for other in made))
    if one.values & said or (one.parts and one.parts <= every):
        return True
    if one.clock is not None and one.clock % 15 == 0 and _QUARTERS.search(translation):
        return True
    return one.is_small and not (is_worded and (one.is_measured or has_stray))


def _is_paid(currency: frozenset[str], others: Collection[frozenset[str]], text: str) -> bool:
    """Whether a sum's currency stands beside one of the others, or beside none of them and elsewhere in their text."""
    if not currency or "" in currency or any(currency & other for other in others):
        return True
    return not (others and all(others)) and any(currency & kinds for kinds in _mentioned(text))


def _mentioned(text: str) -> list[frozenset[str]]:
    return [_currency(match[0]) for match in _ANY_MONEY.finditer(text)]


def amounts(text: str) -> list[Amount]:
    """The numbers of a text in figures, in order."""
    found: list[Amount] = []
    for match in _AMOUNT.finditer(text):
        one = _read(text, match)
        last = found[-1] if found else None
        between = text[last.span[1] : one.span[0]] if last else ""
        if last and not between and text[last.span[1] - 1] in "千万亿":  # 1亿2000万
            values = frozenset(a + b for a in last.values for b in one.values)
            one = replace(one, values=values, text=last.text + one.text, span=(last.span[0], one.span[1]))
            found.pop()
        elif last and _JOINED.fullmatch(between):
            found[-1], one = _sharing(last, one)
        found.append(one)
    return found


def _read(text: str, match: re.Match[str]) -> Amount:
    times = _times(match["times"] or "")
    sign = match["before"] or match["behind"] or ""
    hours, minutes, values, parts = None, 0, NO_VALUES, NO_VALUES
    if clock := match["clock"]:
        numbers = [int(one) for one in re.findall(r"\d+", clock)]
        hours, minutes = numbers[0], numbers[1] if len(numbers) > 1 else 30 * ("半" in clock)
        whole = frozenset(map(Fraction, numbers))
        values, parts = (whole, NO_VALUES) if len(numbers) == 1 else (NO_VALUES, whole)
    else:
        number = match["number"]
        values = frozenset(value * factor for value in _values(number) for factor in times)
        if clock := re.fullmatch(r"(\d{1,2})(?:\.(\d\d))?", number):
            hours, minutes = int(clock[1]), int(clock[2] or 0)
        parts = frozenset(map(Fraction, number.split(" "))) if re.fullmatch(r"\d+(?: \d+)+", number) else NO_VALUES
    is_measured = bool(sign or match["unit"])
    is_time = hours is not None and hours <= 24 and minutes < 60 and not is_measured and not match["times"]
    is_marked = bool(match["clock"] or match["hour"] or _HOUR_BEFORE.search(text, 0, match.start()))
    return Amount(
        match[0].strip(), match.span(), values, _currency(sign), times, is_measured,
        (hours % 12) * 60 + minutes if is_time and hours is not None else None, is_time and is_marked, parts,
    )  # fmt: skip


def _sharing(one: Amount, other: Amount) -> tuple[Amount, Amount]:
    """Two numbers of a range or a list: 2-3 million, €20 or 30."""
    if len(one.times) == 1 and 1 in one.times and 1 not in other.times:
        one = replace(one, values=one.values | {a * b for a in one.values for b in other.times})
    if other.currency and not one.currency:
        one = replace(one, currency=other.currency | {""})
    elif one.currency and not other.currency:
        other = replace(other, currency=one.currency | {""})
    return one, other


def _values(number: str) -> Values:
    """What a number may be worth: 1.250 is 1250, or one and a quarter."""
    first, *groups = re.split(r"\D", number)
    signs = re.sub(r"\d", "", number)
    is_parted = bool(groups) and all(len(group) == 3 for group in groups) and first[0] != "0"
    found = {Fraction(first + "".join(groups))} if not groups or (is_parted and len(set(signs)) == 1) else set()
    if groups and signs[-1] in ".," and signs.count(signs[-1]) == 1:
        found.add(Fraction(f"{first}{''.join(groups[:-1])}.{groups[-1]}"))
    return frozenset(found or {Fraction(first + "".join(groups))})


def _times(words: str) -> Values:
    """By what such words multiply."""
    found = {Fraction(1)}
    for word in re.findall(r"[百千万亿]|[^\W\d_百千万亿]+", words):
        powers = next(powers for pattern, powers in _TIMES.items() if re.fullmatch(pattern, word, re.IGNORECASE))
        found = {value * 10**power for value in found for power in powers}
    return frozenset(found)


def _currency(sign: str) -> frozenset[str]:
    """What a sign, a code or a word may stand for; nothing where there is none."""
    return next((kinds for pattern, kinds in _KINDS if pattern.fullmatch(sign)), frozenset())


def _in_words(text: str) -> Values:
    """What the number words of a text may be worth: those up to twelve, these times a million and the like, 两百万."""
    found = set[Fraction]([*map(_of_han, _HAN.findall(text)), *map(_of_roman, _ROMAN.findall(text))])
    for match in (match for pattern in _WORDED for match in pattern.finditer(text)):
        word = match["word"]
        value = next(value for value, words in _VALUES if words.fullmatch(word)) if word else 1
        found |= {value * factor for factor in _times(match["many"] or "")}
    return frozenset(found)


def _of_han(text: str) -> Fraction:
    """A number in Chinese characters: 十四亿, 二〇二四, 三百零五."""
    text = text.replace("两", "二").replace("零", "〇")
    for sign in "亿万千百十":
        if sign in text:
            before, _, behind = text.rpartition(sign)
            return (_of_han(before) if before.strip("〇") else 1) * Fraction(10) ** _TIMES[sign][0] + _of_han(behind)
    digits = "".join(str(_HAN_DIGITS.index(sign)) for sign in text)
    return Fraction(int(digits or 0))


def _of_roman(text: str) -> Fraction:
    """A century: XVIII, XIX."""
    values = [{"I": 1, "V": 5, "X": 10}[letter] for letter in text]
    return Fraction(sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True)))
