"""The words of a finished translation: how sure the model is of each, where it comes from, and what could stand there.

Probabilities and alternatives come from the model that translated. Where its runtime tells of no word's source, as only
Marian students do, the multilingual encoder does. Nothing of it is needed to translate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

from engine.applications.alignments import LONGEST, RUN, WORD, Link, links
from engine.applications.faults import find_fault
from engine.applications.languages import SPACELESS
from engine.applications.literals import losses
from engine.applications.prompts import ask, begun
from engine.applications.routes import PIVOT
from engine.applications.sentences import Sentence, Translation
from engine.applications.translate import TranslateResult
from engine.catalogue.models import Model
from engine.errors import PeopleError, UnsupportedError
from engine.inspections import Align, Score
from engine.messages import NOTHING
from engine.requests import Generate, Generation, Result, Scoring
from engine.serving.protocol import Caller, Engine

ENCODER = "multilingual-e5-small"
"""It tells which words of two languages say the same; see `backends/aligning.py`."""
DOUBTFUL = 0.5
"""Probability of its least likely piece below which a word is marked. In 120 sentences of FLORES dev into Portuguese
4 % of the words of four letters and more; the reference has 39 % of these, and 66 % of all."""
MAX_SENTENCES = 60
"""Of a text whose words are looked at: each takes a fortieth of a second."""
CHOICES, RIVALS = 3, 8
"""Alternatives offered for a word; first pieces that are tried for them."""
FEW_RIVALS = 4
"""Tried of a language model, which takes some ten times as long for each."""
WORD_TOKENS = 4
"""Of another word, after its first."""
LEAST, GLUED = 0.04, 0.8
"""Where words are not parted: how likely another one must begin, and how likely a piece is to go on a word."""
MAX_OTHERS = 5
"""Other translations of a sentence."""
_NUMBER = re.compile(r"[\d〇零一二两三四五六七八九十百千万亿]+")


@dataclass(frozen=True)
class Choice:
    """Another word, the sentence up to it, and the whole sentence as it would go on from there.

    `text` is empty where the rest takes so long that it is made for the word that is chosen (`rewritten`).
    """

    word: str
    beginning: str
    text: str = ""


@dataclass(frozen=True)
class Way:
    """How sentences were translated: by which model, from which language into which, and `via` which model first."""

    model: str
    source: str
    target: str
    via: str = ""


def way_of(result: TranslateResult, target: str) -> Way:
    """The way of a single text's translation."""
    (done,) = result.translations
    return Way(result.model, done.source, target, result.via)


def find_words(engine: Engine, result: TranslateResult, caller: Caller) -> list[list[Link]] | None:
    """The words of a single text's sentences; [] where nothing here can tell, or there are too many.

    None where the encoder, which nobody waits for here, is still being read; not on a small machine.
    """
    (done,) = result.translations
    if len(done.sentences) > MAX_SENTENCES:
        return []
    try:
        if not result.via:
            with suppress(UnsupportedError):
                return _linked(done.sentences, partial(_own_scores, engine, result.model, caller))
        if engine.count_tokens(ENCODER, "") is None:
            if engine.settings.is_small or not engine.catalogue.is_ready(ENCODER):
                return []
            engine.load(ENCODER, caller)
            return None
        return words_of(engine, "", done.sentences, caller)
    except PeopleError:
        return []


def words_of(engine: Engine, model_id: str, sentences: Sequence[Sentence], caller: Caller) -> list[list[Link]]:
    """For each sentence, its words with their probability and the word of the source that they look at most.

    By the multilingual encoder, without probabilities, where the runtime cannot tell or no model is named. Raises what
    the engine raises, UnsupportedError where the encoder is not here either.
    """
    try:
        if model_id:
            return _linked(sentences, partial(_own_scores, engine, model_id, caller))
    except UnsupportedError:
        if not engine.catalogue.is_ready(ENCODER):
            raise
    return _linked(sentences, partial(_encoded, engine, caller))


def _linked(sentences: Sequence[Sentence], score: Callable[[Sequence[Sentence]], Sequence[Result]]) -> list[list[Link]]:
    """The words of each sentence that has some, by what `score` tells of those."""
    asked = [(place, one) for place, one in enumerate(sentences) if one.text.strip() and one.source.strip()]
    found: list[list[Link]] = [[] for _ in sentences]
    results = score([one for _, one in asked]) if asked else []
    for (place, one), result in zip(asked, results, strict=True):
        assert isinstance(result, Scoring)
        if result.alignment:
            found[place] = links(one.source, result.tokens, result.alignment)
    return found


