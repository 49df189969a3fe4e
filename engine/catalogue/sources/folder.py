"""A folder or a GGUF file of this machine: a part of the repository, or what a run trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.catalogue.sources import Availability, Source
from engine.messages import Text
from engine.settings import ROOT

if TYPE_CHECKING:
    from engine.catalogue.cache import Cache
    from engine.catalogue.models import Model


@dataclass(frozen=True)
class Folder(Source):
    """Weights that a person, the repository or a run keeps."""

    folder: str = ""
    """Relative to the repository's root, or absolute."""
    is_run: bool = False
    """Whether a run trained it."""
    base: str = ""
    """Of a head: the id of the encoder whose embeddings and tokenizer it uses."""
    kind: Literal["local"] = "local"

    @property
    def carrier(self) -> str:
        return self.base

    def is_made(self) -> bool:
        return not self.base or (ROOT / self.folder / "config.json").is_file()

    def fault(self) -> str:
        return "" if self.folder else "folder"

    def availability(self, model: Model, cache: Cache) -> Availability:
        path = ROOT / self.folder
        if path.is_file() or ((path / "config.json").is_file() and any(path.glob("*.safetensors"))):
            return Availability("ready", model.size_bytes, model.size_bytes)
        outside = Text("the folder of its run") if self.is_run else Text("its folder")  # of which nobody is told
        place = outside if Path(self.folder).is_absolute() else self.folder
        message = Text("{title} has no weights in {place}.", title=model.title, place=place)
        return Availability("absent", message=message)

    def path(self, model: Model, cache: Cache) -> Path:
        return ROOT / self.folder

    def next_step(self, model: Model) -> Text:
        return Text("Train the model again, or restore that folder from where it came.")

    def keeper(self) -> Text:
        if self.is_run:
            return Text("Trained here; delete its run on the page Fine-tune. It cannot be deleted here.")
        if Path(self.folder).is_absolute():
            return Text("Kept by the host. It cannot be deleted here.")
        return Text("Part of this repository. It cannot be deleted here.")
