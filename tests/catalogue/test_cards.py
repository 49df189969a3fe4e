"""Each known model has a card that says what people ask of one."""

from __future__ import annotations

import pytest

from engine.catalogue.cards import HEADINGS, card_of
from engine.catalogue.models import hub_model, read_catalogue
from engine.catalogue.sources.folder import Folder

MODELS = read_catalogue().models


@pytest.mark.parametrize("id", list(MODELS))
def test_a_model_has_a_card(id: str) -> None:
    card = card_of(MODELS[id])
    words = ("icence", "Data", "Figures", "Limits") if isinstance(MODELS[id].source, Folder) else ("icence",)
    assert all(word in card for word in words) and not card.startswith("---")
    if "firefox" not in id and not isinstance(MODELS[id].source, Folder):
        assert all(f"**{heading}.**" in card for heading in HEADINGS.values()) and MODELS[id].licence in card


def test_a_model_that_somebody_typed_has_none() -> None:
    assert card_of(hub_model("hub:owner/name")) == ""
