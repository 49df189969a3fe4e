"""The words of a finished translation: how sure the model is of each, where it comes from, and what could stand there.

All is asked of the model that translated, where its runtime can tell; nothing of it is needed to translate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.applications.alignments import Link, links
from engine.applications.sentences import Sentence, Translation
from engine.applications.translate import TranslateResult
from engine.errors import PeopleError
from engine.inspections import Score
from engine.messages import NOTHING
from engine.requests import Generate, Generation, Sampling, Scoring
from engine.serving.protocol import Caller, Engine

DOUBTFUL = 0.5
"""Probability of its least likely piece below which a word is marked. In 120 sentences of FLORES dev into Portuguese
4 % of the words of four letters and more; the reference has 39 % of these, and 66 % of all."""
MAX_SENTENCES = 60
"""Of a text whose words are looked at: each takes a fortieth of a second."""
CHOICES, RIVALS = 3, 8
"""Alternatives offered for a word; first pieces that are tried for them."""
_WORD = re.compile(r"\w+(?:['’-]\w+)*")


@dataclass(frozen=True)
class Choice:
    """Another word, and the whole sentence as it would go on from there."""

    word: str
    text: str


def find_words(engine: Engine, result: TranslateResult, caller: Caller) -> list[list[Link]]:
    """The words of a single text's sentences; [] where the runtime cannot tell, or there are too many."""
    (done,) = result.translations
    if result.via or len(done.sentences) > MAX_SENTENCES:
        return []
    try:
        return words_of(engine, result.model, done.sentences, caller)
    except PeopleError:
        return []


def words_of(engine: Engine, model_id: str, sentences: Sequence[Sentence], caller: Caller) -> list[list[Link]]:
    """For each sentence, its words with their probability and the word of the source that they look at most.

    Raises what the engine raises, UnsupportedError where the runtime cannot tell.
    """
    asked = [(place, one) for place, one in enumerate(sentences) if one.text.strip() and one.source.strip()]
    found: list[list[Link]] = [[] for _ in sentences]
    results = engine.run(model_id, [Score(one.text, one.source) for _, one in asked], caller) if asked else []
    for (place, one), result in zip(asked, results, strict=True):
        assert isinstance(result, Scoring)
        if result.alignment:
            found[place] = links(one.source, result.tokens, result.alignment)
    return found


def exchanged(translation: Translation, place: int, text: str) -> Translation:
    """The translation with another text for one of its sentences, whose confidence is unknown then."""
    start, end = translation.places()[place] or (0, 0)
    sentences = list(translation.sentences)
    sentences[place] = replace(sentences[place], text=text, score=None, warning=NOTHING)
    return replace(
        translation, text=translation.text[:start] + text + translation.text[end:], score=None, sentences=sentences
    )


def is_doubtful(link: Link) -> bool:
    """Whether the model found the word unlikely itself."""
    return link.probability is not None and link.probability < DOUBTFUL


def alternatives(engine: Engine, model_id: str, sentence: Sentence, start: int, caller: Caller) -> list[Choice]:
    """Other words for the one that begins at `start` in the translation, the likeliest first; the rest is made anew.

    Raises what the engine raises.
    """
    before, now = sentence.text[:start].rstrip(), _first_word(sentence.text[start:])
    (first,) = engine.run(model_id, [_going_on(sentence, before, RIVALS)], caller)
    assert isinstance(first, Generation)
    pieces = [piece for piece in _rivals(first, len(before)) if _begins_word(piece, before)]
    results = engine.run(model_id, [_going_on(sentence, before + piece, 0) for piece in pieces], caller)
    texts = [result.text.strip() for result in results if isinstance(result, Generation)]
    found = {_first_word(text[len(before) :]): text for text in reversed(texts)}  # the likelier of two like ones stays
    return [Choice(word, found[word]) for word in reversed(found) if word and word != now][:CHOICES]


def _rivals(generation: Generation, place: int) -> list[str]:
    """The other pieces at that place of the text, the likeliest first."""
    end = 0
    for token in generation.tokens:
        if end >= place:
            return [piece for piece, _ in token.top_logprobs]
        end += len(token.text)
    return []


def _begins_word(piece: str, before: str) -> bool:
    return bool(_WORD.match(piece.strip())) and (piece.startswith(" ") or not before)


def _going_on(sentence: Sentence, beginning: str, rivals: int) -> Generate:
    sampling = Sampling(max_new_tokens=256, temperature=0.0)
    return Generate(sentence.source, sampling=sampling, beginning=beginning, top_logprobs=rivals)


def _first_word(text: str) -> str:
    found = _WORD.search(text)
    return found[0] if found else ""
