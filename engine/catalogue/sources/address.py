"""A model that is served elsewhere, by a server with OpenAI's interface. No runtime asks it yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from engine.catalogue.sources import Availability, Source
from engine.messages import Text

if TYPE_CHECKING:
    from engine.catalogue.cache import Cache
    from engine.catalogue.models import Model


@dataclass(frozen=True)
class Address(Source):
    """Weights that never come here."""

    url: str
    """Of the interface, such as https://host/v1."""
    model: str = ""
    """Its name there, where that is not its id."""
    kind: Literal["address"] = "address"

    has_weights: ClassVar[bool] = False

    def fault(self) -> str:
        return "" if re.fullmatch(r"https?://[^\s/@]+(/\S*)?", self.url) else "url"

    def availability(self, model: Model, cache: Cache) -> Availability:
        message = Text("{title} is served at another address, which Parlance does not ask yet.", title=model.title)
        return Availability("absent", message=message)

    def next_step(self, model: Model) -> Text:
        return Text("Choose another model.")

    def keeper(self) -> Text:
        return Text("It is served elsewhere and cannot be deleted here.")
