"""Translation: languages, prompts by style of model, sentence by sentence, confidence, and a guard against loops."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.applications.languages import LANGUAGES, detect_language, in_words
from engine.applications.segments import split
from engine.catalogue import Model
from engine.core import Engine
from engine.errors import InputError, UnsupportedError
from engine.requests import Event, Generate, Generation, Message, Sampling, clean_text

DEFAULT_MODEL = "gemma-3-270m"

SHOTS: dict[str, tuple[str, ...]] = {
    "en": (
        "The train to the coast leaves at half past seven.",
        "She has been learning the piano since she was six years old.",
        "According to the report, prices rose by 4 percent last year.",
        "Could you please tell me where the nearest pharmacy is?",
        "The old bridge was destroyed in the war and rebuilt ten years later.",
    ),
    "fr": (
        "Le train pour la côte part à sept heures et demie.",
        "Elle apprend le piano depuis l'âge de six ans.",
        "Selon le rapport, les prix ont augmenté de 4 % l'année dernière.",
        "Pourriez-vous me dire où se trouve la pharmacie la plus proche ?",
        "Le vieux pont a été détruit pendant la guerre et reconstruit dix ans plus tard.",
    ),
    "de": (
        "Der Zug an die Küste fährt um halb acht ab.",
        "Sie lernt Klavier, seit sie sechs Jahre alt ist.",
        "Dem Bericht zufolge stiegen die Preise im vergangenen Jahr um 4 Prozent.",
        "Könnten Sie mir bitte sagen, wo die nächste Apotheke ist?",
        "Die alte Brücke wurde im Krieg zerstört und zehn Jahre später wieder aufgebaut.",
    ),
    "es": (
        "El tren a la costa sale a las siete y media.",
        "Ella aprende a tocar el piano desde los seis años.",
        "Según el informe, los precios subieron un 4 % el año pasado.",
        "¿Podría decirme dónde está la farmacia más cercana?",
        "El viejo puente fue destruido en la guerra y reconstruido diez años después.",
    ),
    "zh": (
        "开往海边的火车七点半出发。",
        "她从六岁起就一直在学钢琴。",
        "报告称，去年物价上涨了百分之四。",
        "请问最近的药店在哪里？",
        "那座古桥在战争中被毁，十年后重建。",
    ),
}
"""The same five sentences in every language of the few-shot prompts, written for this project."""


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
    warning: str = ""


@dataclass(frozen=True)
class Translation:
    """A translation. `score` is the geometric mean of token probabilities, `source` the language it was taken for."""

    text: str
    score: float | None
    source: str
    sentences: list[Sentence] = field(default_factory=list)
    warning: str = ""


@dataclass(frozen=True)
class TranslateResult:
    """Translations in the order of the texts, the model, and the settings that acted."""

    translations: list[Translation]
    model: str
    settings: dict[str, Any] = field(default_factory=dict)


def languages_of(model: Model) -> list[str]:
    """Codes that the model can translate from or to, in the order of the pickers."""
    known = set(model.pair or model.languages)
    if _style(model) == "few-shot":
        known &= set(SHOTS)
    return [code for code in LANGUAGES if code in known]


def stream(engine: Engine, request: TranslateRequest) -> Iterator[Event]:
    """Translate one text; text events join to the translation, the last event's result is a TranslateResult.

    Raises InputError, TooLargeError, UnsupportedError for fields and languages, and what the engine raises.
    """
    if not isinstance(request.text, str):
        raise InputError("text must be one text to be streamed.", param="text")
    job = _Job(engine, request, request.text)
    yield from job.events()


def run(engine: Engine, request: TranslateRequest) -> TranslateResult:
    """Translate one or several texts, sentences of all of them at the same time as far as the model has slots."""
    texts = [request.text] if isinstance(request.text, str) else list(request.text)
    if not 1 <= len(texts) <= engine.settings.max_rows:
        raise InputError(f"text takes from 1 to {engine.settings.max_rows:,} texts; there are {len(texts):,}.", "text")
    jobs = [_Job(engine, request, text) for text in texts]
    requests = [ask for job in jobs for ask in job.requests]
    generations = iter(engine.run(jobs[0].model.id, requests))
    for job in jobs:
        for index in range(len(job.requests)):
            job.take(index, next(generations))  # type: ignore[arg-type]
    return TranslateResult([job.translation() for job in jobs], jobs[0].model.id, jobs[0].settings)


class _Job:
    """One text on its way: checked, cut into sentences, asked for, put together again."""

    def __init__(self, engine: Engine, request: TranslateRequest, text: str) -> None:
        self.engine = engine
        self.model = engine.catalogue.find(request.model or DEFAULT_MODEL)
        text = clean_text(text, "text", engine.settings.max_text_characters)
        self.source, self.target = _languages(self.model, request.source, request.target, text)
        self.segments = split(text)
        self.asked = [segment for segment in self.segments if segment.text]
        self.requests = [ask(self.model, segment.text, self.source, self.target) for segment in self.asked]
        self.sentences: list[Sentence] = []
        self.logprobs: list[tuple[float, int]] = []
        self.settings: dict[str, Any] = {}

    def events(self) -> Iterator[Event]:
        """Stream the sentences in order, with what lies between them."""
        opened = -1
        for index, event in self.engine.stream_all(self.model.id, self.requests):
            if event.kind == "text":
                text = event.text
                if opened < index:
                    opened, text = index, self.asked[index].before + text.lstrip()
                yield Event("text", text=text, token=event.token)
            elif event.kind == "done":
                streamed = event.result.text.strip()
                if self.take(index, event.result).text != streamed:
                    opened = index
                    yield Event("replace", text=self._joined())
            else:
                yield event
        if tail := self._tail():
            yield Event("text", text=tail)
        yield Event("done", result=TranslateResult([self.translation()], self.model.id, self.settings))

    def take(self, index: int, generation: Generation) -> Sentence:
        """Keep a sentence's translation, after one more try where the first one looks broken."""
        source = self.asked[index].text
        fault = find_fault(source, generation, self.target)
        if fault:
            again = self._again(index)
            if not find_fault(source, again, self.target):
                generation, fault = again, ""
        score = None if generation.mean_logprob is None else math.exp(generation.mean_logprob)
        if generation.mean_logprob is not None:
            self.logprobs.append((generation.mean_logprob, max(1, generation.new_tokens)))
        sentence = Sentence(source, generation.text.strip(), score, fault)
        self.sentences.append(sentence)
        self.settings = dict(generation.settings)
        return sentence

    def _again(self, index: int) -> Generation:
        request = self.requests[index]
        changed = replace(request, sampling=replace(request.sampling, repetition_penalty=1.3))
        return self.engine.run(self.model.id, [changed])[0]  # type: ignore[return-value]

    def _joined(self) -> str:
        pairs = zip(self.asked, self.sentences, strict=False)
        return "".join(segment.before + sentence.text for segment, sentence in pairs)

    def _tail(self) -> str:
        return self.segments[-1].before if self.segments and not self.segments[-1].text else ""

    def translation(self) -> Translation:
        tokens = sum(count for _, count in self.logprobs)
        score = math.exp(sum(mean * count for mean, count in self.logprobs) / tokens) if tokens else None
        faults = [sentence.warning for sentence in self.sentences if sentence.warning]
        return Translation(
            self._joined() + self._tail(), score, self.source, list(self.sentences), faults[0] if faults else ""
        )


