"""Long stories: an outline first, then the people, then chapter by chapter, each told from what was planned."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from engine.applications.commission import AT_ONCE, Commission, Desk, Made, mean, our_words
from engine.applications.habits import cost_of, habits_of
from engine.applications.support import overlap
from engine.applications.tidy import Tidy, last_end
from engine.messages import Text, counted
from engine.requests import Event, Generate, Message, Sampling
from engine.serving.protocol import Caller, Engine

MIN_CHAPTERS, MAX_CHAPTERS, CHAPTERS = 2, 8, 3
"""Least, most, and unless told otherwise."""
PEOPLE = 2
RECENT_CHARACTERS = 400
"""Of what was told last, which the next chapter goes on from."""
SAME = 0.6
"""Share of words that a chapter may have in common with an earlier one."""
PLAN = r"[A-Z\x22“¿¡À-ɏ一-龥] [^\n\x00-\x1f<>\[\]*#]{15,140}"
"""A sentence of a plan, in GBNF."""


@dataclass
class _Book:
    """A story at work."""

    desk: Desk
    plots: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    chapters: list[str] = field(default_factory=list)
    retries: int = 0

    @property
    def order(self) -> Commission:
        return self.desk.order

    @property
    def headings(self) -> dict[str, str]:
        found: dict[str, str] = our_words(self.order.language)["headings"]
        return found

    def progress(self, part: int) -> Event:
        return Event("working", part=part, parts=self.order.chapters + 2)

    def plan(self) -> str:
        """Outline and people, as they stand before the story."""
        people = "\n".join(f"- {one}" for one in self.people)
        return f"{self.headings['outline']}\n{numbered(self.plots)}\n\n{self.headings['people']}\n{people}\n\n"


def compose(engine: Engine, order: Commission, caller: Caller) -> Generator[Event, None, Made]:
    """Write it; text events join to its text."""
    book = _Book(Desk(engine, order, caller))
    yield book.progress(1)
    book.plots = yield from _listed(book, _ask_outline(book), order.chapters, 1)
    yield book.progress(2)
    book.people = yield from _listed(book, _ask_people(book), PEOPLE, 2)
    text = book.plan()
    yield Event("text", text=text)
    for number in range(1, order.chapters + 1):
        yield book.progress(number + 2)
        chapter = yield from _chapter(book, number, text)
        text += chapter
    note = Text("outline, characters and {chapters} chapters", chapters=order.chapters)
    if book.retries:
        note = counted(
            "outline, characters and {chapters} chapters; {count} chapter told again, since it repeated an earlier one",
            "outline, characters and {chapters} chapters; {count} chapters told again, since they repeated an earlier "
            "one",
            book.retries, chapters=order.chapters,
        )  # fmt: skip
    return Made(text.rstrip(), book.desk.new_tokens, note)


def _listed(book: _Book, asked: list[Generate], count: int, part: int) -> Generator[Event, None, list[str]]:
    """The items of the best of several lists, as many as are wanted."""
    results = yield from book.desk.results(asked, book.progress(part))
    order, best, top = book.order, list[str](), -math.inf
    for result in results:
        items = items_of(result.text, count)
        shown = our_words(order.language)["example"]
        examples = "\n".join([*shown["plots"], *shown["people"]])
        habits = [
            one for item in items for one in habits_of(item, order.language, about=order.about, examples=examples)
        ]
        doubles = sum(overlap(item, other) > SAME for place, item in enumerate(items) for other in items[:place])
        score = mean(result) - cost_of(habits) / max(1, len(items)) - doubles - (count - len(items))
        best, top = (items, score) if score > top else (best, top)
    return [*best, *[order.title] * (count - len(best))]


def items_of(written: str, count: int) -> list[str]:
    """The lines of a list without their numbers and dashes."""
    lines = [re.sub(r"^\s*(?:\d+[.):]|[-*•])\s*", "", line).strip() for line in Tidy().whole(written).splitlines()]
    return [line for line in lines if line][:count]


def _ask_outline(book: _Book) -> list[Generate]:
    items = " ".join(f'"{number}. " item' for number in range(1, book.order.chapters + 1))
    grammar = f'root ::= {items}\nitem ::= {PLAN} "\\n"\n'
    return [_list_request(book, "", grammar, 40 * book.order.chapters, nth) for nth in range(AT_ONCE)]


def _ask_people(book: _Book) -> list[Generate]:
    words = our_words(book.order.language)
    gap = ' ", " ' if book.order.language != "zh" else ' "，" '
    name = "[A-ZÀ-ɏ] [a-zß-ɏ]{2,11}" if book.order.language != "zh" else "[一-龥]{2,4}"
    article = f"({' | '.join(json.dumps(one) for one in words['articles'])})" if words["articles"] else ""
    item = f'"- " name{gap}{article} [^\\n\\x00-\\x1f<>,;:0-9]{{8,60}} "\\n"'
    grammar = f"root ::= {' '.join(['item'] * PEOPLE)}\nitem ::= {item}\nname ::= {name}\n"
    return [_list_request(book, numbered(book.plots), grammar, 40 * PEOPLE, 20 + nth) for nth in range(AT_ONCE)]


def numbered(plots: Sequence[str]) -> str:
    """An outline as it is written."""
    return "\n".join(f"{number}. {plot}" for number, plot in enumerate(plots, 1))


def _list_request(book: _Book, plots: str, grammar: str, tokens: int, number: int) -> Generate:
    """The request for the outline or, where there is one, for the people; an example comes first."""
    order, english, example = book.order, our_words("en"), our_words(book.order.language)["example"]
    sampling = replace(order.seeded(number), max_new_tokens=tokens + 20)
    shown, people = numbered(example["plots"]), "\n".join(f"- {one}" for one in example["people"])
    if order.model.is_chat:
        ask_plots = replace(order, chapters=len(example["plots"])).order(english["outline"], example["title"])
        turns = [Message("user", ask_plots), Message("assistant", shown)]
        ask_people = Message("user", order.order(english["people"]))
        turns += [ask_people, Message("assistant", people)] if plots else []
        turns.append(Message("user", order.order(english["outline"])))
        turns += [Message("assistant", plots), ask_people] if plots else []
        asked = order.turns(*turns)
    else:
        story, outline, cast = (book.headings[name] for name in ("story", "outline", "people"))
        head = f"{story}: {example['title']}\n\n{outline}\n{shown}\n\n{cast}\n{people}\n\n\n"
        begun = f"{plots}\n\n{cast}\n" if plots else ""
        asked = Generate(f"{head}{story}: {order.title}\n\n{outline}\n{begun}", common_characters=len(head))
    return replace(asked, sampling=sampling, grammar=grammar, is_scored=True)


def _chapter(book: _Book, number: int, before: str) -> Generator[Event, None, str]:
    """One chapter, shown as it comes; told once more where it repeats an earlier one."""
    heading = book.headings["chapter"].format(number=number) + "\n\n"
    yield Event("text", text=heading)
    told = yield from _told(book, number, before, 0)
    if any(overlap(told, other) >= SAME for other in book.chapters):
        book.retries += 1
        yield Event("replace", text=before + heading)
        told = yield from _told(book, number, before, 1)
    whole = re.sub(r"(?<=[^.!?…。！？”\"\n])\n(?=\S)", " ", told[: last_end(told, is_verse=False) or len(told)]).strip()
    book.chapters.append(whole)
    chapter = f"{heading}{whole}\n\n"
    yield Event("replace", text=before + chapter)
    return chapter


def _told(book: _Book, number: int, before: str, attempt: int) -> Generator[Event, None, str]:
    tidy, told = Tidy(), ""
    asked = _ask_chapter(book, number, before, book.order.seeded(100 * number + attempt, 0.2 * attempt))
    events = book.desk.engine.stream(book.order.model.id, asked, book.desk.caller)
    with closing(events):  # type: ignore[type-var]
        for event in events:
            if event.kind == "done":
                book.desk.new_tokens += event.result.new_tokens
            piece = tidy.push(event.text) if event.kind == "text" else tidy.end() if event.kind == "done" else ""
            told += piece
            if piece:
                yield Event("text", text=piece)
            elif event.kind in ("queued", "loading"):
                yield event
    return told


def _ask_chapter(book: _Book, number: int, before: str, sampling: Sampling) -> Generate:
    """The request: the plan and what was told last, then the order, or a text that goes on."""
    order, english = book.order, our_words("en")
    plot, recent = book.plots[number - 1], book.chapters[-1][-RECENT_CHARACTERS:] if book.chapters else ""
    if not order.model.is_chat:
        heading = book.headings["chapter"].format(number=number)
        head = f"{book.headings['story']}: {order.title}\n\n{book.plan()}"
        return Generate(f"{head}{recent}\n\n{heading}: {plot}\n\n", sampling=sampling)
    sentence = (
        english["chapter"].replace("{number}", str(number)).replace("{plot}", plot.replace("{", "").replace("}", ""))
    )
    plan = f"{order.title}\n{book.plan()}" + (f"…{recent}" if recent else "")
    turns = [Message("user", order.order(english["outline"])), Message("assistant", plan.strip())]
    turns.append(Message("user", order.order(sentence) + (f" {english['go_on']}" if recent else "")))
    return replace(order.turns(*turns), sampling=sampling)