def _own_scores(engine: Engine, model_id: str, caller: Caller, sentences: Sequence[Sentence]) -> list[Result]:
    return engine.run(model_id, [Score(one.text, one.source) for one in sentences], caller)


def _encoded(engine: Engine, caller: Caller, sentences: Sequence[Sentence]) -> list[Result]:
    return engine.run(ENCODER, [Align(one.text, one.source) for one in sentences], caller)


def exchanged(translation: Translation, place: int, text: str, target: str) -> Translation:
    """The translation with another text for one of its sentences, which is checked; its confidence is unknown then."""
    start, end = translation.places()[place] or (0, 0)
    sentences = list(translation.sentences)
    fault = find_fault(sentences[place].source, Generation(text, "stop", 0, 0, {}), target, translation.source)
    sentences[place] = replace(sentences[place], text=text, score=None, warning=fault)
    warning = next((one.warning for one in sentences if one.warning), NOTHING)
    whole = translation.text[:start] + text + translation.text[end:]
    return replace(translation, text=whole, score=None, sentences=sentences, warning=warning)


def is_doubtful(link: Link) -> bool:
    """Whether the model found the word unlikely itself."""
    return link.probability is not None and link.probability < DOUBTFUL


def alternatives(engine: Engine, way: Way, sentence: Sentence, start: int, caller: Caller) -> list[Choice]:
    """Other words for the one that begins at `start` in the translation, the likeliest first.

    Raises what the engine raises, UnsupportedError where the runtime cannot go on from a beginning.
    """
    writer = _Writer(engine, way, sentence.source, caller)
    before, there = sentence.text[:start].rstrip(), WORD.search(sentence.text, start)
    now, least = there[0] if there else "", LEAST if way.target in SPACELESS else 0.0
    rivals = writer.rivals(writer.going_on(before, RIVALS), before)
    pieces = [piece for piece, share in rivals if share >= least and _begins_word(piece, before, way.target)]
    beginnings = [before + piece if before else piece.strip() for piece in pieces[: writer.tries]]
    found: dict[str, Choice] = {}
    for beginning, made in zip(beginnings, writer.begun_with(beginnings), strict=True):
        first, last = made.word(len(before), len(beginning))
        word = made.text[first:last]
        if word and not _is_same(word, now) and _numbers(word) == _numbers(now):
            text = "" if writer.model.is_language_model else made.text
            found.setdefault(word.casefold(), Choice(word, made.text[:last], text))
    return list(found.values())[:CHOICES]


def rewritten(engine: Engine, way: Way, sentence: Sentence, beginning: str, caller: Caller) -> str:
    """The sentence's translation that begins so. Raises what the engine raises."""
    return _Writer(engine, way, sentence.source, caller).gone_on([beginning])[0]


def others(engine: Engine, way: Way, sentence: Sentence, count: int, caller: Caller) -> list[str]:
    """Other translations of a whole sentence, best first: those of a beam, and of a model without one those that go
    another way where the model was in two minds. None that loses a number or an address, or has one from nowhere.

    Raises what the engine raises.
    """
    writer = _Writer(engine, way, sentence.source, caller)
    try:
        texts = writer.searched(count)
    except UnsupportedError:
        texts = _branched(writer, count, way.target)
    new = [text for text in dict.fromkeys(texts) if text and text != sentence.text.strip()]
    return [text for text in new if not any(losses(sentence.source, text, (way.source, way.target)))][:count]


@dataclass(frozen=True)
class _Made:
    """A sentence with another beginning; of a language model no more of it than a word, and that may be cut off."""

    text: str
    is_cut: bool
    pieces: Sequence[tuple[int, int, float]]
    """Start, end and probability of each, where words are not parted."""

    def word(self, start: int, end: int) -> tuple[int, int]:
        """Where the word stands that begins at or after `start` with what ends at `end`; nowhere if it is not whole.

        Where words are not parted it goes on as long as the model is sure of how.
        """
        found = WORD.search(self.text, start)
        if found is None:
            return start, start
        stop = found.end()
        if RUN.match(found[0]):
            stop = min(end, stop)
            for first, last, share in self.pieces:
                stop = min(last, found.end()) if first == stop and share >= GLUED else stop
        is_whole = not (self.is_cut and stop == len(self.text))
        is_long = RUN.match(found[0]) is not None and stop - found.start() > LONGEST
        return (found.start(), stop) if is_whole and not is_long else (start, start)


