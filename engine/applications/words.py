"""The words of a finished translation: how sure the model is of each, where it comes from, and what could stand there.

Probabilities and alternatives come from the model that translated. Where its runtime tells of no word's source, as only
Marian students do, the multilingual encoder does. Nothing of it is needed to translate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from engine.applications.alignments import Link, links
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
MAX_OTHERS = 5
"""Other translations of a sentence."""
SHOWN_LETTERS = 4
"""Of another word where words are not parted."""
_WORD = re.compile(r"\w+(?:['’-]\w+)*")


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

    None where the encoder, which nobody waits for here, is only now being read; not on a small machine.
    """
    (done,) = result.translations
    if len(done.sentences) > MAX_SENTENCES:
        return []
    try:
        if not result.via:
            with suppress(UnsupportedError):
                return _linked(done.sentences, partial(_own_scores, engine, result.model, caller))
        if not engine.is_loaded(ENCODER):
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
    before, now = sentence.text[:start].rstrip(), _first_word(sentence.text[start:], way.target)
    pieces = writer.rivals(writer.going_on(before, RIVALS), before)
    pieces = [piece for piece in pieces if _begins_word(piece, before, way.target)][: writer.tries]
    texts = writer.gone_on([before + piece if before else piece.strip() for piece in pieces], is_word=True)
    found: dict[str, Choice] = {}
    for text in texts:
        word = _first_word(text[len(before) :], way.target)
        if word and word != now and word not in found:
            beginning = text[: text.index(word, len(before)) + len(word)]
            found[word] = Choice(word, beginning, "" if writer.model.is_language_model else text)
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
        self._request = ask(self.model, source, given, way.target)

    def going_on(self, before: str, rivals: int, *, is_whole: bool = False) -> Generation:
        """What comes after a beginning, up to the sentence's end at least where `is_whole`, with what else could."""
        request = replace(begun(self.model, self._request, before), top_logprobs=rivals)
        if self.model.is_language_model and not is_whole:  # whose answer is what comes next
            request = replace(request, sampling=replace(request.sampling, max_new_tokens=1))
        return self._written(self.model.id, [request])[0]

    def gone_on(self, beginnings: Sequence[str], *, is_word: bool = False) -> list[str]:
        """Whole sentences with these beginnings; of a language model no more than the next word, where `is_word`."""
        if not beginnings:
            return []
        is_rest, request = self.model.is_language_model, self._request
        if is_rest and is_word:
            request = replace(request, sampling=replace(request.sampling, max_new_tokens=WORD_TOKENS))
        written = self._written(self.model.id, [begun(self.model, request, one) for one in beginnings])
        return [
            (beginning + one.text if is_rest else one.text).strip()
            for beginning, one in zip(beginnings, written, strict=True)
        ]

    def rivals(self, first: Generation, before: str) -> list[str]:
        """What could have come in the place of what came after a beginning, the likeliest first."""
        end, place = 0, 0 if self.model.is_language_model else len(before)
        for token in first.tokens:
            if end >= place:
                return [piece for piece, _ in token.top_logprobs]
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
    is_text = _WORD.match(piece.strip()) and not any("\ud800" <= letter <= "\udfff" for letter in piece)
    return bool(is_text) and (piece.startswith(" ") or not before or target in SPACELESS)


def _first_word(text: str, target: str) -> str:
    found = _WORD.search(text)
    return (found[0][:SHOWN_LETTERS] if target in SPACELESS else found[0]) if found else ""
