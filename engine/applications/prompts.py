"""How models are asked to translate a sentence, each style of model in the form that it was made for."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from engine.applications.languages import NAMED, SPACELESS
from engine.backends.languages import TARGET_TAGS
from engine.catalogue.models import Model
from engine.requests import Generate, Message, Sampling

AGAIN_PENALTY = 1.15
"""Repetition penalty of a second try."""
PAIR_LABELS = {
    "opus-mt-en-zh": ">>cmn_Hans<< ",
    "opus-mt-es-zh": ">>cmn_Hans<< ",
    "opus-mt-de-zh": ">>zh_cn<< ",
}
"""Pair models that know several written forms of their target must be told which (their model cards)."""

_PROMPTS = tomllib.loads(Path(__file__).with_name("translate.toml").read_text(encoding="utf-8"))
SHOTS: dict[str, list[str]] = _PROMPTS["shots"]
"""The same sentences in every language of the few-shot prompts."""
NAMES: dict[str, str] = _PROMPTS["names"]
"""What stands before a line of such a prompt."""


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
    style = style_of(model)
    if style in ("few-shot", "names"):
        before, line = "", prompt_of_names(source, target, text)
        if style == "few-shot":
            before, line = few_shot_prompt(source, target, text, is_again=is_again)
        return Generate(
            before + line,
            sampling=replace(sampling, stop=("\n",)),
            is_scored=True,
            ends_loops=True,
            common_characters=len(before),
        )
    if style == "chat":
        order = f"Translate from {NAMED[source]} to {NAMED[target]}. Answer with the translation only.\n\n{text}"
        return Generate(messages=(Message("user", order),), sampling=sampling, is_scored=True, ends_loops=True)
    if style == "t5":
        return Generate(f"translate {NAMED[source]} to {NAMED[target]}: {text}", sampling=sampling)
    if style == "tags":
        return Generate(f"{TARGET_TAGS[target]} {text}", sampling=sampling)
    if style == "pair":
        return Generate(PAIR_LABELS.get(model.id, "") + text, sampling=sampling)
    return Generate(text, sampling=sampling, source=source, target=target)


def begun(model: Model, request: Generate, beginning: str) -> Generate:
    """Such a request for a translation that begins so; what a language model answers then comes after the beginning."""
    if not beginning:
        return request
    if not model.is_language_model:
        return replace(request, beginning=beginning)
    if request.messages:
        return replace(request, messages=(*request.messages, Message("assistant", beginning)))
    return replace(request, prompt=f"{request.prompt} {beginning}")


def few_shot_prompt(source: str, target: str, text: str, *, is_again: bool = False) -> tuple[str, str]:
    """Translated sentences, the same for every text of a pair, and the one to translate."""
    shots = list(zip(SHOTS[source], SHOTS[target], strict=True))
    if is_again:
        shots.reverse()
    lines = [f"{NAMES[source]}: {one}\n{NAMES[target]}: {other}\n" for one, other in shots]
    return "\n".join([*lines, ""]), prompt_of_names(source, target, text)


def prompt_of_names(source: str, target: str, text: str) -> str:
    """A line to translate, and the beginning of the next one: all that a model needs that was tuned for it."""
    return f"{NAMES[source]}: {text}\n{NAMES[target]}:"


def style_of(model: Model) -> str:
    """few-shot, names, chat, t5, tags, pair (it knows nothing but to translate) or codes."""
    if model.prompt_style and model.prompt_style != "instruct":
        return model.prompt_style
    if model.is_language_model:
        return "chat" if model.is_chat else "few-shot"
    return "pair" if model.pair else "codes"


def common_length(order: str, plain: str) -> int:
    """Characters at an order's beginning that are as in the plain one, so that nobody typed them."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(order, plain, strict=False)))
