"""Each known model has a card that says what people ask of one."""

from __future__ import annotations

from engine.catalogue.cards import HEADINGS, card_of
from engine.catalogue.models import hub_model, read_catalogue
from engine.catalogue.sources.folder import Folder


def test_each_model_has_a_card() -> None:
    for model in read_catalogue().models.values():
        card, own = card_of(model), isinstance(model.source, Folder)
        words = ["icence", "Data", "Figures", "Limits"] if own else ["icence", model.licence]
        if (not own and not model.is_embedded) or model.id in ("gemma-3-270m", "minilm-l6", "smollm2-135m-instruct"):
            words += [f"**{heading}.**" for heading in HEADINGS.values()]
        assert all(word in card for word in words) and not card.startswith("---"), model.id


def test_a_model_that_somebody_typed_has_none() -> None:
    assert card_of(hub_model("hub:owner/name")) == ""
