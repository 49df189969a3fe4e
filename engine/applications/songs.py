"""Lyrics with verses and a chorus: each part the best of several candidates, the chorus written once and sung again."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from engine.applications.commission import AT_ONCE, Commission, Desk, Made, mean, our_words
from engine.applications.habits import cost_of, habits_of
from engine.applications.rhymes import do_rhyme
from engine.applications.tidy import Tidy
from engine.messages import Text
from engine.requests import Event, Generate, Message
from engine.serving.protocol import Caller, Engine

PARTS = ("verse", "chorus", "verse", "chorus")
LINES = 4
"""Of each part."""
RHYME = 0.3
"""What each line that rhymes with one before it is worth where candidates are ranked."""
GRAMMAR = f'root ::= line{{{LINES}}}\nline ::= [^\\n\\x00-\\x1f\\[\\]()0-9:*#]{{6,60}} "\\n"\n'


def compose(engine: Engine, order: Commission, caller: Caller) -> Generator[Event, None, Made]:
    """Write it, part by part; text events join to its text."""
    desk, headings = Desk(engine, order, caller), our_words(order.language)["headings"]
    text, chorus, verses, tries = "", "", 0, 0
    for number, part in enumerate(PARTS):
        progress = Event("working", part=number + 1, parts=len(PARTS))
        yield progress
        verses += part == "verse"
        heading = f"[{headings[part].format(number=verses)}]"
        if part == "chorus" and chorus:
            lines = chorus
        else:
            asked = [_ask(order, text, heading, part, 10 * number + nth) for nth in range(AT_ONCE)]
            results = yield from desk.results(asked, progress)
            tries += len(results)
            lines = max((_scored(one.text, mean(one), text, order) for one in results), default=(0.0, "…"))[1]
        chorus = lines if part == "chorus" else chorus
        piece = f"{heading}\n{lines}" + ("\n\n" if number + 1 < len(PARTS) else "")
        text += piece
        yield Event("text", text=piece)
    note = Text("the best of {count} candidates for three parts; the chorus is the same both times", count=tries)
    return Made(text, desk.new_tokens, note)


def _ask(order: Commission, before: str, heading: str, part: str, number: int) -> Generate:
    """The request for one part: an order with what is there already, or a song that goes on."""
    ours = our_words(order.language)
    sampling = replace(order.seeded(number), max_new_tokens=80)
    if not order.model.is_chat:
        shown = f"[{ours['headings']['verse'].format(number=1)}]\n{ours['song']}\n\n"
        prompt = f"{shown}{order.title}\n\n{before}{heading}\n"
        return Generate(prompt, sampling=sampling, grammar=GRAMMAR, is_scored=True, common_characters=len(shown))
    english = our_words("en")
    sentence = english["section"].replace("{section}", english["sections"][part])
    turns = [Message("user", order.order(sentence, "waiting for somebody")), Message("assistant", ours["song"])]
    turns.append(Message("user", order.order(sentence)))
    return replace(order.turns(*turns), sampling=sampling, grammar=GRAMMAR, is_scored=True)


def _scored(written: str, score: float, before: str, order: Commission) -> tuple[float, str]:
    """The part's lines as they may stay, and what ranks them."""
    lines = [line.strip() for line in Tidy().whole(written).splitlines() if line.strip()][:LINES]
    if not lines:
        return -100.0, "…"
    earlier = [line for line in before.splitlines() if line and not line.startswith("[")]
    ours = our_words(order.language)["song"]
    for place, line in enumerate(lines):
        habits = habits_of(line, order.language, about=order.about, before=[*earlier, *lines[:place]], examples=ours)
        score -= cost_of(habits) / LINES
        score += RHYME * any(do_rhyme(other, line, order.language) for other in lines[:place])
    return score - (LINES - len(lines)), "\n".join(lines)
