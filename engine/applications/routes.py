"""Which models translate a pair of languages: one for the pair, two through English, or one that knows many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

from engine.applications.prompts import SHOTS, style_of
from engine.catalogue.models import Catalogue, Model

PIVOT = "en"
PIVOT_SHARE = 0.88
"""Of BLEU, about, what is left where it goes through English."""
UNMEASURED_PAIR, UNMEASURED = 26.0, 10.0
"""What a model is taken for of which nobody measured BLEU on FLORES-200: one for a pair, one for many languages."""
SLOWER = 2.0
"""BLEU by which a language model must be better than a translator, for it takes nine times as long; forty lines of
FLORES sway by as much."""
MARGIN = 1.0
"""BLEU by which another route must be better to be worth a download."""


@dataclass(frozen=True)
class Route:
    """One model, or two of which the second reads what the first writes."""

    legs: tuple[Model, ...]
    source: str = ""
    target: str = ""

    @property
    def quality(self) -> float:
        """BLEU on FLORES-200, measured or guessed, less what a wait is worth: good for comparing, not for showing."""
        worst = min(map(_worth, self.legs, self.directions))
        return worst * PIVOT_SHARE**self.is_pivot

    @property
    def directions(self) -> list[tuple[str, str]]:
        """From which language each leg translates into which."""
        return list(pairwise([self.source, *[PIVOT] * self.is_pivot, self.target]))

    @property
    def is_makeshift(self) -> bool:
        """Whether it translates by example, with a model that was not made for translating."""
        return any(leg.is_language_model and style_of(leg) != "names" for leg in self.legs)

    @property
    def is_quick(self) -> bool:
        """Whether a sentence takes hundredths of a second: no language model writes it."""
        return not any(leg.is_language_model for leg in self.legs)

    @property
    def is_pivot(self) -> bool:
        """Whether it goes through English."""
        return len(self.legs) > 1


def best_route(models: Iterable[Model], source: str, target: str) -> Route | None:
    """The best of these models for a pair, which are to be here; None where there is none, and for a language alone."""
    if source == target:
        return None
    return max(_routes(list(models), source, target), key=lambda route: route.quality, default=None)


def better_route(here: Iterable[Model], models: Iterable[Model], source: str, target: str) -> Route | None:
    """One with downloads that is clearly better than what is here; None where nothing is."""
    listed = list(here)
    ids = {model.id for model in listed}
    now = best_route(listed, source, target)
    best = best_route([model for model in models if model.id in ids or model.bleu], source, target)
    if best is None or (now and best.quality < now.quality + MARGIN):
        return None
    return best


def unmeasured_pair(here: Route | None, models: Iterable[Model], source: str, target: str) -> Model | None:
    """A translator of the pair alone that is not here, of which nobody measured how good it is; None where one of the
    pair is here."""
    if here and any(leg.pair == (source, target) for leg in here.legs):
        return None
    return next((model for model in models if model.pair == (source, target) and not model.bleu), None)


def missing(catalogue: Catalogue, route: Route) -> list[Model]:
    """The models of a route that have to be fetched, each once."""
    return list({leg.id: leg for leg in route.legs if not catalogue.is_ready(leg.id)}.values())


def _routes(models: list[Model], source: str, target: str) -> Iterator[Route]:
    direct = [model for model in models if model.pair == (source, target)]
    yield from (Route((model,), source, target) for model in direct)
    if PIVOT not in (source, target):
        # Of equal routes, whose worse leg is the same, the first is taken: those made for a pair stand first.
        measured = sorted((model for model in models if model.pair or model.bleu), key=lambda model: not model.pair)
        firsts = [model for model in measured if translates(model, source, PIVOT)]
        seconds = [model for model in measured if translates(model, PIVOT, target)]
        yield from (Route(pair, source, target) for pair in product(firsts, seconds))
    many = (model for model in models if not model.pair and _knows(model, source, target))
    yield from (Route((model,), source, target) for model in many)


def _worth(model: Model, direction: tuple[str, str]) -> float:
    known = model.bleu_of(*direction) or (UNMEASURED_PAIR if model.pair else UNMEASURED)
    return known - SLOWER * model.is_language_model


def translates(model: Model, source: str, target: str) -> bool:
    """Whether it alone can do the pair."""
    return model.pair == (source, target) if model.pair else _knows(model, source, target)


def _knows(model: Model, source: str, target: str) -> bool:
    """A model that is shown examples knows no other languages than these are in; one that was tuned to do without them
    learned what goes from or to English."""
    style = style_of(model)
    if style == "names" and PIVOT not in (source, target):
        return False
    return {source, target} <= (set(model.languages) & set(SHOTS) if style == "few-shot" else set(model.languages))
