"""What can be asked of a model, and what comes back: plain frozen dataclasses, the same for every backend.

Applications build these from what a person typed; backends work on them. Nothing here knows a prompt or a runtime.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from engine.errors import InputError, TooLargeError
from engine.inspections import Align, Look, Origin, Score, Seen

Task = Literal["generate", "classify", "extract", "fill", "embed", "score"]
FinishReason = Literal["stop", "length", "cancelled", "deadline"]

SAMPLING_LIMITS: dict[str, tuple[float, float]] = {
    "max_new_tokens": (1, 4096),
    "temperature": (0.0, 2.0),
    "top_p": (0.01, 1.0),
    "top_k": (0, 1000),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.5, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
BEYOND = 1e15
"""A number from here on is not repeated in a sentence: it may be infinite, or have hundreds of digits."""
MAX_STOPS = 8
MAX_STOP_CHARACTERS = 64
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, in the order of application: penalties, temperature, top-k, top-p, min-p."""

    max_new_tokens: int = 128
    """Length of the answer at most, in tokens."""
    temperature: float = 0.7
    """Logits are divided by it; 0 always takes the likeliest token (greedy)."""
    top_p: float = 1.0
    """Keep the likeliest tokens whose probabilities add up to this; 1 keeps all."""
    top_k: int = 0
    """Keep this many of the likeliest tokens; 0 keeps all."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the likeliest one; 0 drops none."""
    repetition_penalty: float = 1.0
    """Above 1, tokens already seen become less likely (Keskar et al. 2019)."""
    presence_penalty: float = 0.0
    """Taken off the logit of each token that prompt or answer hold."""
    frequency_penalty: float = 0.0
    """Taken off the logit of a token as often as prompt and answer hold it."""
    stop: tuple[str, ...] = ()
    """Strings that end the answer; they are not part of it."""
    seed: int | None = None
    """The same seed gives the same text on one machine; None draws one and reports it."""

    def resolved(self) -> Sampling:
        """Return these settings as they will act: limits checked, a seed drawn, unused filters neutral when greedy.

        Raises InputError naming the field and its limits.
        """
        for name, (low, high) in SAMPLING_LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < BEYOND:
                raise InputError(
                    "{field} must be a number from {low} to {high}.", param=name, field=name, low=low, high=high
                )
            if not low <= value <= high:
                raise InputError(
                    "{field} is {value}; choose a value from {low} to {high}.",
                    param=name, field=name, value=value, low=low, high=high,
                )  # fmt: skip
        stop = tuple(text for text in self.stop if text)
        if len(stop) > MAX_STOPS or any(len(text) > MAX_STOP_CHARACTERS for text in stop):
            raise InputError(
                "stop takes at most {most} strings of {length} characters.",
                param="stop", most=MAX_STOPS, length=MAX_STOP_CHARACTERS,
            )  # fmt: skip
        seed = random.randrange(MAX_SEED) if self.seed is None else self.seed
        if not 0 <= seed <= MAX_SEED:
            raise InputError("seed must be a whole number from 0 to {most}.", param="seed", most=MAX_SEED)
        whole = replace(self, max_new_tokens=int(self.max_new_tokens), top_k=int(self.top_k), stop=stop, seed=seed)
        if whole.temperature == 0:
            return replace(whole, top_p=1.0, top_k=0, min_p=0.0)
        return whole

    @property
    def is_counting(self) -> bool:
        """Whether how often a token was seen matters."""
        return self.presence_penalty != 0 or self.frequency_penalty != 0

    def as_dict(self) -> dict[str, Any]:
        """The settings by name, ready for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"stop": list(self.stop)}


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Generate:
    """Ask for text. Give `prompt` (as is) or `messages` (the model's chat template is applied).

    A last message by the assistant is continued, not answered. For encoder-decoders `prompt` is the source text, and
    `source` and `target` are ISO 639-1 codes for the models that need to be told (M2M100, NLLB).
    """

    prompt: str = ""
    messages: tuple[Message, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    top_logprobs: int = 0
    """How many other likely tokens to report at each place, with their log-probabilities (0 to 20)."""
    source: str | None = None
    target: str | None = None
    is_scored: bool = False
    """Whether the answer's `mean_logprob` is wanted, which not every runtime computes anyway."""
    beginning: str = ""
    """Text that the answer must begin with, and does."""
    alternatives: int = 0
    """How many other answers to tell beside the best, for which a beam is searched."""
    align: bool = False
    """Tell which part of the prompt each token was made from; tokens come with their log-probabilities."""
    grammar: str = ""
    """A grammar in GBNF (llama.cpp) that the answer must follow: an application's, never a person's."""
    ends_loops: bool = False
    """Whether the answer ends where it goes round in a loop, on runtimes that hand it on word by word."""
    common_characters: int = 0
    """Of the prompt's beginning, or of the last question's with all messages before it, that is the application's, the
    same for all: what was computed of it is reused."""
    task: Literal["generate"] = "generate"

    @property
    def begun(self) -> str:
        """What the answer goes on from: the prompt, or a last message by the assistant."""
        last = self.messages[-1] if self.messages else Message("assistant", self.prompt)
        return last.content if last.role == "assistant" else ""


@dataclass(frozen=True)
class Classify:
    """Ask for the probability of each of the model's labels. Text over the window is judged in pieces and averaged."""

    text: str
    task: Literal["classify"] = "classify"


@dataclass(frozen=True)
class Extract:
    """Ask for the passage's spans that answer the question, best first."""

    question: str
    passage: str
    top_k: int = 3
    max_answer_tokens: int = 40
    task: Literal["extract"] = "extract"


@dataclass(frozen=True)
class Fill:
    """Ask for the likeliest tokens at the mask (`[MASK]` or the model's own mask token) in `text`."""

    text: str
    top_k: int = 5
    task: Literal["fill"] = "fill"


@dataclass(frozen=True)
class Embed:
    """Ask for a unit-length vector of the text (mean pooling over tokens)."""

    text: str
    kind: Literal["query", "passage"] = "query"
    """Looks for texts, or is looked for, which some models read differently; texts to be compared are all queries."""
    task: Literal["embed"] = "embed"


Request = Generate | Classify | Extract | Fill | Embed | Score | Align | Look


def resolved(request: Request) -> Request:
    """The request with its sampling as it will act. Raises InputError."""
    return replace(request, sampling=request.sampling.resolved()) if isinstance(request, Generate) else request


def needs(request: Request) -> frozenset[str]:
    """What a backend must be able to do for a request: its task, and what else it asks for."""
    if isinstance(request, Score | Align | Look):
        return request.needs
    wanted = {str(request.task)}
    if isinstance(request, Generate):
        wanted |= {"sample"} if request.sampling.temperature > 0 else set()
        wanted |= {"penalties"} if request.sampling.is_counting else set()
        asked = ("top_logprobs", "beginning", "alternatives", "align", "grammar")
        wanted |= {name for name in asked if getattr(request, name)}
    return frozenset(wanted)


@dataclass(frozen=True)
class Token:
    """One token; `logprob` is natural and of the model's distribution before sampling filters."""

    text: str
    id: int
    logprob: float | None = None
    top_logprobs: tuple[tuple[str, float], ...] = ()
    """The likeliest other tokens at this place, where they were asked for, each as `own`."""
    raw: bytes | None = None
    """Its bytes, where they are a part of a character: `text` is then what it adds, nothing or the whole character."""

    @property
    def own(self) -> str:
        """Its own text; bytes that are none alone stand in it as lone surrogates (PEP 383)."""
        return self.text if self.raw is None else self.raw.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Alternative:
    """Another answer, and the mean log-probability of its tokens."""

    text: str
    mean_logprob: float


@dataclass(frozen=True)
class Alignment:
    """How each token of a translation looks at its source: `weights[t][p]` is token t's share in `prompt[spans[p]]`.

    Shares of a token add up to 1; the last of them is the source's end, which has no span.
    """

    spans: tuple[tuple[int, int], ...]
    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Generation:
    """A finished text. `settings` are those that really acted; `mean_logprob` is None where not computed."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    new_tokens: int
    settings: Mapping[str, Any]
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None
    mean_logprob: float | None = None
    tokens: tuple[Token, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    """Other answers where they were asked for, best first."""
    alignment: Alignment | None = None
    """Where it was asked for, and the runtime can tell."""
    is_repeated: bool = field(default=False, compare=False)
    """Kept from the same request earlier, and not worked on again: then no time was measured."""


@dataclass(frozen=True)
class Classification:
    """Probability by label, and the likeliest label. They add up to 1, unless several labels may be true at once."""

    label: str
    scores: Mapping[str, float]
    chosen: tuple[str, ...] = ()
    """Where several may be true: those from their threshold on, which comes with the model, likeliest first."""
    is_repeated: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Span:
    """Words of the passage: `passage[start:end] == text`; `score` is its probability among all spans and no answer."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Extraction:
    """Best spans first; `null_score` is the probability that the passage holds no answer.

    `null_threshold` comes with the model: at or above it the honest answer is that there is none.
    """

    spans: tuple[Span, ...]
    null_score: float
    null_threshold: float = 0.5
    is_repeated: bool = field(default=False, compare=False)

    @property
    def has_answer(self) -> bool:
        """Whether the model stands by its best span."""
        return bool(self.spans) and self.null_score < self.null_threshold


@dataclass(frozen=True)
class Filling:
    """Likeliest tokens for the mask with their probabilities, best first, one tuple for each mask in the text."""

    masks: tuple[tuple[tuple[str, float], ...], ...]
    is_repeated: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Embedding:
    """A unit-length vector, and how many tokens the model read for it, what it adds and reads twice included."""

    vector: Sequence[float]
    tokens: int = 0
    is_repeated: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Scoring:
    """The text's tokens, which joined are the text. The first, where nothing comes before it, has no `logprob`.

    What an encoder aligns has none at all.
    """

    tokens: tuple[Token, ...]
    alignment: Alignment | None = None
    """Of a translation with its source, where the runtime can tell."""
    origin: Origin | None = None
    """Where rivals were asked for."""
    is_repeated: bool = field(default=False, compare=False)


Result = Generation | Classification | Extraction | Filling | Embedding | Scoring | Seen


@dataclass(frozen=True)
class Event:
    """What a stream yields.

    kind "queued" (`position` in the queue, 1 is next; repeated at least twice a second so that a page can stop),
    "loading" (the model is being read into memory), "text" (`text` is new text, `token` its detail where asked for),
    "replace" (an application thought better of it: `text` stands for all that came so far), "working" (an application
    has done `part` of `parts` of what it does), "done" (`result`, last).
    """

    kind: Literal["queued", "loading", "text", "replace", "working", "done"]
    text: str = ""
    position: int = 0
    part: int = 0
    parts: int = 0
    token: Token | None = None
    result: Any = None


_CONTROLS = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
"""Unicode's classes Cc and Cs, but for line feed and tab."""
_BLANK = re.compile(r"[\s\u00ad\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2800\u3164\ufeff]*")
"""Nothing to see: spaces, and signs without a width or a form."""


def clean_text(text: object, param: str, max_characters: int, *, can_be_empty: bool = False) -> str:
    """Check a text that a person sent, and return it in NFC without control characters (line feed and tab stay).

    Raises InputError when it is not text or is blank, TooLargeError when it is longer than `max_characters`.
    """
    if not isinstance(text, str):
        raise InputError("{field} must be text.", param=param, field=param)
    if len(text) > max_characters:
        raise TooLargeError(
            "{field} has {count:,} characters; the limit is {limit:,}. Shorten it or send it in pieces.",
            param=param, field=param, count=len(text), limit=max_characters,
        )  # fmt: skip
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    normal = unicodedata.normalize("NFC", _CONTROLS.sub("", text))
    if not can_be_empty and _BLANK.fullmatch(normal):
        raise InputError("{field} is empty. Type some text first.", param=param, field=param)
    return normal


def clean_texts(texts: object, param: str, max_characters: int, max_rows: int) -> list[str]:
    """As `clean_text`, for one text or a list of at most `max_rows`; errors name the row as `param[3]`."""
    if isinstance(texts, str):
        return [clean_text(texts, param, max_characters)]
    if not isinstance(texts, list | tuple):
        raise InputError("{field} must be text or a list of texts.", param=param, field=param)
    if not texts:
        raise InputError("{field} is empty. Send at least one text.", param=param, field=param)
    if len(texts) > max_rows:
        raise TooLargeError(
            "{field} has {count:,} rows; the limit is {limit:,}. Send fewer.",
            param=param, field=param, count=len(texts), limit=max_rows,
        )  # fmt: skip
    return [clean_text(text, f"{param}[{number}]", max_characters) for number, text in enumerate(texts)]