def ask(model: Model, text: str, source: str, target: str) -> Generate:
    """The request that has the model translate one sentence; greedy, in the form that the model was made for."""
    per_character = 2.0 if source in ("zh", "ja", "ko") else 0.7
    sampling = Sampling(max_new_tokens=min(512, 24 + int(len(text) * per_character)), temperature=0.0)
    style = _style(model)
    if style == "few-shot":
        stops = replace(sampling, stop=("\n",))
        return Generate(few_shot_prompt(source, target, text), sampling=stops, top_logprobs=1)
    if style == "chat":
        order = (
            f"Translate from {LANGUAGES[source]} to {LANGUAGES[target]}. Answer with the translation only.\n\n{text}"
        )
        return Generate(messages=(Message("user", order),), sampling=sampling, top_logprobs=1)
    if style == "t5":
        return Generate(f"translate {LANGUAGES[source]} to {LANGUAGES[target]}: {text}", sampling=sampling)
    return Generate(text, sampling=sampling, source=source, target=target)


def few_shot_prompt(source: str, target: str, text: str) -> str:
    """Five translated sentences and the one to translate; the part before it is the same for every text of a pair."""
    lines = [
        f"{LANGUAGES[source]}: {one}\n{LANGUAGES[target]}: {other}\n"
        for one, other in zip(SHOTS[source], SHOTS[target], strict=True)
    ]
    return "\n".join([*lines, f"{LANGUAGES[source]}: {text}\n{LANGUAGES[target]}:"])


def find_fault(source: str, generation: Generation, target: str) -> str:
    """What looks broken about a translation, in a sentence for people; empty when nothing does."""
    text = generation.text.strip()
    if not text:
        return "The model gave no translation for a sentence."
    if is_looping(text):
        return "A sentence repeats itself; the model lost the thread there."
    if generation.finish_reason == "length":
        return "A sentence reached the length limit and may be cut off."
    if len(source.split()) > 3 and text.casefold() == source.casefold():
        return "A sentence came back untranslated."
    return ""


def is_looping(text: str) -> bool:
    """Whether a piece of the text follows itself at least four times and makes up most of it."""
    units: Sequence[str] = text.split() if " " in text else list(text)
    for size in range(1, len(units) // 4 + 1):
        tail = list(units[-size:])
        count = 1
        while list(units[-size * (count + 1) : -size * count]) == tail:
            count += 1
        if count >= 4 and size * count > len(units) / 2:
            return True
    return False


def _style(model: Model) -> str:
    if model.prompt_style:
        return model.prompt_style
    if model.architecture == "causal":
        return "chat" if model.is_chat else "few-shot"
    return "codes" if len(model.languages) > 2 else "pair"


def _languages(model: Model, source: str, target: str, text: str) -> tuple[str, str]:
    known = languages_of(model) or list(LANGUAGES)
    for name, code in (("source", source), ("target", target)):
        if code not in known and not (name == "source" and code == "auto"):
            raise InputError(f"{model.title} does not know {name} {code!r}. It knows {in_words(known)}.", param=name)
    if source == "auto":
        source = model.pair[0] if model.pair else detect_language(text, known)
    if source == target:
        raise InputError(f"The text is already in {LANGUAGES[target]}. Choose another target language.", param="target")
    if model.pair and model.pair != (source, target):
        pair = f"{LANGUAGES[model.pair[0]]} to {LANGUAGES[model.pair[1]]}"
        raise UnsupportedError(f"{model.title} translates only {pair}. Choose that pair or another model.", "model")
    return source, target


SAMPLES = (
    TranslateRequest(
        "The museum opens at nine. On the first Sunday of the month, entry is free for everyone.", "en", "fr"
    ),
    TranslateRequest("Bonjour ! Je cherche un petit restaurant tranquille près de la gare.", "fr", "en"),
    TranslateRequest("Am Wochenende wollen wir in den Bergen wandern, wenn das Wetter gut bleibt.", "de", "es"),
    TranslateRequest("我们明天早上八点在图书馆门口见面。", "zh", "en"),
)
