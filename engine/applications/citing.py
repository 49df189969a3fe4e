"""A written answer over passages: a model writes sentence by sentence, and each must be said by a passage.

A sentence stays only where the vectors and words of a passage's sentences bear it, and where no number or name in it is
missing there; it cites that passage. The others are refused and told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import cached_property

import numpy as np

from engine.applications import support
from engine.applications.answers import AnswerResult, AnswerSpan, FoundPassage, WrittenSentence
from engine.applications.extracts import Place, Vectors
from engine.applications.languages import NAMED, detect_language
from engine.catalogue.models import Model
from engine.documents.sentences import sentences_of
from engine.errors import UnsupportedError
from engine.messages import Text
from engine.requests import Embed, Event, Generate, Message, Sampling
from engine.serving.indexing import ENCODER
from engine.serving.protocol import Caller, Engine

WRITERS = {"en": "smollm2-135m-instruct", "": "gemma-3-270m"}
"""Who writes where nobody was chosen: by the language of the passages."""
SENTENCES = 4
"""Of the passages that the writer is shown: it is small, and loses itself in more."""
MAX_NEW_TOKENS = 80
MIN_SUPPORT, MIN_SHARED = 0.45, 0.6
"""Score of the best sentence of a passage, and share of a sentence's longer words (those of the question left out) that
its passage has, from which on the passage is said to bear it."""
MIN_WORDS = 3
ORDER = "Answer the question in one or two whole sentences, in the words of the text. Add nothing."
SHOTS = (
    ("The lighthouse of Arn was finished in 1871. It was paid for by the herring merchants of the town.",
     "Who paid for the lighthouse?", "the herring merchants of the town",
     "The lighthouse of Arn was paid for by the herring merchants of the town."),
    ("Bees find their way by the sun. On cloudy days they see the pattern of polarised light in the sky.",
     "How do bees find their way on cloudy days?", "the pattern of polarised light in the sky",
     "On cloudy days bees find their way by the pattern of polarised light in the sky."),
)  # fmt: skip
"""Text, question, the words that answer it, and the answer written."""
_MARK = re.compile(r"\s*[\[(](?:source\s*)?\d{1,2}[\])]", re.IGNORECASE)
_LEAD = re.compile(r"^(?:(?:based on|according to) (?:the |these )?(?:given |provided )?(?:sources?|passages?|text)"
                   r"[^,:]{0,20}[,:]\s*|(?:the )?answer(?: is)?:\s*|a:\s*)", re.IGNORECASE)  # fmt: skip
_PARTS = re.compile(r"\s*(?:[-*]|\d{1,2}[.)])\s+")
Writing = Generator[Event, None, AnswerResult]


def write(
    engine: Engine, writer: str | None, question: str, passages: Sequence[FoundPassage], quoted: AnswerResult,
    caller: Caller,
) -> Writing:  # fmt: skip
    """Write an answer round the words that a reader quoted, where it found any.

    Yields kept sentences as text when they are checked; the result holds the refused ones too. Raises UnsupportedError
    for a writer that is no language model, and what the engine raises.
    """
    language = detect_language(" ".join(one.text for one in passages[:3]), NAMED).code
    model = engine.catalogue.find(writer or WRITERS.get(language, WRITERS[""]))
    if not model.is_language_model:
        raise UnsupportedError("{model} does not write. Choose a language model.", "writer", model=model.title)
    check, found = _Check(engine, question, passages, language, caller), list[WrittenSentence]()
    shown = " ".join(check.nearest(quoted))
    for piece in _pieces(engine, asked(model, question, shown, quoted.answer), model.id, caller):
        if isinstance(piece, Event):
            yield piece
            continue
        if any(piece == one.text for one in found):
            continue
        found.append(check.judged(piece))
        if found[-1].is_kept:
            marks = "".join(f" [{number + 1}]" for number in found[-1].sources)
            before = " " if sum(one.is_kept for one in found) > 1 else ""
            yield Event("text", text=f"{before}{piece}{marks}")
    kept = [one for one in found if one.is_kept]
    share = len(kept) / len(found) if found else 0.0
    source, start, end = (
        (kept[0].sources[0], kept[0].start, kept[0].end) if kept else (quoted.source, quoted.start, quoted.end)
    )
    text = " ".join(one.text for one in kept)
    own = AnswerSpan(quoted.answer, quoted.score, quoted.start, quoted.end, quoted.source)
    return AnswerResult(
        text, round(share, 3), start, end, [own] if quoted.answer else [], model.id, sentences=found, source=source
    )


def _pieces(engine: Engine, request: Generate, model_id: str, caller: Caller) -> Iterator[Event | str]:
    """Waiting, and sentences of the answer when they have their end."""
    text = ""
    with closing(engine.stream(model_id, request, caller)) as events:  # type: ignore[type-var]
        for event in events:
            if event.kind not in ("text", "done"):
                yield event
                continue
            is_last = event.kind == "done"
            text += event.text
            places = sentences_of(text)
            whole = places if is_last and event.result.finish_reason == "stop" else places[:-1]
            for start, end in whole:
                if words := _bare(text[start:end]):
                    yield words
            text = text[places[-1][0] :] if places else ""


def asked(model: Model, question: str, text: str, words: str) -> Generate:
    """The request that has a model write: a chat where it knows chats, else a text to be continued."""
    sampling = Sampling(max_new_tokens=MAX_NEW_TOKENS, temperature=0.0, stop=("\n",))
    shots = [(_put(*shot[:3]), shot[3]) for shot in SHOTS]
    if model.is_chat:
        turns = [turn for put, said in shots for turn in (Message("user", put), Message("assistant", said))]
        messages = (Message("system", ORDER), *turns, Message("user", _put(text, question, words)))
        return Generate(messages=messages, sampling=sampling)
    before = "\n\n".join(f"{put}\nAnswer: {said}" for put, said in shots)
    return Generate(f"{before}\n\n{_put(text, question, words)}\nAnswer:", sampling=sampling)


def _put(text: str, question: str, words: str) -> str:
    hint = f"\nWords to use: {words}" if words else ""
    return f"Text: {text}\nQuestion: {question}{hint}"


def _bare(sentence: str) -> str:
    """A sentence without marks that the model wrote, and without its "according to the sources"."""
    text = _LEAD.sub("", _PARTS.sub("", _MARK.sub("", sentence), count=1)).strip(" *\n")
    is_whole = len(text.split()) >= MIN_WORDS or re.search(r"[\u3040-\u9fff]{4}", text)
    return text[:1].upper() + text[1:] if is_whole else ""


def _refused(sentence: str, why: Text) -> WrittenSentence:
    return WrittenSentence(sentence, is_kept=False, why=why)


class _Check:
    """Whether passages say a sentence; their own sentences get vectors once, when they are first compared."""

    def __init__(
        self, engine: Engine, question: str, passages: Sequence[FoundPassage], language: str, caller: Caller
    ) -> None:
        self.engine, self.question, self.passages = engine, _plain(question), passages
        self.language, self.caller = language, caller
        self.places: list[Place] = []
        self.numbers: list[int] = []
        """Of the passage in which each place is."""
        self.starts: list[int] = []
        self.lengths: list[int] = []
        for number, passage in enumerate(passages):
            for start, end in sentences_of(passage.text):
                self.places.append(Place(_plain(passage.text[start:end]), len(self.places), 0))
                self.numbers.append(number)
                self.starts.append(start)
                self.lengths.append(end - start)

    def nearest(self, quoted: AnswerResult) -> list[str]:
        """Sentences to write from: those around the quoted words, else those that are most like the question."""
        own = [place for place, number in enumerate(self.numbers) if number == quoted.source]
        if quoted.answer and own:
            at = max((place for place in own if self.starts[place] <= quoted.start), default=own[0])
            chosen = [place for place in own if at - 1 <= place <= at + 1]
        else:
            (vector,) = self._embedded([self.question])
            chosen = sorted(np.argsort(-(self._vectors @ vector), kind="stable")[:SENTENCES].tolist())
        return [self.places[place].text for place in chosen]

    def judged(self, sentence: str) -> WrittenSentence:
        """The sentence with the passages that say it, or refused with the reason."""
        plain = _plain(sentence)
        if plain.endswith(("?", "？")):
            return _refused(sentence, Text("This asks, and does not answer."))
        (vector,) = self._embedded([plain])
        found = support.sources_of(plain, vector, self.places, self._vectors)
        numbers = list(dict.fromkeys(self.numbers[one.start] for one in found if one.score >= MIN_SUPPORT))
        if not numbers:
            return _refused(sentence, Text("No passage says this."))
        texts = {number: _plain(self.passages[number].text) for number in numbers}
        strange = {number: self._strange(plain, texts[number]) for number in numbers}
        borne = [
            number for number in numbers
            if not strange[number] and support.overlap(plain, f"{texts[number]} {self.question}") >= MIN_SHARED
        ]  # fmt: skip
        if borne:
            place = next(one.start for one in found if self.numbers[one.start] == borne[0])
            start = self.starts[place]
            return WrittenSentence(sentence, borne, start, start + self.lengths[place])
        if words := strange[numbers[0]]:
            return _refused(sentence, Text("The passage lacks {words}.", words=words))
        return _refused(sentence, Text("The passage says this in too few of its words."))

    def _strange(self, sentence: str, text: str) -> list[str]:
        """Numbers that the passage lacks, and names that none of the passages and titles has."""
        missing = support.unsupported(sentence, text, self.language)
        return [word for word in missing if word[0].isdigit() or word.casefold() not in self._all]

    @cached_property
    def _all(self) -> str:
        return _plain(" ".join(f"{one.title} {one.text}" for one in self.passages)).casefold()

    @cached_property
    def _vectors(self) -> Vectors:
        return self._embedded([place.text for place in self.places])

    def _embedded(self, texts: Sequence[str]) -> Vectors:
        """Texts that are compared with each other are all queries to the encoder."""
        rows = self.engine.run(ENCODER, [Embed(text) for text in texts], self.caller)
        return np.array([row.vector for row in rows], dtype=np.float32)  # type: ignore[union-attr]


def _plain(text: str) -> str:
    """Without accents, which people leave out, and line breaks."""
    letters = unicodedata.normalize("NFKD", " ".join(text.split()))
    return unicodedata.normalize("NFC", "".join(one for one in letters if not "\u0300" <= one <= "\u036f"))
