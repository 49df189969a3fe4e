"""Translation: languages, prompts by style of model, sentence by sentence, confidence, and a guard against loops."""

from __future__ import annotations

import logging
import math
import tomllib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.applications import Application
from engine.applications.faults import find_fault, is_word
from engine.applications.languages import LANGUAGES, SPACELESS, detect_language, guess_language, names_of, read_tables
from engine.applications.literals import Kept, keep_aside, restored
from engine.applications.segments import split
from engine.backends.languages import TARGET_TAGS
from engine.catalogue.models import Catalogue, Model
from engine.errors import InputError, PeopleError, UnsupportedError
from engine.evaluation.metrics import bleu, chrf
from engine.messages import NOTHING, Text
from engine.requests import Event, Generate, Generation, Message, Sampling, clean_texts
from engine.serving.protocol import Caller, Engine

log = logging.getLogger(__name__)

AGAIN_PENALTY = 1.15
"""Repetition penalty of a second try."""
PAIR_LABELS = {
    "opus-mt-en-zh": ">>cmn_Hans<< ",
    "opus-mt-es-zh": ">>cmn_Hans<< ",
    "opus-mt-de-zh": ">>zh_cn<< ",
}
"""Pair models that know several written forms of their target must be told which (their model cards)."""

_PROMPTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
SHOTS: dict[str, list[str]] = _PROMPTS["shots"]
"""The same sentences in every language of the few-shot prompts."""
NAMES: dict[str, str] = _PROMPTS["names"]
"""What stands before a line of such a prompt."""


@dataclass(frozen=True)
class TranslateRequest:
    """`text` is one text or several; languages are ISO 639-1 codes, or "auto" for the source."""

    text: str | list[str]
    source: str = "auto"
    target: str = "fr"
    model: str | None = None


@dataclass(frozen=True)
class Sentence:
    """One sentence, its translation, and the model's confidence in it (0 to 1, None where unknown)."""

    source: str
    text: str
    score: float | None
    warning: Text = NOTHING
    """What still looks broken after a second try."""
    is_second_try: bool = False
    """The first translation looked broken and was made again in another way."""


@dataclass(frozen=True)
class Translation:
    """A translated text. `score` is the geometric mean of token probabilities; `source` the language it was taken for.

    `sentences` are in the order of the text; `warning` is the first of theirs.
    """

    text: str
    score: float | None
    source: str
    sentences: list[Sentence] = field(default_factory=list)
    warning: Text = NOTHING


@dataclass(frozen=True)
class TranslateResult:
    """Translations in the order of the texts, the model, and the settings that acted."""

    translations: list[Translation]
    model: str
    settings: dict[str, Any] = field(default_factory=dict)


def languages_of(model: Model) -> list[str]:
    """Codes that the model can translate from or to, in the order of the pickers; all where the model does not say."""
    known = set(model.pair or model.languages or LANGUAGES)
    if _style(model) == "few-shot":
        known &= set(SHOTS)
    return [code for code in LANGUAGES if code in known]


def best_for(catalogue: Catalogue, request: TranslateRequest) -> str | None:
    """The embedded model that was made for this very pair, where there is one. A source is guessed only for that."""
    made = {model.pair: model.id for model in APPLICATION.models(catalogue) if model.is_embedded and model.pair}
    source = request.source
    if source == "auto" and any(pair and pair[1] == request.target for pair in made):
        text = request.text if isinstance(request.text, str) else next(iter(request.text), "")
        source = guess_language(text)[0] if isinstance(text, str) else source
    return made.get((source, request.target))


def stream(engine: Engine, request: TranslateRequest, caller: Caller) -> Iterator[Event]:
    """Translate; the last event's result is a TranslateResult. Sentences run at once, as far as there are slots.

    Of one text the text events join to the translation; where a sentence had to be made again, a "replace" event holds
    the whole translation so far. Of several texts only the waiting shows.
    Raises InputError, TooLargeError, UnsupportedError for fields and languages, and what the engine raises.
    """
    model = APPLICATION.choose(engine.catalogue, request.model or best_for(engine.catalogue, request))
    texts = clean_texts(request.text, "text", engine.settings.max_text_characters, engine.settings.max_rows)
    works = [_Work(engine, model, request, text, caller) for text in texts]
    is_one = isinstance(request.text, str)
    for event in _work_off(engine, model, works, caller):
        yield event if is_one or event.kind in ("queued", "loading") else Event("queued")
    settings = next((work.settings for work in works if work.settings), {})
    yield Event("done", result=TranslateResult([work.translation() for work in works], model.id, settings))


