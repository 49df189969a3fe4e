"""Verse in a form, line by line: several candidates each, of which code keeps those that fit and ranking takes one.

Where the runtime can, a grammar keeps candidates to lines of words, and a line that has to rhyme to one of the words
that do and that the model knows: it chooses which, and what leads there. No word is ours.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from engine.applications.commission import AT_ONCE, LEAST_HEAT, Commission, Desk, Made, Verse, mean
from engine.applications.habits import cost_of, habits_of, is_weak
from engine.applications.measures import FORMS, Form, bounds, is_kept, measure, partners, rhyme_faults
from engine.applications.rhymes import chinese_rhymes, english_rhymes, last_word, rhyme_of
from engine.applications.syllables import count, of_word, strange_words, words_of
from engine.applications.tidy import Tidy
from engine.errors import UnsupportedError
from engine.inspections import Tokenize
from engine.requests import Event, Generate, Generation, Message
from engine.serving.protocol import Caller, Engine

ROUNDS, LEAST_ROUNDS, SHORT = 6, 2, 5
"""Of candidates of a line: how many at most, and at least where it has to rhyme or the poem has few lines, where a
choice is worth its time."""
HOTTER = 0.08
"""Added to the temperature with each round."""
BEGINNINGS = 2
"""Of a candidate: where it is left for a word that rhymes."""
MIN_RHYMES, MOST_RHYMES = 6, 60
"""Words that rhyme with a line's end: as few as let it stand, and as many as are offered."""
CUT, STRANGE = 0.4, 1.0
"""What a line that was cut at a word costs where candidates are ranked, and each word that no dictionary knows."""
_LETTERS = r"[^ \x00-\x1f0-9.,;:!?…<>()\[\]{}|*#_/\\\"“”«»=+~^@&%$\x2d\u2013\u2014]{1,15}"


