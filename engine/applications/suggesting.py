"""Questions to ask documents or a text: a model reads passages and asks; those stay that their passage answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.applications.citing import WRITERS
from engine.applications.languages import NAMED, detect_language
from engine.catalogue.models import Model
from engine.documents import Document, Page, Paragraph, estimate_words
from engine.documents.passages import Passage, passages_of
from engine.documents.search import tokens_of
from engine.documents.sentences import sentences_of
from engine.errors import InputError
from engine.requests import Event, Extract, Generate, Message, Sampling, clean_text
from engine.serving.access import owner_of
from engine.serving.protocol import Caller, Engine

if TYPE_CHECKING:
    from engine.serving.compose import House

QUESTIONS, TRIES = 3, 8
"""That are suggested, and passages that are asked about for them."""
MIN_WORDS, MAX_WORDS = 4, 24
SHOTS = (
    ("The lighthouse of Arn was finished in 1871. It was paid for by the herring merchants of the town.",
     "Who paid for the lighthouse of Arn?"),
    ("Bees find their way by the sun. On cloudy days they see the pattern of polarised light in the sky.",
     "How do bees find their way on cloudy days?"),
)  # fmt: skip
ORDER = "Ask one short question that the text answers. Name what it is about."
SENTENCES, LEAST_WORDS = 2, 8
"""Of each piece of a text that is too short for several passages; and words that a piece must have."""
_QUESTION = re.compile(r"[^?？]*[?？]")


@dataclass(frozen=True)
class Suggestions:
    """Questions that the passages answer, as the model `reader` found."""

    questions: list[str]
    writer: str


def passages_in(house: House, ids: Sequence[str], caller: Caller) -> list[Passage]:
    """Those of the caller's documents. Raises InputError for none, NotFoundError for another's."""
    owner = owner_of(house.settings, caller)
    passages = [one for id in ids for one in house.documents.passages(owner, id)]
    if not passages:
        raise InputError("Name at least one document to look in.", "documents")
    return passages


def passages_of_text(engine: Engine, text: str) -> list[Passage]:
    """Those of a text. Raises InputError or TooLargeError."""
    text = clean_text(text, "text", engine.settings.max_text_characters)
    return passages_of(Document("", (Page(1, (Paragraph(text),)),)))


def suggest(engine: Engine, passages: Sequence[Passage], reader: str, caller: Caller) -> Iterator[Event]:
    """Yields each question as text when it is found to be answered, a line each; the result is `Suggestions`.

    Raises what the engine raises.
    """
    chosen = spread(passages if len(passages) >= QUESTIONS else parted(passages), TRIES)
    language = detect_language(" ".join(one.text for one in chosen[:3]), NAMED).code
    writer = engine.catalogue.find(WRITERS.get(language, WRITERS[""]))
    found: list[str] = []
    for passage in chosen:
        question = ""
        with closing(engine.stream(writer.id, asked(writer, passage), caller)) as events:  # type: ignore[type-var]
            for event in events:
                if event.kind == "done":
                    question = bare(event.result.text)
                elif event.kind != "text":
                    yield event
        if question and question not in found and _is_answered(engine, reader, question, passage, caller):
            found.append(question)
            yield Event("text", text=f"{question}\n")
        if len(found) == QUESTIONS:
            break
    yield Event("done", result=Suggestions(found, writer.id))


def parted(passages: Sequence[Passage]) -> list[Passage]:
    """Passages of a few sentences each, so that something different is asked about each."""
    found: list[Passage] = []
    for passage in passages:
        places = sentences_of(passage.text)
        for first in range(0, len(places), SENTENCES):
            start, end = places[first][0], places[min(first + SENTENCES, len(places)) - 1][1]
            text = passage.text[start:end]
            found.append(replace(passage, start=passage.start + start, end=passage.start + end, text=text))
    return [one for one in found if estimate_words(one.text) >= LEAST_WORDS] or list(passages)


def spread(passages: Sequence[Passage], count: int) -> list[Passage]:
    """Passages from all over the documents, those with most to ask about in each stretch."""
    step = max(1.0, len(passages) / count)
    stretches = [passages[int(at * step) : int((at + 1) * step)] for at in range(min(count, len(passages)))]
    return [max(stretch, key=lambda one: len(set(tokens_of(one.text)))) for stretch in stretches if stretch]


def asked(model: Model, passage: Passage) -> Generate:
    """The request that has a model ask about a passage."""
    sampling = Sampling(max_new_tokens=40, temperature=0.0, stop=("\n",))
    text = " ".join(passage.text.split()[:90])
    if model.is_chat:
        turns = [turn for put, said in SHOTS for turn in (Message("user", put), Message("assistant", said))]
        return Generate(messages=(Message("system", ORDER), *turns, Message("user", text)), sampling=sampling)
    shots = "\n\n".join(f"Text: {put}\nQuestion: {said}" for put, said in SHOTS)
    return Generate(f"{shots}\n\nText: {text}\nQuestion:", sampling=sampling)


def bare(text: str) -> str:
    """The first question of a text; "" where there is none of sensible length."""
    match = _QUESTION.match(text.strip())
    question = " ".join(match[0].split()).lstrip("0123456789.-) ") if match else ""
    is_fit = MIN_WORDS <= len(question.split()) <= MAX_WORDS or re.search(r"[\u3040-\u9fff]{4}", question)
    return question if is_fit and len(question) < 200 else ""


def _is_answered(engine: Engine, reader: str, question: str, passage: Passage, caller: Caller) -> bool:
    (found,) = engine.run(reader, [Extract(question, passage.text, 1)], caller)
    return bool(getattr(found, "has_answer", False))