def _work_off(engine: Engine, model: Model, works: Sequence[_Work], caller: Caller) -> Iterator[Event]:
    """Have all sentences translated; the events of each in turn."""
    places = [(work, index) for work in works for index in range(len(work.asked))]
    requests = [work.request(index) for work, index in places]
    for number, event in engine.stream_all(model.id, requests, caller) if requests else ():
        work, index = places[number]
        if event.kind == "text":
            yield from work.show(index, event)
        elif event.kind == "done":
            yield from work.finish(index, event.result)
        else:
            yield event
    for work in works:
        yield from work.end()


class _Work:
    """One clean text on its way: cut into sentences, asked for, put together again."""

    def __init__(self, engine: Engine, model: Model, request: TranslateRequest, text: str, caller: Caller) -> None:
        self.engine, self.model, self.caller = engine, model, caller
        has_words = any(segment.text for segment in split(text))
        self.source, self.target = _languages(model, request, text if has_words else None)
        self.segments = split(text, self.source)
        self.asked = [segment for segment in self.segments if segment.text]
        self.kept = [self._kept(segment.text) for segment in self.asked]
        self.sentences: list[Sentence] = []
        self.logprobs: list[tuple[float, int]] = []
        self.settings: dict[str, Any] = {}
        self._raw = self._shown = ""

    def request(self, index: int, is_again: bool = False) -> Generate:
        """What the model is asked for a sentence."""
        return ask(self.model, self.kept[index].text, self.source, self.target, is_again=is_again)

    def _kept(self, text: str) -> Kept:
        """What the model reads: literals are kept aside where it knows nothing but to translate."""
        return keep_aside(text, self.source, self.target) if _style(self.model) == "pair" else Kept(text)

    def _restored(self, index: int, generation: Generation) -> Generation:
        """The translation with literals put back, without the stop that a word alone was given for a second try."""
        text = restored(generation.text.strip(), self.kept[index], self.target)
        return replace(generation, text=text.removesuffix(".") if is_word(self.asked[index].text) else text)

    def show(self, index: int, event: Event) -> Iterator[Event]:
        """Pass on the new text of a sentence. Space at its end waits: it may be the last of it, and then goes."""
        self._raw += event.text
        if self.kept[index].text != self.asked[index].text:
            return  # the marks in it mean nothing to a reader: it shows when it is whole
        new = self._raw.strip()[len(self._shown) :]
        if new:
            yield Event("text", text=new if self._shown else self._gap(index) + new, token=event.token)
            self._shown += new

    def finish(self, index: int, first: Generation) -> Iterator[Event]:
        """Keep a sentence, after a second try where the first looks broken; the better one of both is kept."""
        source, is_better = self.asked[index].text, False
        chosen = first = self._restored(index, first)
        fault = find_fault(source, first, self.target)
        if fault and first.finish_reason != "deadline":
            second = yield from self._again(index)
            if second is not None and not find_fault(source, second, self.target):
                chosen, fault, is_better = second, NOTHING, True
        if chosen.mean_logprob is not None:
            self.logprobs.append((chosen.mean_logprob, max(1, chosen.new_tokens)))
        score = None if chosen.mean_logprob is None else math.exp(chosen.mean_logprob)
        self.sentences.append(Sentence(source, chosen.text.strip(), score, fault, is_better))
        self.settings = self.settings or dict(first.settings)
        if chosen.text.strip() != self._shown:
            yield Event("replace", text=self._joined())
        self._raw = self._shown = ""

    def _again(self, index: int) -> Generator[Event, None, Generation | None]:
        """The second try, None where it cannot be had; yields only signs of life, because it may be no better."""
        try:
            for event in self.engine.stream(self.model.id, self.request(index, is_again=True), self.caller):
                if event.kind == "done":
                    return self._restored(index, event.result)
                yield event if event.kind in ("queued", "loading") else Event("queued")
        except PeopleError:
            log.info("no second try of a sentence", exc_info=True)
        return None

    def end(self) -> Iterator[Event]:
        """What stands behind the last sentence."""
        if tail := self._tail():
            yield Event("text", text=tail)

    def translation(self) -> Translation:
        """The whole text with all sentences kept."""
        tokens = sum(count for _, count in self.logprobs)
        score = math.exp(sum(mean * count for mean, count in self.logprobs) / tokens) if tokens else None
        warning = next((sentence.warning for sentence in self.sentences if sentence.warning), NOTHING)
        return Translation(self._joined() + self._tail(), score, self.source, list(self.sentences), warning)

    def _gap(self, index: int) -> str:
        """What stands before a sentence. Within a line it is as the target writes: a space, in Chinese none."""
        before = self.asked[index].before
        if index == 0 or before.strip(" "):
            return before
        return "" if self.target in SPACELESS else before or " "

    def _joined(self) -> str:
        return "".join(self._gap(index) + sentence.text for index, sentence in enumerate(self.sentences))

    def _tail(self) -> str:
        return self.segments[-1].before if self.segments and not self.segments[-1].text else ""