@cache
def words_of_ours() -> dict[str, Any]:
    """Orders, titles and examples by language."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class _Candidate:
    text: str
    score: float
    fits: bool


@dataclass
class _Work:
    """A poem at work."""

    desk: Desk
    form: Form
    texts: list[str] = field(default_factory=list)
    known: dict[str, Sequence[str]] = field(default_factory=dict)
    """Words of each rhyme that the model knows."""
    rhymes: Sequence[str] = ()
    """Words, of Chinese characters, on which the line at work may end; empty where it is free."""
    retries: int = 0

    @property
    def order(self) -> Commission:
        return self.desk.order

    @property
    def place(self) -> int:
        """Of the line at work."""
        return len(self.texts)

    @property
    def progress(self) -> Event:
        return Event("working", part=self.place + 1, parts=len(self.form.lines))

    def bounds(self, text: str = "") -> tuple[int, int]:
        """Syllables that the line at work may have."""
        return bounds(self.form, self.place, [*self.texts, text], self.order.language)


def compose(engine: Engine, order: Commission, caller: Caller) -> Generator[Event, None, Made]:
    """Write it, line by line; text events join to its text."""
    work = _Work(Desk(engine, order, caller, is_by_line=True), FORMS[order.form])
    form, text = work.form, ""
    for place in range(len(form.lines)):
        yield work.progress
        line = yield from _line(work)
        end = "" if place + 1 == len(form.lines) else "\n\n" if place + 1 in form.breaks else "\n"
        work.texts.append(line)
        text += line + end
        yield Event("text", text=line + end)
    lines = measure(form, work.texts, order.language)
    desk = work.desk
    verse = Verse(form.id, lines, is_kept(form, lines), work.retries, desk.candidates, desk.is_guided)
    return Made(text, desk.new_tokens, verse=verse)


def _line(work: _Work) -> Generator[Event, None, str]:
    """The next line: the best that fits, or the best of all where none of any round does."""
    place = work.place
    work.rhymes = _rhymes_for(work)
    found: list[_Candidate] = []
    least = LEAST_ROUNDS if partners(work.form, place) or len(work.form.lines) <= SHORT else 1
    for number in range(ROUNDS):
        work.retries += number >= least
        found += yield from _round(work, number, found)
        if number + 1 >= least and any(one.fits for one in found):
            break
    best = max(found, key=lambda one: (one.fits, one.score), default=None)
    return _ended(best.text if best else "…", work)


def _round(work: _Work, number: int, earlier: Sequence[_Candidate]) -> Generator[Event, None, list[_Candidate]]:
    """Candidates, some from what earlier ones began; of a line that has to rhyme, their beginnings with a rhyme."""
    short = sorted((one for one in earlier if _is_short(work, one)), key=lambda one: -one.score)
    starts = [one.text.rstrip(",") for one in short[: AT_ONCE // 2]]
    begun = [*starts, *[""] * (AT_ONCE - len(starts))]
    asked = [_ask(work, number * AT_ONCE + nth, start) for nth, start in enumerate(begun)]
    results = yield from work.desk.results(asked, work.progress)
    found = [one for start, result in zip(begun, results, strict=True) for one in _candidates(work, start, result)]
    return [*found, *((yield from _rhymed(work, found)) if work.rhymes else ())]


def _is_short(work: _Work, candidate: _Candidate) -> bool:
    """Whether a candidate has too few syllables, and could go on."""
    low, _ = work.bounds(candidate.text)
    is_open = candidate.text[-1:] not in ".;:!?"
    return is_open and not work.rhymes and 0 < count(candidate.text, work.order.language) < low


def _rhymed(work: _Work, found: Sequence[_Candidate]) -> Generator[Event, None, list[_Candidate]]:
    """Beginnings of these candidates with a word that rhymes, which the model chooses and weighs."""
    starts = dict(sorted(
        ((start, one.score) for one in found for start in _beginnings(work, one.text)), key=lambda each: each[1]
    ))  # fmt: skip
    asked = [_ask_rhyme(work, start) for start in starts]
    results = yield from work.desk.results(asked, work.progress)
    made = []
    for (start, score), result in zip(starts.items(), results, strict=True):
        line = _joined(work, start, result.text)
        made.append(_judged(work, line, (score + mean(result)) / 2))
    return made


def _beginnings(work: _Work, text: str) -> list[str]:
    """Where a line could be left for a word that rhymes: near the length of the line it rhymes with."""
    form, language, place = work.form, work.order.language, work.place
    if language == "zh":
        return [text[: form.lines[place].high - 1]]
    low, high = work.bounds(text)
    wanted = min(high, max(low, count(work.texts[partners(form, place)[0]], language)))
    words = text.split(" ")
    starts = [" ".join(words[:end]).rstrip(",") for end in range(1, len(words) + 1)]
    fits = [one for one in starts if low - 2 <= count(one, language) < high and one[-1:] not in ".;:!?"]
    return sorted(fits, key=lambda one: abs(count(one, language) + 1 - wanted))[:BEGINNINGS]


def _ask(work: _Work, number: int, begun: str) -> Generate:
    """The request for one candidate of the line."""
    low, high = work.bounds()
    sampling = work.order.seeded(100 * work.place + number, HOTTER * (number // AT_ONCE))
    sampling = replace(sampling, max_new_tokens=high * 3 + 6)
    grammar = _grammar(low, high, begun, work.order.language)
    return replace(_prompt(work, begun), sampling=sampling, grammar=grammar, is_scored=True)


def _ask_rhyme(work: _Work, begun: str) -> Generate:
    """The request for a word that rhymes and ends the line."""
    sampling = replace(work.order.seeded(100 * work.place + 50), max_new_tokens=12, temperature=LEAST_HEAT)
    gap, end = ("", '"\\n"') if work.order.language == "zh" else ('" "', '[.,;!?]? "\\n"')
    words = " | ".join(f'"{word}"' for word in work.rhymes)
    grammar = f"root ::= {gap} ({words}) {end}"
    return replace(_prompt(work, begun), sampling=sampling, grammar=grammar, is_scored=True)


def _prompt(work: _Work, begun: str) -> Generate:
    """Examples, then the order and the lines so far, as a chat or as a text that goes on."""
    order, ours = work.order, words_of_ours().get(work.order.language, words_of_ours()["en"])
    so_far = "".join(f"{line}\n" for line in work.texts) + begun
    examples = ours["examples"].get(order.form, [])
    if not order.model.is_chat:
        shown = "".join(f"{title}\n{text}\n\n" for title, text in examples)
        head = f"{ours['titles'].get(order.form, ours['label'])}\n\n{shown}"
        return Generate(f"{head}{order.title}\n{so_far}", common_characters=len(head))
    sentence, turns = words_of_ours()["en"]["orders"][order.form], []
    for about, text in examples:
        turns += [Message("user", order.order(sentence, about)), Message("assistant", text)]
    turns.append(Message("user", order.order(sentence)))
    return order.turns(*turns, *([Message("assistant", so_far)] if so_far else []))


def _grammar(low: int, high: int, begun: str, language: str) -> str:
    """Lines of words; in Chinese of so many characters."""
    if language == "zh":
        return f'root ::= [一-龥]{{{high - count(begun, language)}}} "\\n"'
    has = sum(of_word(word, language) for word in words_of(begun))
    least = max(1, math.ceil((low - has) / 2.5)) - (not begun)
    most = max(1, high - has) - (not begun)
    body = f"(sep word){{{least},{most}}}" if begun else f"word (sep word){{{least},{most}}}"
    return f'root ::= {body} [.,;:!?]? "\\n"\nsep ::= " " | ", "\nword ::= {_LETTERS}\n'


def _joined(work: _Work, begun: str, written: str) -> str:
    """A line of its beginning and what came after."""
    gap = "" if work.order.language == "zh" or not begun or written[:1] in " ,.;:!?" else " "
    return Tidy().whole(begun + gap + written).split("\n")[0].strip()


def _candidates(work: _Work, begun: str, written: Generation) -> list[_Candidate]:
    """What the model wrote as a line; where it is too long also its beginning, if that is a line."""
    text = _joined(work, begun, written.text)
    if not words_of(text):
        return []
    found = [_judged(work, text, mean(written))]
    if not found[0].fits and (shorter := _cut(work, text)):
        found.append(_judged(work, shorter, mean(written) - CUT))
    return found


def _cut(work: _Work, text: str) -> str:
    """The longest beginning of a line that has its syllables and ends where somebody could stop."""
    low, high = work.bounds(text)
    words = text.split(" ")
    for end in range(len(words) - 1, 0, -1):
        shorter = " ".join(words[:end]).rstrip(",;:")
        if low <= count(shorter, work.order.language) <= high:
            return shorter
    return ""


def _judged(work: _Work, text: str, score: float) -> _Candidate:
    """A candidate: whether it fits, and what ranks it."""
    order, texts = work.order, [*work.texts, text]
    place = work.place
    low, high = work.bounds(text)
    examples = words_of_ours().get(order.language, {}).get("examples", {}).get(order.form, [])
    habits = habits_of(
        text, order.language, about=order.about, before=work.texts, examples="\n".join(one for _, one in examples)
    )
    fits = low <= count(text, order.language) <= high and not rhyme_faults(work.form, place, texts, order.language)
    fits = fits and not is_weak(last_word(text), order.language) and _leaves_rhymes(work, text)
    fits = fits and not any(habit.id in ("talk", "copy") for habit in habits) and text not in work.texts
    strange = strange_words(text) if order.language == "en" else 0
    return _Candidate(text, score - cost_of(habits) - STRANGE * strange, fits)


def _leaves_rhymes(work: _Work, text: str) -> bool:
    """Whether lines that have to rhyme with this one can."""
    form, place = work.form, work.place
    letter = form.lines[place].rhyme
    if not letter or letter not in [one.rhyme for one in form.lines[place + 1 :]]:
        return True
    return len(_known(work, rhyme_of(text, work.order.language))) > MIN_RHYMES


def _rhymes_for(work: _Work) -> Sequence[str]:
    """On which words the next line may end, as the model knows them; none where it is free."""
    others = partners(work.form, work.place)
    if not others:
        return ()
    used = {last_word(work.texts[other]) for other in others}
    known = _known(work, rhyme_of(work.texts[others[0]], work.order.language))
    return [one for one in known if one not in used]


def _known(work: _Work, rhyme: str) -> Sequence[str]:
    """Words of a rhyme that are one token of the model's, which it has met often; short ones where it cannot tell."""
    if rhyme not in work.known:
        work.known[rhyme] = _looked_up(work, rhyme)
    return work.known[rhyme]


