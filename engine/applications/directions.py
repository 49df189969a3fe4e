"""From which language a text is translated into which: checked against what a model knows, or told by its words; and
what can be done where nothing here translates it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.applications.languages import LANGUAGES, NAMED, SURE, detect_language, guess_language, names_of
from engine.applications.literals import prose
from engine.applications.prompts import SHOTS, style_of
from engine.applications.routes import best_route, better_route, missing
from engine.applications.segments import split
from engine.applications.sentences import Direction
from engine.catalogue.models import Catalogue, Model
from engine.errors import InputError, UnsupportedError
from engine.messages import Text
from engine.sizes import size_in_words

if TYPE_CHECKING:
    from engine.applications.translate import TranslateRequest

Models = Sequence[Model]
"""All that Translate offers, here or not."""
_LETTER = re.compile(r"[^\W\d_]")


def languages_of(model: Model) -> list[str]:
    """Codes that the model can translate from or to, in the order of the pickers; all where the model does not say."""
    known = set(model.pair or model.languages or LANGUAGES)
    if style_of(model) == "few-shot":
        known &= set(SHOTS)
    return [code for code in NAMED if code in known]


def codes_of(models: Iterable[Model]) -> list[str]:
    """Codes that some of these models translate from or to, in the order of the pickers."""
    known = {code for model in models for code in languages_of(model)}
    return [code for code in NAMED if code in known]


def check_codes(catalogue: Catalogue, models: Models, source: str, target: str) -> None:
    """Raise InputError for what is no language that we name, with those that are translated here."""
    for field, code in (("source", source), ("target", target)):
        if code not in NAMED and (field, code) != ("source", "auto"):
            known = codes_of(catalogue.ready(models) or models)
            raise InputError(
                "{field} is {code}, which no model here translates. Choose one of {known}.",
                param=field, field=field, code=repr(code),
                known=[Text("{language} ({code})", language=NAMED[one], code=one) for one in known],
            )  # fmt: skip


def find_direction(
    catalogue: Catalogue, models: Models, model: Model, request: TranslateRequest, text: str
) -> Direction:
    """Source and target for a model, checked; in a text without words there is nothing to detect."""
    source, target, known, is_guessed = request.source, request.target, languages_of(model), False
    if model.pair and (target != model.pair[1] or source not in ("auto", model.pair[0])):
        raise UnsupportedError(
            "{model} translates only {source} to {target}. Choose that pair or another model.",
            param="model", model=model.title, source=NAMED[model.pair[0]], target=NAMED[model.pair[1]],
        )  # fmt: skip
    for name, code in (("source", source), ("target", target)):
        if code not in known and not (name == "source" and code == "auto"):
            raise InputError(
                "{model} does not know {field} {code}. It knows {known}.",
                param=name, model=model.title, field=name, code=repr(code), known=names_of(known),
            )  # fmt: skip
    if source == "auto":
        has_words = any(segment.text for segment in split(text))
        first = next(code for code in known if code != target)
        source, is_guessed = first, False
        if has_words:
            source, is_guessed = _detected(catalogue, models, model, text, target, is_chosen=bool(request.model))
    if source == target:
        raise is_already_in(target)
    if model.sources and source not in model.sources:
        raise UnsupportedError(
            "{model} translates only from {languages}. Choose that source or another model.",
            param="source", model=model.title, languages=names_of(model.sources),
        )  # fmt: skip
    return Direction(source, target, is_guessed)


def _detected(
    catalogue: Catalogue, models: Models, model: Model, text: str, target: str, *, is_chosen: bool
) -> tuple[str, bool]:
    """The best guess at the source among the languages that the model can do, and whether it is no more than that.

    Raises InputError for a text in another language, with what translates it where there is something.
    """
    allowed = [model.pair[0]] if model.pair else languages_of(model)
    guess = detect_language(words_of(text), [*allowed, target])
    if guess.is_allowed and guess.probability >= SURE:
        return guess.code, False
    if guess.is_allowed:
        return guess_language(text, [code for code in allowed if code != target])[0], True
    raise _not_done(catalogue, models, model if is_chosen else None, guess.code, target)


def words_of(text: str) -> str:
    """What tells the language: the text without addresses, code and the like, unless it is nothing else."""
    words = prose(text)
    return words if _LETTER.search(words) else text


def is_already_in(target: str) -> InputError:
    """Source and target are the same."""
    words = "The text is already in {language}. Choose another target language."
    return InputError(words, param="target", language=NAMED[target])


def no_route(catalogue: Catalogue, models: Models, source: str, target: str) -> UnsupportedError:
    """What no model here does, and what to download for it."""
    names, size = _downloads(catalogue, models, source, target)
    if not names:
        return UnsupportedError(
            "No model here or in the catalogue translates {source} to {target}. Choose other languages.",
            param="source", source=NAMED[source], target=NAMED[target],
        )  # fmt: skip
    return UnsupportedError(
        "No model here translates {source} to {target}. Download {models} ({size}), or choose other languages.",
        param="source", source=NAMED[source], target=NAMED[target], models=names, size=size,
    )  # fmt: skip


def _not_done(catalogue: Catalogue, models: Models, chosen: Model | None, source: str, target: str) -> InputError:
    """A text looks to be in a language that is not translated so: what does, here or after a download."""
    here = best_route(catalogue.ready(models), source, target)
    names, size = _downloads(catalogue, models, source, target)
    if here and chosen:
        words = Text(
            "The text looks {language}, which {model} does not translate. {others} on this machine can: leave the "
            "choice of the model open, or choose the source language if it is another.",
            language=NAMED[source], model=chosen.title, others=[leg.title for leg in here.legs],
        )  # fmt: skip
    elif here:  # of several
        words = Text(
            "The text looks {language}, and others do not. Ask for it by itself, or choose the source language if it "
            "is another.", language=NAMED[source],
        )  # fmt: skip
    elif names:
        words = Text(
            "The text looks {language}, which no model here translates to {target}. Download {others} ({size}), or "
            "choose the source language if it is another.",
            language=NAMED[source], target=NAMED[target], others=names, size=size,
        )  # fmt: skip
    else:
        words = Text(
            "The text looks {language}, and no model here translates that. Choose the source language if it is "
            "another.", language=NAMED[source],
        )  # fmt: skip
    return InputError(words, param="source")


def _downloads(catalogue: Catalogue, models: Models, source: str, target: str) -> tuple[list[str], str]:
    """What of the catalogue to download for a pair that nothing here translates, by title, and its size."""
    measured = better_route(catalogue.ready(models), models, source, target)
    route = measured or best_route(models, source, target)
    legs = missing(catalogue, route) if route else []
    return [leg.title for leg in legs], size_in_words(sum(leg.source.download_bytes(leg) for leg in legs))
