"""Routes over the real catalogue: what is at hand, and what a download would make better."""

from collections.abc import Collection
from itertools import permutations

import pytest

from engine.applications.routes import Route, best_route, better_route, missing, unmeasured_pair
from engine.applications.translate import APPLICATION, TranslateRequest, route_for
from engine.catalogue.models import Catalogue, read_catalogue
from engine.errors import UnsupportedError

EMBEDDED = {"gemma-3-270m", "firefox-en-pt", "firefox-pt-en"}
ADAPTER = "gemma-3-270m-translator"
INTO_ENGLISH = {"fr": "student-fr-en", "de": ADAPTER, "es": ADAPTER, "zh": ADAPTER, "pt": "firefox-pt-en"}
FROM_ENGLISH = {
    "fr": "student-en-fr", "de": "student-en-de", "es": "student-en-es", "zh": ADAPTER, "pt": "firefox-en-pt",
}  # fmt: skip


def catalogue_with(ready: Collection[str]) -> Catalogue:
    catalogue = read_catalogue()
    catalogue.is_ready = lambda model_id: model_id in ready
    return catalogue


def ids(route: Route | None) -> list[str]:
    return [leg.id for leg in route.legs] if route else []


@pytest.mark.parametrize(
    ("source", "target", "more", "here", "better"),
    [
        ("en", "fr", [], ["gemma-3-270m"], ["mozilla-en-fr"]),
        ("en", "fr", ["mozilla-en-fr"], ["mozilla-en-fr"], []),
        ("en", "pt", [], ["firefox-en-pt"], ["mozilla-en-pt"]),
        ("fr", "pt", [], [], ["mozilla-fr-en", "firefox-en-pt"]),
        ("fr", "pt", ["mozilla-fr-en"], ["mozilla-fr-en", "firefox-en-pt"], []),
        ("fi", "en", [], [], ["mozilla-fi-en"]),
        ("en", "xx", [], [], []),
        ("en", "fr", ["opus-mt-en-fr"], ["opus-mt-en-fr"], ["mozilla-en-fr"]),
    ],
)
def test_the_best_route_and_a_better_one(
    source: str, target: str, more: list[str], here: list[str], better: list[str]
) -> None:
    catalogue = catalogue_with({*EMBEDDED, *more})
    models = APPLICATION.models(catalogue)
    assert ids(best_route(catalogue.ready(models), source, target)) == here
    found = better_route(catalogue.ready(models), models, source, target)
    assert ids(found) == better
    assert found is None or {leg.id for leg in missing(catalogue, found)} == set(better) - EMBEDDED - set(more)


@pytest.mark.parametrize(
    ("source", "target", "more", "offered"),
    [
        ("de", "fr", [], "opus-mt-de-fr"),
        ("de", "fr", ["opus-mt-de-fr"], None),
        ("en", "zh", [], "opus-mt-en-zh"),
        ("en", "pt", [], None),
        ("fr", "pt", [], None),
    ],
)
def test_a_translator_of_the_pair_that_nobody_measured(
    source: str, target: str, more: list[str], offered: str | None
) -> None:
    catalogue = catalogue_with({*EMBEDDED, *more})
    models = APPLICATION.models(catalogue)
    here = best_route(catalogue.ready(models), source, target)
    found = unmeasured_pair(here, models, source, target)
    assert (found.id if found else None) == offered


def test_what_ships_serves_all_pairs_between_its_languages_without_examples() -> None:
    catalogue = read_catalogue()
    models = [model for model in APPLICATION.models(catalogue) if model.is_embedded]
    for source, target in permutations(("en", "fr", "de", "es", "zh", "pt"), 2):
        route = best_route(models, source, target)
        assert route and not route.is_makeshift and route.is_pivot == ("en" not in (source, target))
        assert route.is_quick or {source, target} & {"zh"} or source in ("de", "es")
        legs = [INTO_ENGLISH.get(source), FROM_ENGLISH.get(target)]
        assert ids(route) == [leg for leg in legs if leg]


def test_a_model_of_several_directions_has_a_figure_for_each() -> None:
    catalogue = catalogue_with({*EMBEDDED, ADAPTER, "student-en-de"})
    model = catalogue.find(ADAPTER)
    assert (model.bleu_of("de", "en"), model.bleu_of("zh", "en"), model.bleu_of("fr", "en")) == (27.0, 12.6, 0.0)
    qualities = [Route((model,), source, "en").quality for source in ("de", "es", "zh")]
    assert qualities == sorted(qualities, reverse=True) and len(set(qualities)) == 3
    german = best_route(catalogue.ready(APPLICATION.models(catalogue)), "en", "de")
    assert ids(german) == ["student-en-de"]  # 1.3 less, in a ninth of the time
    twice = Route((model, model), "de", "zh")
    assert twice.directions == [("de", "en"), ("en", "zh")] and len(missing(catalogue_with(EMBEDDED), twice)) == 1


def test_a_model_tuned_with_english_goes_through_it_by_itself() -> None:
    catalogue = catalogue_with(EMBEDDED)
    route = route_for(catalogue, TranslateRequest("Hallo.", "de", "zh", "gemma-3-270m-translator"))
    assert ids(route) == ["gemma-3-270m-translator"] * 2
    route = route_for(catalogue, TranslateRequest("Guten Morgen, wie geht es dir?", "auto", "en", route.legs[0].id))
    assert ids(route) == ["gemma-3-270m-translator"]
    asked_by_hand = route_for(catalogue, TranslateRequest("Hallo.", "de", "fr", "gemma-3-270m"))
    assert ids(asked_by_hand) == ["gemma-3-270m"]


def test_a_model_that_translates_by_example_is_makeshift() -> None:
    catalogue = catalogue_with(EMBEDDED)
    models = APPLICATION.models(catalogue)
    french, portuguese = (best_route(catalogue.ready(models), "en", target) for target in ("fr", "pt"))
    assert french and french.is_makeshift and not french.is_pivot
    assert portuguese and not portuguese.is_makeshift


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Jó reggelt, hogy vagy ma?", "translates Hungarian to Portuguese. Download "),
        ("おはようございます", "translates Japanese to Portuguese. Download "),
        ("Bon dia, com estàs avui? Moltes gràcies per tot.", "translates Catalan to Portuguese. Download "),
        ("Dia duit, conas atá tú inniu?", "translates Irish to Portuguese. Download M2M100 418M "),
    ],
)
def test_what_no_model_here_can_do_is_named_with_what_can(text: str, says: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        route_for(catalogue_with(EMBEDDED), TranslateRequest(text, "auto", "pt"))
    assert caught.value.param == "source" and says in str(caught.value)