def _looked_up(work: _Work, rhyme: str) -> Sequence[str]:
    language = work.order.language
    if language == "zh":
        return chinese_rhymes().get(rhyme, "")
    barred = words_of_ours().get(language, {}).get("barred", ())
    words = [one for one in english_rhymes().get(rhyme, ()) if of_word(one, language) < 3 and one not in barred]
    words = [one for one in words if not is_weak(one, language)] if language == "en" else []
    try:
        asked = Tokenize("the " + " ".join(words))
        (tokens,) = work.desk.engine.run(work.order.model.id, [asked], work.desk.caller)
    except UnsupportedError:
        return [one for one in words if len(one) < 6][:MOST_RHYMES]
    texts = [piece.text for piece in tokens.pieces]  # type: ignore[union-attr]
    starts = zip(texts, [*texts[1:], " "], strict=True)
    whole = {text.strip() for text, after in starts if text[:1] == after[:1] == " "}
    return [word for word in words if word in whole][:MOST_RHYMES]


def _ended(text: str, work: _Work) -> str:
    """A Chinese line with the mark that its place has; others as they are."""
    if work.order.language != "zh":
        return text
    is_inner = work.place % 2 == 0 and work.place + 1 < len(work.form.lines)
    return text.rstrip("，。,.") + ("，" if is_inner else "。")