def ask(model: Model, text: str, source: str, target: str, *, is_again: bool = False) -> Generate:
    """The request that has the model translate one sentence; greedy, in the form that the model was made for.

    `is_again` asks in another way, for a sentence whose first translation looked broken.
    """
    per_character = 2.0 if source in SPACELESS else 0.6
    sampling = Sampling(
        max_new_tokens=min(512, 24 + int(len(text) * per_character)),
        temperature=0.0,
        repetition_penalty=AGAIN_PENALTY if is_again else 1.0,
    )
    style = _style(model)
    if style == "few-shot":
        prompt = few_shot_prompt(source, target, text, is_again=is_again)
        return Generate(prompt, sampling=replace(sampling, stop=("\n",)), is_scored=True)
    if style == "chat":
        order = (
            f"Translate from {LANGUAGES[source]} to {LANGUAGES[target]}. Answer with the translation only.\n\n{text}"
        )
        return Generate(messages=(Message("user", order),), sampling=sampling, is_scored=True)
    if style == "t5":
        return Generate(f"translate {LANGUAGES[source]} to {LANGUAGES[target]}: {text}", sampling=sampling)
    if style == "tags":
        return Generate(f"{TARGET_TAGS[target]} {text}", sampling=sampling)
    if style == "pair" and is_again and is_word(text):
        return Generate(f"{PAIR_LABELS.get(model.id, '')}{text}.", sampling=replace(sampling, repetition_penalty=1.0))
    if style == "pair":
        return Generate(PAIR_LABELS.get(model.id, "") + text, sampling=sampling)
    return Generate(text, sampling=sampling, source=source, target=target)


def few_shot_prompt(source: str, target: str, text: str, *, is_again: bool = False) -> str:
    """Translated sentences and the one to translate; what stands before it is the same for every text of a pair."""
    shots = list(zip(SHOTS[source], SHOTS[target], strict=True))
    if is_again:
        shots.reverse()
    lines = [f"{NAMES[source]}: {one}\n{NAMES[target]}: {other}\n" for one, other in shots]
    return "\n".join([*lines, f"{NAMES[source]}: {text}\n{NAMES[target]}:"])


def _style(model: Model) -> str:
    if model.prompt_style and model.prompt_style != "instruct":
        return model.prompt_style
    if model.architecture == "causal":
        return "chat" if model.is_chat else "few-shot"
    return "pair" if model.pair else "codes"


def _languages(model: Model, request: TranslateRequest, text: str | None) -> tuple[str, str]:
    """Source and target, checked; without a text with words there is nothing to detect."""
    source, target, known = request.source, request.target, languages_of(model)
    for name, code in (("source", source), ("target", target)):
        if code not in known and not (name == "source" and code == "auto"):
            raise InputError(
                "{model} does not know {field} {code}. It knows {known}.",
                param=name, model=model.title, field=name, code=repr(code), known=names_of(known),
            )  # fmt: skip
    if source == "auto":
        source = detect_language(text, known) if text else next(code for code in known if code != target)
    if source == target:
        raise InputError(
            "The text is already in {language}. Choose another target language.",
            param="target", language=LANGUAGES[target],
        )  # fmt: skip
    if model.sources and source not in model.sources:
        raise UnsupportedError(
            "{model} translates only from {languages}. Choose that source or another model.",
            param="source", model=model.title, languages=names_of(model.sources),
        )  # fmt: skip
    if model.pair and tuple(model.pair) != (source, target):
        raise UnsupportedError(
            "{model} translates only {source} to {target}. Choose that pair or another model.",
            param="model", model=model.title, source=LANGUAGES[model.pair[0]], target=LANGUAGES[model.pair[1]],
        )  # fmt: skip
    return source, target


SAMPLES = (
    TranslateRequest(
        "The museum opens at nine. On the first Sunday of the month, entry is free for everyone.", "en", "fr"
    ),
    TranslateRequest("Bonjour ! Je cherche un petit restaurant tranquille près de la gare.", "fr", "en"),
    TranslateRequest("Am Wochenende wollen wir in den Bergen wandern, wenn das Wetter gut bleibt.", "de", "es"),
    TranslateRequest("我们明天早上八点在图书馆门口见面。", "zh", "en"),
)

APPLICATION = Application(
    id="translate",
    title=Text("Translate"),
    summary=Text("Translate between English, French, German, Spanish, Chinese and Portuguese, sentence by sentence."),
    icon="translate",
    order=10,
    architectures=frozenset({"causal", "seq2seq"}),
    default_model="gemma-3-270m",
    picker="translator",
    example={"text": "Bonjour ! Je cherche un restaurant.", "from": "French", "to": "English"},
    request_type=TranslateRequest,
    result_type=TranslateResult,
    stream=stream,
    samples=SAMPLES,
    metrics={"bleu": bleu, "chrf": chrf},
    page="translate.py",
    prepare=read_tables,
    suits=lambda model: model.pair is not None or model.prompt_style == "codes",
)