class _Writer:
    """The model that wrote a sentence, asked to write it in other ways."""

    def __init__(self, engine: Engine, way: Way, source: str, caller: Caller) -> None:
        self.engine, self.caller = engine, caller
        self.model: Model = engine.catalogue.find(way.model)
        self.tries = FEW_RIVALS if self.model.is_language_model else RIVALS
        given = way.source
        if way.via:
            asked = ask(engine.catalogue.find(way.via), source, way.source, PIVOT)
            source, given = self._written(way.via, [asked])[0].text.strip(), PIVOT
        self._request, self._is_spaceless = ask(self.model, source, given, way.target), way.target in SPACELESS

    def going_on(self, before: str, rivals: int, *, is_whole: bool = False) -> Generation:
        """What comes after a beginning, up to the sentence's end at least where `is_whole`, with what else could."""
        request = replace(begun(self.model, self._request, before), top_logprobs=rivals)
        if self.model.is_language_model and not is_whole:  # whose answer is what comes next
            request = replace(request, sampling=replace(request.sampling, max_new_tokens=1))
        return self._written(self.model.id, [request])[0]

    def gone_on(self, beginnings: Sequence[str]) -> list[str]:
        """Whole sentences with these beginnings."""
        return [made.text.strip() for made in self._begun(self._request, beginnings)]

    def begun_with(self, beginnings: Sequence[str]) -> list[_Made]:
        """Sentences with these beginnings; of a language model no more than the next word."""
        request = replace(self._request, top_logprobs=int(self._is_spaceless))
        if self.model.is_language_model:
            request = replace(request, sampling=replace(request.sampling, max_new_tokens=WORD_TOKENS))
        return self._begun(request, beginnings)

    def _begun(self, request: Generate, beginnings: Sequence[str]) -> list[_Made]:
        if not beginnings:
            return []
        is_rest = self.model.is_language_model
        written = self._written(self.model.id, [begun(self.model, request, one) for one in beginnings])
        made = []
        for beginning, one in zip(beginnings, written, strict=True):
            lead = beginning if is_rest else ""
            ends = list(accumulate((len(token.text) for token in one.tokens), initial=len(lead)))
            shares = [math.exp(token.logprob or 0.0) for token in one.tokens]
            is_cut = is_rest and one.finish_reason == "length"
            text = lead + one.text if is_rest else one.text.strip()
            made.append(_Made(text, is_cut, list(zip(ends, ends[1:], shares, strict=False))))
        return made

    def rivals(self, first: Generation, before: str) -> list[tuple[str, float]]:
        """What could have come in the place of what came after a beginning, the likeliest first, with probabilities."""
        end, place = 0, 0 if self.model.is_language_model else len(before)
        for token in first.tokens:
            if end >= place:
                return [(piece, math.exp(logprob)) for piece, logprob in token.top_logprobs]
            end += len(token.text)
        return []

    def searched(self, count: int) -> list[str]:
        """The best and the next best sentences."""
        (found,) = self._written(self.model.id, [replace(self._request, alternatives=count)])
        return [found.text.strip(), *(one.text.strip() for one in found.alternatives)]

    def _written(self, model_id: str, requests: Sequence[Generate]) -> list[Generation]:
        results = self.engine.run(model_id, requests, self.caller)
        return [one for one in results if isinstance(one, Generation)]


def _branched(writer: _Writer, count: int, target: str) -> list[str]:
    """Sentences that leave the likeliest one where another word was nearly as likely."""
    first = writer.going_on("", 2, is_whole=True)
    forks: list[tuple[float, str]] = []
    before = ""
    for token in first.tokens:
        other = next((one for one in token.top_logprobs if _begins_word(one[0], before.strip(), target)), None)
        if other and token.logprob is not None and _begins_word(token.text, before.strip(), target):
            forks.append((other[1] - token.logprob, (before + other[0]).strip()))
        before += token.text
    return writer.gone_on([beginning for _, beginning in sorted(forks, reverse=True)[: count + 1]])


def _begins_word(piece: str, before: str, target: str) -> bool:
    is_text = WORD.match(piece.strip()) and not any("\ud800" <= letter <= "\udfff" for letter in piece)
    return bool(is_text) and (piece.startswith(" ") or not before or target in SPACELESS)


def _is_same(word: str, now: str) -> bool:
    """Whether a word stands there already, if in another case; where words are not parted, so does what `now` begins
    with."""
    return word.casefold() == now.casefold() or (RUN.match(word) is not None and now.startswith(word))


def _numbers(word: str) -> list[str]:
    """The numbers in a word; of a run without spaces the one that it begins with."""
    found = _NUMBER.match(word)
    return ([found[0]] if found else []) if RUN.match(word) else _NUMBER.findall(word)
